// What the call half of `Peers` promises, held to both who implement it: real machines over TLS, and the mesh in memory that
// other tests use.

import { describe, expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import { LIMITS } from "../../src/base/limits.ts";
import { type PeerId, peerIdOf } from "../../src/base/ids.ts";
import type { Caller, Peers } from "../../src/mesh/peers.ts";
import type { Role } from "../../src/mesh/roles.ts";
import { streamFrom } from "../../src/mesh/stream-from.ts";
import { MeshHub } from "../fake/mesh-hub.ts";
import { failureOf } from "../support/failure.ts";
import { TestMesh } from "../support/test-mesh.ts";

type Machine = Pick<Peers, "self" | "call" | "tell" | "pull" | "onCall" | "onWord" | "onStream">;

interface Mesh extends AsyncDisposable {
  add(name: string, roles?: readonly Role[]): Machine;
  link(a: Machine, b: Machine): Promise<void>;
  cut(a: Machine, b: Machine): void;
}

function meshOverTls(): Mesh {
  const mesh = new TestMesh();
  const machines = new Map<PeerId, ReturnType<TestMesh["start"]>>();
  const of = (machine: Machine) => machines.get(machine.self)!;
  return {
    add: (name, roles) => {
      const machine = mesh.start(name, roles === undefined ? {} : { roles });
      machines.set(machine.id, machine);
      return machine.links;
    },
    link: async (a, b) => await mesh.link(of(a), of(b)),
    cut: (a, b) => of(a).links.drop(b.self, new MeshError("peer.unreachable", "The test cuts the link")),
    [Symbol.asyncDispose]: async () => await mesh[Symbol.asyncDispose](),
  };
}

function meshInMemory(): Mesh {
  const hub = new MeshHub();
  return {
    add: (name, roles) => hub.add(name, roles),
    link: async () => undefined,
    cut: (a, b) => hub.cut(a.self, b.self),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

const TIMES = { timeoutMs: 5_000 };

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return new Uint8Array(Buffer.concat(all));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

for (const [kind, makeMesh] of [
  ["over TLS", meshOverTls],
  ["in memory", meshInMemory],
] as const) {
  /** Two machines that are linked: alpha dialled. */
  async function two(roles: readonly Role[] = ["worker", "submitter"]) {
    const mesh = makeMesh();
    const [alpha, beta] = [mesh.add("alpha", roles), mesh.add("beta")];
    await mesh.link(alpha, beta);
    return { mesh, alpha, beta, [Symbol.asyncDispose]: async () => await mesh[Symbol.asyncDispose]() };
  }

  describe(`Peers ${kind}: call()`, () => {
    test("gives what the handler gives, in both directions", async () => {
      await using on = await two();
      const seen: Omit<Caller, "signal">[] = [];
      for (const machine of [on.alpha, on.beta])
        machine.onCall("echo", (params, { peer, name, roles }) => {
          seen.push({ peer, name, roles });
          return { params };
        });
      const params = { text: "é", list: [1, -2, 2.5, null, true], bytes: Uint8Array.of(1, 2) };
      expect(await on.alpha.call(on.beta.self, "echo", params, TIMES)).toEqual({
        params: { ...params, bytes: expect.anything() as unknown },
      });
      expect(await on.beta.call(on.alpha.self, "echo", 5, { ...TIMES, lane: "bulk" })).toEqual({ params: 5 });
      expect(seen).toEqual([
        { peer: on.alpha.self, name: "alpha", roles: ["worker", "submitter"] },
        { peer: on.beta.self, name: "beta", roles: ["worker", "submitter"] },
      ]);
    });

    test("reaches this machine itself in the same way", async () => {
      await using on = await two(["worker"]);
      on.alpha.onCall("echo", (params) => ({ params }));
      on.alpha.onCall("admin", () => 1, { needs: ["admin"] });
      const given = { left: undefined, list: [1] };
      expect(await on.alpha.call(on.alpha.self, "echo", given, TIMES)).toEqual({ params: { list: [1] } });
      expect(await failureOf(on.alpha.call(on.alpha.self, "admin", 0, TIMES))).toEqual({
        code: "peer.refused",
        message: "alpha may not use admin: it needs the role admin",
      });
    });

    test("carries copies, and null for nothing", async () => {
      await using on = await two();
      const kept = { count: 1 };
      on.beta.onCall("kept", () => kept);
      on.beta.onCall("nothing", () => undefined);
      const got = (await on.alpha.call(on.beta.self, "kept", null, TIMES)) as { count: number };
      got.count = 2;
      expect(kept).toEqual({ count: 1 });
      expect(await on.alpha.call(on.beta.self, "nothing", undefined, TIMES)).toBeNull();
    });

    test("fails with the code and message of the handler's error, and without the text of any other", async () => {
      await using on = await two();
      on.beta.onCall("known", () => {
        throw new MeshError("blob.missing", "No blob here", { cause: new Error("/secret/path") });
      });
      on.beta.onCall("unknown", () => {
        throw new Error("password: 1234");
      });
      expect(await failureOf(on.alpha.call(on.beta.self, "known", null, TIMES))).toEqual({
        code: "blob.missing",
        message: "No blob here",
      });
      const failed = await on.alpha.call(on.beta.self, "unknown", null, TIMES).catch((error: unknown) => error);
      expect((failed as MeshError).toJSON()).toMatchObject({
        code: "peer.failed",
        message: "The handler of unknown failed",
        causes: [],
      });
    });

    test("is refused without the role that the method needs, and without a method", async () => {
      await using on = await two(["submitter"]);
      let ran = 0;
      on.beta.onCall("run", () => ran++, { needs: ["admin", "worker"] });
      expect(await failureOf(on.alpha.call(on.beta.self, "run", null, TIMES))).toEqual({
        code: "peer.refused",
        message: "alpha may not use run: it needs the role admin or worker",
      });
      expect(await failureOf(on.alpha.call(on.beta.self, "no.such", null, TIMES))).toEqual({
        code: "peer.version",
        message: "There is no call no.such here",
      });
      expect(ran).toBe(0);
    });

    test("refuses params that no message can hold", async () => {
      await using on = await two();
      on.beta.onCall("echo", (params) => params);
      for (const params of [new Date(0), 5n]) {
        const { code, message } = await failureOf(on.alpha.call(on.beta.self, "echo", params, TIMES));
        expect(code).toBe("usage.invalid");
        expect(message).toStartWith("Cannot send a value to another machine");
      }
      expect(await on.alpha.call(on.beta.self, "echo", 1, TIMES)).toBe(1);
    });

    test("fails after its time, and tells the handler", async () => {
      await using on = await two();
      const { promise: gone, resolve } = Promise.withResolvers<void>();
      on.beta.onCall("slow", async (_, { signal }) => {
        await aborted(signal);
        resolve();
      });
      expect(await failureOf(on.alpha.call(on.beta.self, "slow", null, { timeoutMs: 30 }))).toEqual({
        code: "peer.timeout",
        message: "beta did not answer slow within 30 ms",
      });
      await gone;
    });

    test("fails with the reason of the caller's signal, and tells the handler", async () => {
      await using on = await two();
      const { promise: gone, resolve: seeGone } = Promise.withResolvers<void>();
      const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
      on.beta.onCall("slow", async (_, { signal }) => {
        begin();
        await aborted(signal);
        seeGone();
      });
      const controller = new AbortController();
      const call = on.alpha.call(on.beta.self, "slow", null, { ...TIMES, signal: controller.signal });
      await begun;
      controller.abort(new Error("not needed"));
      expect(await failureOf(call)).toEqual({ code: "Error", message: "not needed" });
      await gone;
      expect(
        await failureOf(on.alpha.call(on.beta.self, "slow", null, { ...TIMES, signal: controller.signal })),
      ).toEqual({ code: "Error", message: "not needed" });
    });

    test("of a machine that is not there fails", async () => {
      await using on = await two();
      const nobody = peerIdOf(new Uint8Array(32));
      expect((await failureOf(on.alpha.call(nobody, "echo", null, TIMES))).code).toBe("peer.unreachable");
      expect(
        (await failureOf(collect(streamFrom(on.alpha, nobody, { method: "blob", params: null }, TIMES)))).code,
      ).toBe("peer.unreachable");
      expect(on.alpha.tell(nobody, "beat", null)).toBe(false);
    });

    test("fails when the link is cut, on both sides", async () => {
      await using on = await two();
      const { promise: gone, resolve: seeGone } = Promise.withResolvers<void>();
      const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
      on.beta.onCall("slow", async (_, { signal }) => {
        begin();
        await aborted(signal);
        seeGone();
      });
      const call = on.alpha.call(on.beta.self, "slow", null, TIMES);
      await begun;
      on.mesh.cut(on.alpha, on.beta);
      expect((await failureOf(call)).code).toBe("peer.unreachable");
      await gone;
      expect((await failureOf(on.alpha.call(on.beta.self, "slow", null, TIMES))).code).toBe("peer.unreachable");
      expect(on.alpha.tell(on.beta.self, "beat", null)).toBe(false);
    });

    test("many at once are each answered with their own answer", async () => {
      await using on = await two();
      on.beta.onCall("double", (value) => 2 * (value as number));
      const answers = await Promise.all(
        Array.from({ length: 500 }, (_, value) => on.alpha.call(on.beta.self, "double", value, TIMES)),
      );
      expect(answers).toEqual(Array.from({ length: 500 }, (_, value) => 2 * value));
    });
  });

  describe(`Peers ${kind}: tell()`, () => {
    test("says words in order, to this machine too", async () => {
      await using on = await two();
      for (const target of [on.beta, on.alpha]) {
        const heard: unknown[] = [];
        const { promise, resolve } = Promise.withResolvers<void>();
        target.onWord("beat", (params, caller) => {
          heard.push([params, caller.name]);
          if (heard.length === 100) resolve();
        });
        for (let n = 0; n < 100; n++) expect(on.alpha.tell(target.self, "beat", { n })).toBe(true);
        expect(heard).toEqual([]);
        await promise;
        expect(heard).toEqual(Array.from({ length: 100 }, (_, n) => [{ n }, "alpha"]));
      }
    });

    test("a word that nobody listens to, or that is not allowed, is not heard and harms nothing", async () => {
      await using on = await two(["submitter"]);
      let heard = 0;
      on.beta.onWord("admin", () => heard++, { needs: ["admin"] });
      on.beta.onCall("echo", (params) => params);
      expect(on.alpha.tell(on.beta.self, "no.such", null)).toBe(true);
      expect(on.alpha.tell(on.beta.self, "admin", null)).toBe(true);
      expect(await on.alpha.call(on.beta.self, "echo", 1, TIMES)).toBe(1);
      expect(heard).toBe(0);
    });

    test("a word whose handler throws closes the connection", async () => {
      await using on = await two();
      on.beta.onWord("beat", (params) => {
        throw new MeshError("peer.misbehaved", `Bad ${params as string}`);
      });
      on.beta.onCall("echo", (params) => params);
      on.beta.onCall("never", async (_, { signal }) => await aborted(signal));
      const call = failureOf(on.alpha.call(on.beta.self, "never", null, TIMES));
      on.alpha.tell(on.beta.self, "beat", "beat");
      expect((await call).code).toBe("peer.unreachable");
      expect((await failureOf(on.alpha.call(on.beta.self, "echo", 1, TIMES))).code).toBe("peer.unreachable");
    });
  });

  describe(`Peers ${kind}: stream()`, () => {
    const bytes = Uint8Array.from({ length: 10_000_000 }, (_, index) => (index * 7 + (index >> 9)) % 251);

    async function* sliced(size: number): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    }

    test("brings all bytes in order, whatever their pieces, in both directions and from itself", async () => {
      await using on = await two();
      for (const machine of [on.alpha, on.beta])
        machine.onStream("blob", async function* (params) {
          yield new Uint8Array(0);
          yield* sliced(params as number);
        });
      const from = async (machine: Machine, target: Machine, size: number): Promise<void> => {
        const got = await collect(streamFrom(machine, target.self, { method: "blob", params: size }, TIMES));
        expect(Bun.hash(got)).toBe(Bun.hash(bytes));
        expect(got.length).toBe(bytes.length);
      };
      await from(on.alpha, on.beta, bytes.length);
      await from(on.beta, on.alpha, 99_999);
      await from(on.alpha, on.alpha, 1_000_000);
      await Promise.all([
        from(on.alpha, on.beta, 50_000),
        from(on.alpha, on.beta, 1_234_567),
        from(on.beta, on.alpha, 800_000),
      ]);
    });

    test("takes pieces that lie in the same memory, one after another", async () => {
      await using on = await two();
      const memory = new Uint8Array(300_000);
      on.beta.onStream("counted", async function* () {
        for (let piece = 0; piece < 40; piece++) yield memory.fill(piece);
      });
      const counts = new Map<number, number>();
      await on.alpha.pull(on.beta.self, "counted", null, {
        ...TIMES,
        take: (bytes) => {
          for (const byte of bytes) counts.set(byte, (counts.get(byte) ?? 0) + 1);
          return undefined;
        },
      });
      expect([...counts]).toEqual(Array.from({ length: 40 }, (_, piece) => [piece, memory.length]));
    });

    test("what the taker throws ends the stream, and stops the sender", async () => {
      await using on = await two();
      const { promise: stopped, resolve } = Promise.withResolvers<boolean>();
      on.beta.onStream("endless", async function* (_, { signal }) {
        try {
          for (;;) yield new Uint8Array(100_000);
        } finally {
          resolve(signal.aborted);
        }
      });
      const took = on.alpha.pull(on.beta.self, "endless", null, {
        ...TIMES,
        take: () => {
          throw new MeshError("store.full", "There is no room");
        },
      });
      expect(await failureOf(took)).toEqual({ code: "store.full", message: "There is no room" });
      expect(await stopped).toBe(true);
    });

    test("fails with the handler's error after the bytes before it", async () => {
      await using on = await two(["submitter"]);
      on.beta.onStream("broken", async function* () {
        yield Uint8Array.of(1, 2, 3);
        throw new MeshError("blob.missing", "It is gone");
      });
      on.beta.onStream("bug", async function* () {
        yield* [];
        throw new Error("password: 1234");
      });
      on.beta.onStream("admin", () => sliced(1_000), { needs: ["admin"] });
      expect(
        await failureOf(collect(streamFrom(on.alpha, on.beta.self, { method: "broken", params: null }, TIMES))),
      ).toEqual({
        code: "blob.missing",
        message: "It is gone",
      });
      expect(
        await failureOf(collect(streamFrom(on.alpha, on.beta.self, { method: "bug", params: null }, TIMES))),
      ).toEqual({
        code: "peer.failed",
        message: "The handler of bug failed",
      });
      expect(
        (await failureOf(collect(streamFrom(on.alpha, on.beta.self, { method: "admin", params: null }, TIMES)))).code,
      ).toBe("peer.refused");
      expect(
        (await failureOf(collect(streamFrom(on.alpha, on.beta.self, { method: "no.such", params: null }, TIMES)))).code,
      ).toBe("peer.version");
    });

    test("stops the sender when the reader ends early", async () => {
      await using on = await two();
      const { promise: stopped, resolve } = Promise.withResolvers<boolean>();
      on.beta.onStream("endless", async function* (_, { signal }) {
        try {
          for (;;) yield new Uint8Array(100_000);
        } finally {
          resolve(signal.aborted);
        }
      });
      let count = 0;
      for await (const piece of streamFrom(on.alpha, on.beta.self, { method: "endless", params: null }, TIMES)) {
        count += piece.length;
        if (count > 3_000_000) break;
      }
      expect(await stopped).toBe(true);
    });

    test("does not run ahead of its reader without a bound", async () => {
      await using on = await two();
      let given = 0;
      on.beta.onStream("endless", async function* () {
        for (;;) {
          given++;
          yield new Uint8Array(1_000_000);
        }
      });
      on.beta.onCall("given", () => given);
      const reader = streamFrom(on.alpha, on.beta.self, { method: "endless", params: null }, TIMES)[
        Symbol.asyncIterator
      ]();
      await reader.next();
      for (let asks = 0; asks < 50; asks++) await on.alpha.call(on.beta.self, "given", null, TIMES);
      expect(given).toBeLessThan(LIMITS.streamWindowBytes / 1_000_000 + 4);
      await reader.return?.();
    });

    test("fails when no piece comes in time, and when the link is cut", async () => {
      await using on = await two();
      on.beta.onStream("slow", async function* (_, { signal }) {
        yield Uint8Array.of(1);
        await aborted(signal);
      });
      expect(
        await failureOf(
          collect(streamFrom(on.alpha, on.beta.self, { method: "slow", params: null }, { timeoutMs: 30 })),
        ),
      ).toEqual({
        code: "peer.timeout",
        message: "beta did not answer slow within 30 ms",
      });
      const reader = streamFrom(on.alpha, on.beta.self, { method: "slow", params: null }, TIMES)[
        Symbol.asyncIterator
      ]();
      await reader.next();
      const rest = failureOf(reader.next());
      on.mesh.cut(on.alpha, on.beta);
      expect((await rest).code).toBe("peer.unreachable");
    });
  });
}
