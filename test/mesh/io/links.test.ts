// Connections between machines of one mesh: who is let in, which of two connections stays, what is left when one breaks.

import { describe, expect, test } from "bun:test";
import { MeshError } from "../../../src/base/errors.ts";
import { LIMITS } from "../../../src/base/limits.ts";
import { streamFrom } from "../../../src/mesh/stream-from.ts";
import { peerIdOf } from "../../../src/base/ids.ts";
import { failureOf } from "../../support/failure.ts";
import { TestMesh, type TestMachine } from "../../support/test-mesh.ts";

const TIMES = { timeoutMs: 5_000 };

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await failureOf(promise)).code;
}

function echoing(...machines: readonly TestMachine[]): void {
  for (const { links } of machines) links.onCall("echo", (params) => params);
}

describe("Links.connect()", () => {
  test("links two machines, each of which may then call", async () => {
    await using mesh = new TestMesh();
    const [alpha, beta] = [mesh.start("alpha"), mesh.start("beta")];
    echoing(alpha, beta);
    expect(await alpha.links.connect(null, beta.address)).toBe(beta.id);
    await beta.saw("linked alpha");
    expect(await beta.links.call(alpha.id, "echo", 1, TIMES)).toBe(1);
    expect(alpha.events).toEqual(["linked beta"]);
    expect(alpha.links.isLinked(beta.id)).toBe(true);
    expect(alpha.links.heardAtMs(beta.id)).toBeNumber();
  });

  test("does not dial a machine that is linked, nor twice at once", async () => {
    await using mesh = new TestMesh();
    const [alpha, beta] = [mesh.start("alpha"), mesh.start("beta")];
    await Promise.all([alpha.links.connect(beta.id, beta.address), alpha.links.connect(beta.id, beta.address)]);
    await alpha.links.connect(beta.id, { host: "127.0.0.1", port: 1 });
    expect(alpha.events).toEqual(["linked beta"]);
    expect(beta.events).toEqual(["linked alpha"]);
  });

  test("says that nobody listens, that another machine answers, or that it is this one", async () => {
    await using mesh = new TestMesh();
    const [alpha, beta, gamma] = [mesh.start("alpha"), mesh.start("beta"), mesh.start("gamma")];
    await gamma.links.close();
    expect((await failureOf(alpha.links.connect(gamma.id, gamma.address))).message).toBe(
      `Cannot reach 127.0.0.1:${gamma.address.port}: nobody listens there`,
    );
    expect(await codeOf(alpha.links.connect(gamma.id, beta.address))).toBe("peer.refused");
    expect(await codeOf(alpha.links.connect(null, alpha.address))).toBe("peer.refused");
    expect(beta.events).toEqual([]);
  });

  test("is given up by its signal", async () => {
    await using mesh = new TestMesh();
    const alpha = mesh.start("alpha");
    using silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
    const controller = new AbortController();
    const dial = alpha.links.connect(null, { host: "127.0.0.1", port: silent.port }, controller.signal);
    controller.abort(new MeshError("run.interrupted", "Enough"));
    expect(await codeOf(dial)).toBe("run.interrupted");
  });

  test("refuses a stranger and is refused by one, who learns nothing but a closed connection", async () => {
    await using mesh = new TestMesh();
    const [alpha, mallory] = [mesh.start("alpha"), mesh.start("mallory", { isStranger: true })];
    echoing(alpha);
    expect(await codeOf(mallory.links.connect(alpha.id, alpha.address))).toBe("peer.refused");
    expect(await codeOf(alpha.links.connect(null, mallory.address))).toBe("peer.refused");
    expect(await codeOf(mallory.links.call(alpha.id, "echo", 1, TIMES))).toBe("peer.unreachable");
    expect(alpha.events).toEqual([]);
  });

  test("of two machines without a common version fails on both sides by saying so", async () => {
    await using mesh = new TestMesh();
    const alpha = mesh.start("alpha");
    const beta = mesh.start("beta", { protocol: { least: 2, most: 3 }, version: "0.9.0" });
    expect((await failureOf(alpha.links.connect(beta.id, beta.address))).message).toBe(
      "Cannot speak with beta: it speaks protocol 2 to 3, this machine 1; this machine (mesh 0.1.0) must be updated",
    );
    await beta.saw("refused alpha: peer.version");
    expect(beta.events).toEqual(["refused alpha: peer.version"]);
  });

  test("of a machine whose grant was taken back: it is dropped, and cannot come back", async () => {
    await using mesh = new TestMesh();
    const [alpha, beta] = [mesh.start("alpha"), mesh.start("beta")];
    echoing(alpha, beta);
    await mesh.link(alpha, beta);
    mesh.roster.delete(beta.id);
    expect(await codeOf(beta.links.call(alpha.id, "echo", 1, TIMES))).toBe("peer.refused");
    alpha.links.drop(beta.id, new MeshError("mesh.revoked", "Its grant was taken back"));
    expect(await codeOf(alpha.links.call(beta.id, "echo", 1, TIMES))).toBe("peer.unreachable");
    await beta.saw("lost alpha");
    expect(await codeOf(beta.links.connect(alpha.id, alpha.address))).toBe("peer.refused");
  });
});

describe("Links.drop()", () => {
  test("loses the machine at once, though a dial to it is under way, and the next connection links it anew", async () => {
    await using mesh = new TestMesh();
    const [alpha, beta] = [mesh.start("alpha"), mesh.start("beta")];
    using silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
    const controller = new AbortController();
    const held = codeOf(alpha.links.connect(beta.id, { host: "127.0.0.1", port: silent.port }, controller.signal));
    await beta.links.connect(alpha.id, alpha.address);
    await alpha.saw("linked beta");
    alpha.links.drop(beta.id, new MeshError("peer.unreachable", "It is silent"));
    expect(alpha.events).toEqual(["linked beta", "lost beta"]);
    await beta.saw("lost alpha");
    await beta.links.connect(alpha.id, alpha.address);
    await alpha.saw("linked beta", 2);
    expect(alpha.events).toEqual(["linked beta", "lost beta", "linked beta"]);
    controller.abort(new MeshError("run.interrupted", "Enough"));
    expect(await held).toBe("run.interrupted");
    expect(alpha.links.isLinked(beta.id)).toBe(true);
  });
});

describe("two machines that dial each other at once", () => {
  test("keep one connection, and lose no call", async () => {
    await using mesh = new TestMesh();
    const [alpha, beta] = [mesh.start("alpha"), mesh.start("beta")];
    echoing(alpha, beta);
    for (let round = 0; round < 25; round++) {
      const [fromAlpha, fromBeta] = [alpha.events.length, beta.events.length];
      const talk = async (from: TestMachine, to: TestMachine): Promise<void> => {
        await from.links.connect(to.id, to.address);
        for (let n = 0; n < 20; n++) expect(await from.links.call(to.id, "echo", n, TIMES)).toBe(n);
      };
      await Promise.all([talk(alpha, beta), talk(beta, alpha)]);
      alpha.links.drop(beta.id, new MeshError("peer.unreachable", "Next round"));
      await Promise.all([alpha.saw("lost beta", fromAlpha), beta.saw("lost alpha", fromBeta)]);
      expect(alpha.events.slice(fromAlpha)).toEqual(["linked beta", "lost beta"]);
      expect(beta.events.slice(fromBeta)).toEqual(["linked alpha", "lost alpha"]);
    }
  }, 30_000);
});

describe("a machine that goes", () => {
  test("in order: what is under way is answered, then the others lose it", async () => {
    await using mesh = new TestMesh();
    const [alpha, beta] = [mesh.start("alpha"), mesh.start("beta")];
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const { promise: go, resolve: letGo } = Promise.withResolvers<void>();
    beta.links.onCall("slow", async () => {
      begin();
      await go;
      return "done";
    });
    await mesh.link(alpha, beta);
    const call = alpha.links.call(beta.id, "slow", null, TIMES);
    await begun;
    const closed = beta.links.close();
    letGo();
    expect(await call).toBe("done");
    await closed;
    await alpha.saw("lost beta");
    expect(await codeOf(beta.links.connect(alpha.id, alpha.address))).toBe("peer.unreachable");
  });

  test("while a call hangs: it waits no longer than its bound", async () => {
    await using mesh = new TestMesh();
    const [alpha, beta] = [mesh.start("alpha"), mesh.start("beta")];
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    beta.links.onCall("never", async (_, { signal }) => {
      begin();
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    });
    await mesh.link(alpha, beta);
    const call = codeOf(alpha.links.call(beta.id, "never", null, { timeoutMs: 60_000 }));
    await begun;
    const before = performance.now();
    await beta.links.close();
    expect(performance.now() - before).toBeGreaterThan(LIMITS.closeMs - 100);
    expect(performance.now() - before).toBeLessThan(LIMITS.closeMs + 2_000);
    expect(await call).toBe("peer.unreachable");
  });

  test("and comes back as a new instance: the old connection is lost, the new one linked", async () => {
    await using mesh = new TestMesh();
    const [alpha, beta] = [mesh.start("alpha"), mesh.start("beta")];
    echoing(alpha);
    await mesh.link(alpha, beta);
    // The first one is not closed: as after a cable was pulled.
    const again = mesh.start("beta", { identity: beta.identity });
    await again.links.connect(alpha.id, alpha.address);
    await alpha.saw("lost beta");
    expect(await again.links.call(alpha.id, "echo", 1, TIMES)).toBe(1);
    expect(alpha.events).toEqual(["linked beta", "lost beta", "linked beta"]);
  });
});

describe("lanes", () => {
  test("a stream opens a connection of its own, whoever dialled", async () => {
    await using mesh = new TestMesh();
    const [alpha, beta] = [mesh.start("alpha"), mesh.start("beta")];
    for (const { links } of [alpha, beta])
      links.onStream("blob", async function* () {
        yield new Uint8Array(1_000);
      });
    await mesh.link(alpha, beta);
    for (const [from, to] of [
      [beta, alpha],
      [alpha, beta],
    ] as const) {
      let length = 0;
      for await (const piece of streamFrom(from.links, to.id, { method: "blob", params: null }, TIMES))
        length += piece.length;
      expect(length).toBe(1_000);
    }
    expect(alpha.links.connectionsWith(beta.id)).toEqual({ control: 1, bulk: 1 });
    expect(beta.links.connectionsWith(alpha.id)).toEqual({ control: 1, bulk: 1 });
  });

  test("streams at once open no more connections than the limit", async () => {
    await using mesh = new TestMesh();
    const [alpha, beta] = [mesh.start("alpha"), mesh.start("beta")];
    beta.links.onStream("blob", async function* () {
      for (let n = 0; n < 20; n++) yield new Uint8Array(100_000);
    });
    await mesh.link(alpha, beta);
    const lengths = Array.from({ length: 12 }, async () => {
      let length = 0;
      for await (const piece of streamFrom(alpha.links, beta.id, { method: "blob", params: null }, TIMES))
        length += piece.length;
      return length;
    });
    expect(await Promise.all(lengths)).toEqual(Array.from({ length: 12 }, () => 2_000_000));
    expect(alpha.links.connectionsWith(beta.id).bulk).toBeLessThanOrEqual(LIMITS.bulkConnections);
  });

  test("a member that asks for bulk connections without end makes no more of them", async () => {
    await using mesh = new TestMesh();
    const [alpha, beta] = [mesh.start("alpha"), mesh.start("beta")];
    echoing(alpha);
    await mesh.link(alpha, beta);
    for (let n = 0; n < 200; n++) beta.links.tell(alpha.id, "link.bulk", null);
    expect(await beta.links.call(alpha.id, "echo", 1, TIMES)).toBe(1);
    expect(alpha.links.connectionsWith(beta.id).bulk).toBeLessThanOrEqual(LIMITS.bulkConnections);
  });
});

test("pairing connections reach the pairing handler only while an invite is open, and share a secret with it", async () => {
  await using mesh = new TestMesh();
  const [alpha, mallory] = [mesh.start("alpha"), mesh.start("mallory", { isStranger: true })];
  const { dialTls } = await import("../../../src/mesh/io/tls.ts");
  const dial = async () =>
    await dialTls({
      identity: mallory.identity,
      address: alpha.address,
      purpose: "join",
      expect: () => true,
      signal: new AbortController().signal,
    });
  const closed = async (): Promise<string> => {
    const socket = await dial();
    return await new Promise((resolve) => {
      socket.listen({ received: () => resolve("bytes"), flushed: () => undefined, closed: () => resolve("closed") });
    });
  };
  expect(await closed()).toBe("closed");

  const { promise: taken, resolve: take } = Promise.withResolvers<Uint8Array>();
  alpha.joining = (socket) => {
    socket.listen({ received: (bytes) => socket.write(bytes), flushed: () => undefined, closed: () => undefined });
    take(socket.channelBinding());
  };
  const socket = await dial();
  const { promise: echoed, resolve: echo } = Promise.withResolvers<Uint8Array>();
  socket.listen({ received: echo, flushed: () => undefined, closed: () => undefined });
  socket.write(Uint8Array.of(1, 2, 3));
  expect(new Uint8Array(await echoed)).toEqual(Uint8Array.of(1, 2, 3));
  expect(socket.channelBinding()).toEqual(await taken);
  expect(peerIdOf(alpha.identity.publicKey)).toBe(alpha.id);
  socket.end();
});
