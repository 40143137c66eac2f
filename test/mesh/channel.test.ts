// One connection's machine, told stories: two of them whose bytes are carried by hand, and one against a peer that lies.

import { describe, expect, test } from "bun:test";
import { LIMITS } from "../../src/base/limits.ts";
import { Channel } from "../../src/mesh/channel.ts";
import type { ChannelEffect, ChannelEvent } from "../../src/mesh/channel-event.ts";
import { FRAME, frameHead, FrameReader, valueFrame } from "../../src/mesh/frames.ts";
import { type Hello, helloValue, PROTOCOL } from "../../src/mesh/hello.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

const hello = (fields: Partial<Hello> = {}): Hello => ({
  protocol: PROTOCOL,
  version: "0.1.0",
  instance: "0123456789abcdef",
  ...fields,
});

/** A machine, and what it did. */
class End {
  readonly channel: Channel;
  readonly done: ChannelEffect[] = [];
  outgoing: Uint8Array[] = [];
  nowMs = 0;

  constructor(name: string, fields: Partial<Hello> = {}) {
    this.channel = new Channel({ hello: hello(fields), peerName: name });
    this.step({ kind: "opened" });
  }

  step(event: ChannelEvent): this {
    for (const effect of this.channel.step(event, this.nowMs)) {
      if (effect.kind === "send") this.outgoing.push(effect.bytes);
      else this.done.push(effect);
    }
    return this;
  }

  /** All bytes that wait, and the machine told that they went out. */
  takeBytes(): Uint8Array {
    const bytes = new Uint8Array(Buffer.concat(this.outgoing));
    this.outgoing = [];
    this.step({ kind: "flushed", queuedBytes: 0 });
    return bytes;
  }

  /** Kinds of the frames that wait. */
  get kinds(): readonly number[] {
    const kinds: number[] = [];
    new FrameReader().push(new Uint8Array(Buffer.concat(this.outgoing)), ({ kind }) => kinds.push(kind));
    return kinds;
  }

  /** What it did since it was asked last, without round trips. */
  take(): readonly ChannelEffect[] {
    return this.done.splice(0).filter(({ kind }) => kind !== "round-trip");
  }
}

function carry(a: End, b: End): void {
  for (let rounds = 0; a.outgoing.length + b.outgoing.length > 0; rounds++) {
    if (rounds > 10_000) throw new Error("The two never become quiet");
    if (a.outgoing.length > 0) b.step({ kind: "received", bytes: a.takeBytes() });
    if (b.outgoing.length > 0) a.step({ kind: "received", bytes: b.takeBytes() });
  }
}

function pair(a: Partial<Hello> = {}, b: Partial<Hello> = {}): readonly [End, End] {
  const ends = [new End("beta", a), new End("alpha", b)] as const;
  carry(...ends);
  return ends;
}

function openPair(): readonly [End, End] {
  const [a, b] = pair();
  a.take();
  b.take();
  return [a, b];
}

/** A machine whose peer is ours to write: it has said hello. */
function againstLiar(): End {
  const end = new End("mallory");
  end.step({ kind: "received", bytes: valueFrame(FRAME.hello, 0, helloValue(hello())) });
  end.take();
  end.takeBytes();
  return end;
}

const received = (end: End, ...frames: readonly Uint8Array[]): readonly ChannelEffect[] => {
  for (const bytes of frames) end.step({ kind: "received", bytes });
  return end.take();
};

const closedFor = (what: string): ChannelEffect => ({
  kind: "close",
  error: { code: "peer.misbehaved", message: `Closed the connection to mallory: ${what}` },
});

describe("hello", () => {
  test("two machines agree on the highest version both speak", () => {
    const [a, b] = pair({ protocol: { least: 1, most: 3 } }, { protocol: { least: 2, most: 5 }, version: "9.0" });
    expect(a.take()).toEqual([
      { kind: "ready", hello: hello({ protocol: { least: 2, most: 5 }, version: "9.0" }), protocol: 3 },
    ]);
    expect(b.take()).toEqual([{ kind: "ready", hello: hello({ protocol: { least: 1, most: 3 } }), protocol: 3 }]);
  });

  test("two machines without a common version both say who must be updated", () => {
    const [a, b] = pair({ protocol: { least: 1, most: 2 } }, { protocol: { least: 3, most: 4 }, version: "9.0" });
    const close = (message: string): ChannelEffect => ({ kind: "close", error: { code: "peer.version", message } });
    expect(a.take()).toEqual([
      close(
        "Cannot speak with beta: it speaks protocol 3 to 4, this machine 1 to 2; this machine (mesh 0.1.0) must be updated",
      ),
    ]);
    expect(b.take()).toEqual([
      close(
        "Cannot speak with alpha: it speaks protocol 1 to 2, this machine 3 to 4; alpha (mesh 0.1.0) must be updated",
      ),
    ]);
  });

  test("fields of a later version are passed over", () => {
    const end = new End("beta");
    const value = { ...(helloValue(hello()) as object), color: "red" };
    expect(received(end, valueFrame(FRAME.hello, 0, value))[0]?.kind).toBe("ready");
  });

  const bad: readonly (readonly [string, unknown])[] = [
    ["nothing", null],
    ["a list", [1, 2]],
    ["a range upside down", { least: 2, most: 1, version: "1", instance: "0123456789abcdef" }],
    ["a version that is no text", { least: 1, most: 1, version: 1, instance: "0123456789abcdef" }],
    ["an instance with a path in it", { least: 1, most: 1, version: "1", instance: "../../etc/passwd" }],
  ];
  for (const [what, value] of bad) {
    test(`a hello of ${what} closes the connection`, () => {
      const [effect] = received(new End("mallory"), valueFrame(FRAME.hello, 0, value));
      expect(effect).toMatchObject({ kind: "close", error: { code: "peer.misbehaved" } });
    });
  }

  test("anything before hello, and a second hello, close the connection", () => {
    expect(received(new End("mallory"), valueFrame(FRAME.call, 1, ["a", 1]))).toEqual([
      closedFor("it did not say hello"),
    ]);
    const again = valueFrame(FRAME.hello, 0, helloValue(hello()));
    expect(received(againstLiar(), again)).toEqual([closedFor("it said hello twice")]);
  });

  test("a peer that does not say hello in time is closed", () => {
    const end = new End("mallory");
    end.nowMs = LIMITS.handshakeMs + 1;
    expect(end.step({ kind: "ticked" }).take()).toEqual([closedFor("it did not say hello in time")]);
  });
});

describe("calls", () => {
  test("a call is answered, in both directions, out of order", () => {
    const [a, b] = openPair();
    a.step({ kind: "call", id: 1, method: "add", params: { x: 1 } }).step({
      kind: "call",
      id: 2,
      method: "sub",
      params: null,
    });
    b.step({ kind: "call", id: 1, method: "mul", params: [] });
    carry(a, b);
    expect(a.take()).toEqual([{ kind: "called", id: 1, method: "mul", params: [] }]);
    expect(b.take()).toEqual([
      { kind: "called", id: 1, method: "add", params: { x: 1 } },
      { kind: "called", id: 2, method: "sub", params: null },
    ]);
    b.step({ kind: "answer", id: 2, value: "two" }).step({ kind: "answer", id: 1, value: undefined });
    a.step({ kind: "fail", id: 1, error: { code: "blob.missing", message: "gone" } });
    carry(a, b);
    expect(a.take()).toEqual([
      { kind: "answered", id: 2, value: "two" },
      { kind: "answered", id: 1, value: null },
    ]);
    expect(b.take()).toEqual([{ kind: "failed", id: 1, error: { code: "blob.missing", message: "gone" } }]);
    expect([a.channel.busy, b.channel.busy]).toEqual([0, 0]);
  });

  test("a call that is given up is cancelled there; its answer is passed over", () => {
    const [a, b] = openPair();
    a.step({ kind: "call", id: 1, method: "slow", params: null });
    carry(a, b);
    b.take();
    a.step({ kind: "cancel", id: 1 });
    b.step({ kind: "answer", id: 1, value: "late" });
    carry(a, b);
    expect(a.take()).toEqual([]);
    expect(b.take()).toEqual([]);
    a.step({ kind: "call", id: 2, method: "slow", params: null });
    carry(a, b);
    a.step({ kind: "cancel", id: 2 });
    carry(a, b);
    expect(b.take().at(-1)).toEqual({ kind: "cancelled", id: 2 });
  });

  test("codes that are not in our table, and control characters, do not pass", () => {
    const end = againstLiar();
    end
      .step({ kind: "call", id: 1, method: "a", params: null })
      .step({ kind: "call", id: 2, method: "a", params: null });
    const failures = [
      valueFrame(FRAME.failure, 1, ["toString", "a\u001b[2Jb"]),
      valueFrame(FRAME.failure, 2, { code: 1 }),
    ];
    expect(received(end, ...failures)).toEqual([
      { kind: "failed", id: 1, error: { code: "peer.failed", message: "a [2Jb" } },
      { kind: "failed", id: 2, error: { code: "peer.failed", message: "It did not say why" } },
    ]);
  });

  test("an answer that cannot be sent fails the call there and throws here", () => {
    const [a, b] = openPair();
    a.step({ kind: "call", id: 1, method: "date", params: null });
    carry(a, b);
    expect(() => b.step({ kind: "answer", id: 1, value: new Date(0) })).toThrow("Cannot send a value");
    b.step({ kind: "flushed", queuedBytes: 0 });
    carry(a, b);
    expect(a.take()).toEqual([
      { kind: "failed", id: 1, error: { code: "peer.failed", message: "The answer cannot be sent" } },
    ]);
  });

  test("words come in order and want no answer", () => {
    const [a, b] = openPair();
    for (let n = 0; n < 3; n++) a.step({ kind: "word", method: "beat", params: n });
    carry(a, b);
    expect(b.take()).toEqual([0, 1, 2].map((params) => ({ kind: "told", method: "beat", params })));
    expect(b.kinds).toEqual([]);
  });

  test("when too much waits, new calls fail at once and nothing is lost of what waits", () => {
    const [a] = openPair();
    const params = new Uint8Array(900_000);
    for (let id = 1; id <= 5; id++) a.step({ kind: "call", id, method: "put", params });
    expect(a.channel.isFull).toBe(true);
    a.step({ kind: "call", id: 6, method: "put", params: null });
    expect(a.take()).toEqual([
      {
        kind: "failed",
        id: 6,
        error: { code: "peer.unreachable", message: "Cannot reach beta: too much is waiting to be sent to it" },
      },
    ]);
    a.takeBytes();
    expect(a.channel.isFull).toBe(false);
  });
});

describe("streams", () => {
  test("bytes go only as far as the reader's credit, piece by piece, to the end", () => {
    const [a, b] = openPair();
    a.step({ kind: "open", id: 1, method: "blob", params: "x" });
    carry(a, b);
    expect(b.take()).toEqual([{ kind: "asked", id: 1, method: "blob", params: "x" }]);
    const piece = Uint8Array.from({ length: LIMITS.streamWindowBytes + 1_000 }, (_, index) => index % 251);
    b.step({ kind: "piece", id: 1, bytes: piece });
    carry(a, b);
    const first = dataOf(a);
    expect(first).toEqual(piece.slice(0, LIMITS.streamWindowBytes));
    expect(b.take()).toEqual([]);
    a.step({ kind: "consumed", id: 1, bytes: first.length });
    carry(a, b);
    expect(dataOf(a)).toEqual(piece.slice(LIMITS.streamWindowBytes));
    expect(b.take()).toEqual([{ kind: "wanted", id: 1 }]);
    b.step({ kind: "end", id: 1 });
    carry(a, b);
    expect(a.take()).toEqual([{ kind: "ended", id: 1 }]);
    expect([a.channel.busy, b.channel.busy]).toEqual([0, 0]);
  });

  test("several streams take turns, and leave room for words between them", () => {
    const [a, b] = openPair();
    for (const id of [1, 2, 3]) a.step({ kind: "open", id, method: "blob", params: null });
    carry(a, b);
    b.take();
    for (const id of [1, 2, 3]) b.step({ kind: "piece", id, bytes: new Uint8Array(2_000_000) });
    b.step({ kind: "word", method: "beat", params: null });
    const ids: number[] = [];
    const reader = new FrameReader();
    for (let turn = 0; turn < 2; turn++) {
      const bytes = b.takeBytes();
      expect(bytes.length).toBeLessThan(LIMITS.queueBulkBytes + 600_000);
      reader.push(bytes, ({ id }) => ids.push(id));
    }
    expect(ids).toEqual([1, 1, 0, 2, 3]);
  });

  test("a reader that ends early stops the sender; bytes under way are passed over", () => {
    const [a, b] = openPair();
    a.step({ kind: "open", id: 1, method: "blob", params: null });
    carry(a, b);
    b.take();
    b.step({ kind: "piece", id: 1, bytes: new Uint8Array(100) });
    a.step({ kind: "cancel", id: 1 });
    carry(a, b);
    expect(a.take()).toEqual([]);
    expect(b.take()).toEqual([{ kind: "cancelled", id: 1 }]);
    b.step({ kind: "piece", id: 1, bytes: new Uint8Array(100) }).step({ kind: "end", id: 1 });
    expect(b.outgoing).toEqual([]);
  });

  test("a stream can fail after some bytes", () => {
    const [a, b] = openPair();
    a.step({ kind: "open", id: 1, method: "blob", params: null });
    carry(a, b);
    b.step({ kind: "piece", id: 1, bytes: new Uint8Array(10) });
    b.step({ kind: "fail", id: 1, error: { code: "blob.missing", message: "gone" } });
    carry(a, b);
    expect(a.take()).toEqual([
      { kind: "data", id: 1, bytes: new Uint8Array(10) },
      { kind: "failed", id: 1, error: { code: "blob.missing", message: "gone" } },
    ]);
  });

  function dataOf(end: End): Uint8Array {
    const parts = end.take().flatMap((effect) => (effect.kind === "data" ? [effect.bytes] : []));
    return new Uint8Array(Buffer.concat(parts));
  }
});

describe("time", () => {
  test("a ping measures the round trip", () => {
    const [a, b] = openPair();
    a.nowMs = 100;
    a.step({ kind: "ticked" });
    b.step({ kind: "received", bytes: a.takeBytes() });
    a.nowMs = 112;
    a.step({ kind: "received", bytes: b.takeBytes() });
    expect(a.done).toEqual([{ kind: "round-trip", ms: 12 }]);
  });

  test("a connection that goes silent is given up, with how long it was silent", () => {
    const [a] = openPair();
    for (let ms = 0; ms <= LIMITS.connectionSilentMs + 500; ms += 500) {
      a.nowMs = ms;
      a.step({ kind: "ticked" });
    }
    const message = "Lost the connection to beta: silent for 15.5 s";
    expect(a.take()).toEqual([{ kind: "close", error: { code: "peer.unreachable", message } }]);
  });

  test("a machine that slept itself does not blame the peer", () => {
    const [a] = openPair();
    a.nowMs = 500;
    a.step({ kind: "ticked" });
    a.nowMs = 3_600_000;
    expect(a.step({ kind: "ticked" }).take()).toEqual([]);
    expect(a.channel.isOpen).toBe(true);
  });

  test("a stream whose reader takes nothing is given up; the connection stays", () => {
    const [a, b] = openPair();
    a.step({ kind: "open", id: 1, method: "blob", params: null });
    carry(a, b);
    b.step({ kind: "piece", id: 1, bytes: new Uint8Array(LIMITS.streamWindowBytes + 1) });
    carry(a, b);
    a.take();
    b.take();
    for (let ms = 0; ms <= LIMITS.streamStallMs + 1_000; ms += 1_000) {
      a.nowMs = b.nowMs = ms;
      a.step({ kind: "ticked" });
      b.step({ kind: "ticked" });
      carry(a, b);
    }
    expect(b.take()).toEqual([{ kind: "cancelled", id: 1 }]);
    expect(a.take()).toMatchObject([{ kind: "failed", id: 1, error: { code: "peer.timeout" } }]);
    expect(a.channel.isOpen && b.channel.isOpen).toBe(true);
  });
});

describe("an end in order", () => {
  test("what is under way is finished, then both close", () => {
    const [a, b] = openPair();
    a.step({ kind: "call", id: 1, method: "slow", params: null });
    carry(a, b);
    b.take();
    b.step({ kind: "finish" });
    carry(a, b);
    expect(a.take()).toEqual([{ kind: "finishing" }]);
    expect(b.take()).toEqual([{ kind: "finishing" }]);
    expect(a.channel.isOpen || b.channel.isOpen).toBe(false);
    a.step({ kind: "call", id: 2, method: "new", params: null });
    expect(a.take()).toMatchObject([{ kind: "failed", id: 2, error: { code: "peer.unreachable" } }]);
    b.step({ kind: "answer", id: 1, value: "done" });
    carry(a, b);
    expect(a.take()).toEqual([
      { kind: "answered", id: 1, value: "done" },
      { kind: "close", error: null },
    ]);
    expect(b.take()).toEqual([{ kind: "close", error: null }]);
  });
});

describe("a peer that lies", () => {
  const call = (id: number): Uint8Array => valueFrame(FRAME.call, id, ["a", null]);
  const open = (id: number, credit: unknown = 1_000): Uint8Array => valueFrame(FRAME.open, id, ["a", null, credit]);

  const cases: readonly (readonly [string, readonly Uint8Array[], string])[] = [
    ["uses an id again", [call(1), call(1)], "it used the id 1 again"],
    ["uses the id 0", [call(0)], "it used the id 0 again"],
    ["answers what was never asked", [valueFrame(FRAME.answer, 9, 1)], "it answered 9, which was never asked"],
    ["fails what was never asked", [valueFrame(FRAME.failure, 1, ["a", "b"])], "it answered 1, which was never asked"],
    ["ends what was never opened", [frameHead(FRAME.end, 1, 0)], "it answered 1, which was never asked"],
    ["sends bytes for no stream", [frameHead(FRAME.data, 1, 2), new Uint8Array(2)], "it sent bytes for no stream"],
    ["names no method", [valueFrame(FRAME.call, 1, ["", null])], "it named no method"],
    ["names a method without end", [valueFrame(FRAME.word, 0, ["x".repeat(65), null])], "it named no method"],
    ["says no list", [valueFrame(FRAME.word, 0, { method: "a" })], "it named no method"],
    ["gives no credit to begin with", [open(1, 0)], "it gave credit without measure"],
    ["gives a credit of text", [open(1, "1000")], "it gave credit without measure"],
    ["gives absurd credit", [open(1, 2 ** 40)], "it gave credit without measure"],
    [
      "gives more and more credit",
      [open(1, 2 ** 30), frameHead(FRAME.credit, 1, 4), Uint8Array.of(0x3f, 0xff, 0xff, 0xff)],
      "it gave credit without measure",
    ],
    ["gives credit in no number", [open(1), frameHead(FRAME.credit, 1, 0)], "it gave credit without measure"],
  ];
  for (const [what, frames, fault] of cases) {
    test(`${what}: the connection is closed`, () => {
      expect(received(againstLiar(), ...frames).at(-1)).toEqual(closedFor(fault));
    });
  }

  test("a frame of a kind that may be skipped is skipped, another one says that a version is wanted", () => {
    expect(received(againstLiar(), frameHead(0x80, 1, 3), new Uint8Array(3))).toEqual([]);
    expect(received(againstLiar(), frameHead(0x7f, 1, 0))).toMatchObject([
      { kind: "close", error: { code: "peer.version" } },
    ]);
  });

  test("sends more of a stream than it was allowed to", () => {
    const end = againstLiar();
    end.step({ kind: "open", id: 1, method: "blob", params: null });
    const most = Math.floor(LIMITS.streamWindowBytes / 500_000) + 1;
    const frames = Array.from({ length: most }, () => [
      frameHead(FRAME.data, 1, 500_000),
      new Uint8Array(500_000),
    ]).flat();
    expect(received(end, ...frames).at(-1)).toEqual(closedFor("it sent more than it was allowed to"));
  });

  test("answers a stream as a call", () => {
    const end = againstLiar();
    end.step({ kind: "open", id: 1, method: "blob", params: null });
    expect(received(end, valueFrame(FRAME.answer, 1, 1))).toEqual([closedFor("it ended the stream 1 as a call")]);
  });

  test("floods calls: those over the limit are refused, one by one", () => {
    const end = againstLiar();
    for (let id = 1; id <= LIMITS.connectionCalls + 2; id++) end.step({ kind: "received", bytes: call(id) });
    expect(end.take()).toHaveLength(LIMITS.connectionCalls);
    expect(end.kinds).toEqual([FRAME.failure, FRAME.failure]);
    expect(end.channel.busy).toBe(LIMITS.connectionCalls);
  });

  test("opens endless streams: those over the limit are refused", () => {
    const end = againstLiar();
    for (let id = 1; id <= LIMITS.connectionStreams + 3; id++) end.step({ kind: "received", bytes: open(id) });
    expect(end.kinds).toEqual([FRAME.failure, FRAME.failure, FRAME.failure]);
    expect(end.channel.busy).toBe(LIMITS.connectionStreams);
  });

  test("asks for answers and reads none: the connection is closed, and no more is held than the limit", () => {
    const end = againstLiar();
    const answer = new Uint8Array(1_000_000);
    for (let id = 1; end.done.every(({ kind }) => kind !== "close"); id++) {
      expect(id).toBeLessThan(100);
      end.step({ kind: "received", bytes: call(id) }).step({ kind: "answer", id, value: answer });
    }
    expect(end.done.at(-1)).toEqual(closedFor("it does not read what it asked for"));
    expect(end.outgoing.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(LIMITS.queueMostBytes + 1_100_000);
  });

  test("pings without end cost no more than their answers", () => {
    const end = againstLiar();
    expect(received(end, frameHead(FRAME.ping, 5, 0), frameHead(FRAME.pong, 77, 0))).toEqual([]);
    expect(end.kinds).toEqual([FRAME.pong]);
  });

  test("nothing comes out of a closed connection", () => {
    const end = againstLiar();
    received(end, call(1), call(1), call(2));
    expect(received(end, call(3))).toEqual([]);
    expect(end.outgoing).toEqual([]);
  });
});

test("damaged conversations end in a closed connection or go on, and never throw", () => {
  const seed = Number(process.env["MESH_TEST_SEED"] ?? 7);
  const random = new SeededRandom(seed);
  const whole = Buffer.concat([
    valueFrame(FRAME.hello, 0, helloValue(hello())),
    valueFrame(FRAME.call, 1, ["a.b", { x: [1, 2, 3], text: "some text" }]),
    valueFrame(FRAME.open, 2, ["blob", null, 1_000]),
    frameHead(FRAME.credit, 2, 4),
    Uint8Array.of(0, 0, 1, 0),
    valueFrame(FRAME.word, 0, ["beat", { load: 0.5 }]),
    valueFrame(FRAME.answer, 1, { ok: true }),
    frameHead(FRAME.data, 2, 10),
    new Uint8Array(10),
    frameHead(FRAME.ping, 1, 0),
    frameHead(FRAME.cancel, 1, 0),
    frameHead(FRAME.bye, 0, 0),
  ]);
  let closed = 0;
  for (let round = 0; round < 20_000; round++) {
    const bytes = new Uint8Array(whole);
    for (let faults = 1 + random.below(4); faults > 0; faults--) bytes[random.below(bytes.length)] = random.below(256);
    const end = new End("mallory");
    try {
      for (let at = 0; at < bytes.length;) {
        const size = 1 + random.below(60);
        end.step({ kind: "received", bytes: bytes.subarray(at, at + size) });
        if (at < 100 && end.channel.isOpen && end.channel.busy < 2) {
          end.step({ kind: "call", id: 2 * at + 1, method: "a", params: null });
          end.step({ kind: "open", id: 2 * at + 2, method: "a", params: null });
        }
        at += size;
      }
      end.step({ kind: "ticked" });
    } catch (error) {
      throw new Error(`MESH_TEST_SEED=${seed}, round ${round}`, { cause: error });
    }
    if (end.done.some(({ kind }) => kind === "close")) closed++;
  }
  expect(closed).toBeGreaterThan(5_000);
  expect(closed).toBeLessThan(20_000);
}, 30_000);
