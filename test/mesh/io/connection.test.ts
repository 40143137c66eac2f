// A member that does not keep to the protocol, over a real connection: it loses that connection, and nobody else notices.

import { describe, expect, test } from "bun:test";
import { LIMITS } from "../../../src/base/limits.ts";
import { BODY_BYTES, FRAME, type Frame, frameHead, FrameReader, valueFrame } from "../../../src/mesh/frames.ts";
import type { SecureSocket } from "../../../src/mesh/io/secure-socket.ts";
import { dialTls } from "../../../src/mesh/io/tls.ts";
import { unpackValue } from "../../../src/mesh/wire-value.ts";
import { identityNamed, TestMesh, type TestMachine } from "../../support/test-mesh.ts";

const TIMES = { timeoutMs: 5_000 };
const HELLO = valueFrame(FRAME.hello, 0, { least: 1, most: 1, version: "0.1.0", instance: "0123456789abcdef" });

/** A member that writes its frames by hand. */
class Liar {
  readonly frames: Frame[] = [];
  readonly closed: Promise<void>;
  readonly #socket: SecureSocket;
  #wake = (): void => undefined;

  constructor(socket: SecureSocket) {
    this.#socket = socket;
    const reader = new FrameReader();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    socket.listen({
      received: (bytes) => {
        reader.push(bytes, (frame) => {
          if (frame.kind !== FRAME.ping) this.frames.push({ ...frame, body: new Uint8Array(frame.body) });
        });
        this.#wake();
      },
      flushed: () => undefined,
      closed: () => resolve(),
    });
    this.say(HELLO);
  }

  say(...frames: readonly Uint8Array[]): void {
    for (const bytes of frames) this.#socket.write(bytes);
  }

  /** Waits for as many frames beside hello and pings, and gives them as [kind, id, value]. */
  async heard(count: number): Promise<readonly (readonly unknown[])[]> {
    while (this.frames.length < count + 1) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    return this.frames.slice(1).map(({ kind, id, body }) => [kind, id, body.length === 0 ? null : unpackValue(body)]);
  }

  end(): void {
    this.#socket.end();
  }
}

async function against(alpha: TestMachine, lane: "control" | "bulk" = "control"): Promise<Liar> {
  const signal = new AbortController().signal;
  const identity = identityNamed("mallory");
  return new Liar(await dialTls({ identity, address: alpha.address, purpose: lane, expect: () => true, signal }));
}

/** alpha and beta, linked; and mallory, a member that alpha has not met. */
async function three() {
  const mesh = new TestMesh();
  const [alpha, beta] = [mesh.start("alpha"), mesh.start("beta")];
  mesh.roster.set(identityNamed("mallory").id, { name: "mallory", roles: ["submitter"] });
  alpha.links.onCall("echo", (params) => params);
  await mesh.link(alpha, beta);
  const servesOthers = async (): Promise<void> => {
    expect(await beta.links.call(alpha.id, "echo", 1, TIMES)).toBe(1);
  };
  return { alpha, servesOthers, [Symbol.asyncDispose]: async () => await mesh[Symbol.asyncDispose]() };
}

describe("a member that", () => {
  const faults: readonly (readonly [string, readonly Uint8Array[]])[] = [
    ["promises a frame over the limit", [frameHead(FRAME.call, 1, BODY_BYTES + 1)]],
    ["sends a value that is none", [frameHead(FRAME.call, 1, 4), Uint8Array.of(0xdd, 0xff, 0xff, 0xff)]],
    ["sends an extension", [frameHead(FRAME.word, 0, 3), Uint8Array.of(0xd4, 0x72, 0x40)]],
    ["answers what nobody asked", [valueFrame(FRAME.answer, 7, 1)]],
    ["sends noise", [Uint8Array.from({ length: 5_000 }, (_, index) => (index * 73) % 256)]],
    ["says hello again", [HELLO]],
  ];
  for (const [what, frames] of faults) {
    test(`${what} loses its connection`, async () => {
      await using on = await three();
      const liar = await against(on.alpha);
      await on.alpha.saw("linked mallory");
      liar.say(...frames);
      await liar.closed;
      await on.alpha.saw("lost mallory");
      await on.servesOthers();
    });
  }

  test("ends in the middle of a frame is lost at once", async () => {
    await using on = await three();
    const liar = await against(on.alpha);
    await on.alpha.saw("linked mallory");
    liar.say(frameHead(FRAME.call, 1, 1_000), new Uint8Array(10));
    liar.end();
    await on.alpha.saw("lost mallory");
    await on.servesOthers();
  });

  test("stops in the middle of a frame still gets nothing wrong: others are served, it is as silent as it is", async () => {
    await using on = await three();
    const liar = await against(on.alpha);
    await on.alpha.saw("linked mallory");
    liar.say(
      valueFrame(FRAME.call, 1, ["echo", "first"]),
      valueFrame(FRAME.call, 2, ["echo", "second"]).subarray(0, 12),
    );
    expect(await liar.heard(1)).toEqual([[FRAME.answer, 1, "first"]]);
    await on.servesOthers();
    expect(on.alpha.events).not.toContain("lost mallory");
  });

  test("floods calls has those over the limit refused, and the others answered", async () => {
    await using on = await three();
    const { promise: go, resolve: letGo } = Promise.withResolvers<void>();
    on.alpha.links.onCall("wait", async () => await go);
    const liar = await against(on.alpha);
    const count = LIMITS.connectionCalls + 50;
    for (let id = 1; id <= count; id++) liar.say(valueFrame(FRAME.call, id, ["wait", null]));
    const refused = await liar.heard(50);
    expect(refused.map(([kind, id]) => [kind, id])).toEqual(
      Array.from({ length: 50 }, (_, index) => [FRAME.failure, LIMITS.connectionCalls + 1 + index]),
    );
    await on.servesOthers();
    letGo();
    expect((await liar.heard(count)).slice(50).every(([kind]) => kind === FRAME.answer)).toBe(true);
  });

  test("opens endless streams and gives no credit holds no more than the limit of them", async () => {
    await using on = await three();
    let running = 0;
    on.alpha.links.onStream("endless", async function* () {
      running++;
      try {
        for (;;) yield new Uint8Array(100_000);
      } finally {
        running--;
      }
    });
    const liar = await against(on.alpha, "bulk");
    const count = LIMITS.connectionStreams + 10;
    // A bulk connection of a machine that has none for control is not served: it has to say who it is first.
    const control = await against(on.alpha);
    await on.alpha.saw("linked mallory");
    for (let id = 1; id <= count; id++) control.say(valueFrame(FRAME.open, id, ["endless", null, 1]));
    const failures = (await control.heard(10 + LIMITS.connectionStreams)).filter(([kind]) => kind === FRAME.failure);
    expect(failures).toHaveLength(10);
    expect(running).toBe(LIMITS.connectionStreams);
    await on.servesOthers();
    control.end();
    liar.end();
    await on.alpha.saw("lost mallory");
    expect(running).toBe(0);
  });

  test("opens more connections than it may has those over the limit closed", async () => {
    await using on = await three();
    const dials = Array.from({ length: LIMITS.connectionsPerPeer + 3 }, async () => await against(on.alpha, "bulk"));
    const liars = await Promise.all(dials);
    await Promise.race(liars.map(async ({ closed }) => await closed));
    await on.servesOthers();
    for (const liar of liars) liar.end();
  });
});
