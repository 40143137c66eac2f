import { describe, expect, test } from "bun:test";
import { type PeerId, peerIdOf } from "../../src/base/ids.ts";
import { Receiver, type ReceiverEffect, type ReceiverPlan } from "../../src/mesh/receiver.ts";

const peer = (name: string): PeerId => peerIdOf(new Bun.CryptoHasher("sha256").update(name).digest());
const [A, B, C, SELF] = ["a", "b", "c", "self"].map(peer) as [PeerId, PeerId, PeerId, PeerId];
const NAMES = new Map([
  [A, "a"],
  [B, "b"],
  [C, "c"],
  [SELF, "self"],
]);
const SEARCH_MS = 1_000;
const STALL_MS = 3_000;

function receiver(plan: Partial<ReceiverPlan> = {}): Receiver {
  return new Receiver({
    self: SELF,
    pieces: [1_000, 1_000, 1_000],
    isDone: () => false,
    holders: [A, B],
    known: null,
    banned: [],
    swarm: () => [],
    searchMs: SEARCH_MS,
    stallMs: STALL_MS,
    ...plan,
  });
}

/** Effects as short texts: "join a", "fetch a 0", "say b c got 0". */
function told(effects: readonly ReceiverEffect[]): readonly string[] {
  return effects.map((effect) => {
    switch (effect.kind) {
      case "say": {
        const { to, word } = effect;
        const piece = word.kind === "all" ? [] : [word.piece];
        return ["say", ...to.map((id) => NAMES.get(id)), word.kind, ...piece].join(" ");
      }
      case "missing":
        return `missing ${effect.pieces}`;
      case "fetch":
      case "abort":
        return `${effect.kind} ${NAMES.get(effect.peer)} ${effect.piece}`;
      case "join":
      case "lied":
        return `${effect.kind} ${NAMES.get(effect.peer)}`;
      case "search":
      case "complete":
        return effect.kind;
    }
  });
}

/** One that has begun, and has asked `a` for all pieces. */
function begun(plan: Partial<ReceiverPlan> = {}): Receiver {
  const one = receiver({ holders: [A], ...plan });
  one.step({ kind: "begin" }, 0);
  one.step({ kind: "joined", peer: A, has: null, swarm: [] }, 0);
  return one;
}

/** Ticks whenever it wants to be woken, until it wants something done. */
function wait(one: Receiver): { readonly atMs: number; readonly told: readonly string[] } {
  for (let wakes = 0; wakes < 1_000; wakes++) {
    const atMs = one.wakeAtMs;
    const effects = one.step({ kind: "tick" }, atMs);
    if (effects.length > 0) return { atMs, told: told(effects) };
  }
  throw new Error("It waits for ever");
}

/** Ticks each 100 ms and answers each search with nobody: when it gives up, and what it says then. */
function lookInVain(one: Receiver, fromMs: number): { readonly atMs: number; readonly told: readonly string[] } {
  for (let atMs = fromMs; atMs < fromMs + 100_000; atMs += 100) {
    const texts = told(one.step({ kind: "tick" }, atMs));
    if (texts.some((text) => text.startsWith("missing"))) return { atMs, told: texts };
    if (texts.includes("search")) one.step({ kind: "searched" }, atMs);
  }
  throw new Error("It searches for ever");
}

describe("Receiver", () => {
  test("step() asks believed machines in turn until one answers, and then the others", () => {
    const one = receiver({ holders: [A, B, C] });
    expect(told(one.step({ kind: "begin" }, 0))).toEqual(["join a"]);
    expect(told(one.step({ kind: "refused", peer: A, why: "lost" }, 0))).toEqual(["join b"]);
    const effects = one.step({ kind: "joined", peer: B, has: null, swarm: [] }, 0);
    expect(told(effects)).toEqual(["fetch b 0", "fetch b 1", "fetch b 2", "join a", "join c"]);
  });

  test("step() begins elsewhere than those that began before, and meets them", () => {
    const one = receiver({ holders: [A] });
    one.step({ kind: "begin" }, 0);
    const effects = one.step({ kind: "joined", peer: A, has: null, swarm: [B] }, 0);
    expect(told(effects)).toEqual(["fetch a 1", "fetch a 2", "join b"]);
  });

  test("step() takes answers that are known already, and asks none of the banned", () => {
    const known = new Map([[A, { has: null, swarm: [] }]]);
    const effects = receiver({ known, banned: [B] }).step({ kind: "begin" }, 0);
    expect(told(effects)).toEqual(["fetch a 0", "fetch a 1", "fetch a 2"]);
  });

  test("step() asks a machine that has nothing as yet three times more, each 200 ms, and one that is lost not again", () => {
    const one = begun();
    expect(told(one.step({ kind: "met", peer: B }, 0))).toEqual(["join b"]);
    expect(told(one.step({ kind: "met", peer: B }, 0))).toEqual([]);
    for (let tries = 1; tries <= 3; tries++) {
      one.step({ kind: "refused", peer: B, why: "missing" }, (tries - 1) * 200);
      expect(wait(one)).toEqual({ atMs: tries * 200, told: ["join b"] });
    }
    one.step({ kind: "refused", peer: B, why: "missing" }, 600);
    expect(told(one.step({ kind: "tick" }, 900))).toEqual([]);
    expect(told(one.step({ kind: "met", peer: C }, 900))).toEqual(["join c"]);
    one.step({ kind: "refused", peer: C, why: "lost" }, 900);
    expect(told(one.step({ kind: "tick" }, 1_200))).toEqual([]);
  });

  test("step() asks a machine again whose answer was lost, if it was met meanwhile", () => {
    const one = begun();
    expect(told(one.step({ kind: "met", peer: B }, 0))).toEqual(["join b"]);
    expect(told(one.step({ kind: "met", peer: B }, 10))).toEqual([]);
    expect(told(one.step({ kind: "refused", peer: B, why: "lost" }, 20))).toEqual(["join b"]);
    expect(told(one.step({ kind: "refused", peer: B, why: "lost" }, 30))).toEqual([]);
  });

  test("step() asks a machine again that comes back, if it may have some of it", () => {
    const one = begun();
    one.step({ kind: "joined", peer: B, has: null, swarm: [] }, 0);
    one.step({ kind: "gone", peer: B }, 10);
    expect(told(one.step({ kind: "back", peer: C }, 20))).toEqual([]);
    expect(told(one.step({ kind: "back", peer: B }, 20))).toEqual(["join b"]);
    expect(told(one.step({ kind: "back", peer: B }, 20))).toEqual([]);
    one.step({ kind: "failed", peer: A, piece: 0, why: "lied" }, 30);
    expect(told(one.step({ kind: "back", peer: A }, 40))).toEqual([]);
  });

  test("step() tells those who fetch of it what it has got, unless they have it, and at the end that it has all", () => {
    const one = begun({ swarm: () => [B, C] });
    one.step({ kind: "joined", peer: B, has: [0], swarm: [] }, 0);
    expect(told(one.step({ kind: "done", peer: A, piece: 0 }, 10))).toEqual(["say c got 0"]);
    expect(told(one.step({ kind: "done", peer: A, piece: 1 }, 10))).toEqual(["say b c got 1"]);
    const last = one.step({ kind: "done", peer: A, piece: 2 }, 10);
    expect(told(last)).toEqual(["say b c got 2", "say b c all", "complete"]);
    expect(one.step({ kind: "tick" }, 20)).toEqual([]);
  });

  test("step() names a liar and does not ask it again, whatever it says and whoever finds it", () => {
    const one = begun();
    one.step({ kind: "met", peer: A }, 0);
    const effects = one.step({ kind: "failed", peer: A, piece: 1, why: "lied" }, 10);
    expect(told(effects)).toEqual(["lied a", "abort a 0", "abort a 2", "search"]);
    // It was asked before it lied.
    expect(told(one.step({ kind: "joined", peer: A, has: null, swarm: [] }, 20))).toEqual([]);
    expect(told(one.step({ kind: "heard", peer: A, word: { kind: "all" } }, 20))).toEqual([]);
    expect(told(one.step({ kind: "met", peer: A }, 20))).toEqual([]);
  });

  test("step() does not ask a liar again that was to be asked later", () => {
    const one = begun();
    one.step({ kind: "met", peer: A }, 0);
    one.step({ kind: "refused", peer: A, why: "missing" }, 0);
    one.step({ kind: "failed", peer: A, piece: 1, why: "lied" }, 10);
    expect(told(one.step({ kind: "tick" }, 200))).toEqual([]);
  });

  test("step() meets who speaks of the content, and takes up what a known one says", () => {
    const one = begun({ pieces: [1_000, 1_000, 1_000, 1_000] });
    expect(told(one.step({ kind: "heard", peer: B, word: { kind: "got", piece: 0 } }, 0))).toEqual(["join b"]);
    one.step({ kind: "joined", peer: B, has: [], swarm: [] }, 0);
    one.step({ kind: "gone", peer: A }, 0);
    expect(told(one.step({ kind: "heard", peer: B, word: { kind: "got", piece: 3 } }, 0))).toEqual(["fetch b 3"]);
    const effects = one.step({ kind: "heard", peer: B, word: { kind: "all" } }, 0);
    expect(told(effects)).toEqual(["fetch b 0", "fetch b 1", "fetch b 2"]);
  });

  test("step() searches ten times in the time for it, and then says what is missing", () => {
    const one = begun();
    one.step({ kind: "done", peer: A, piece: 0 }, 100);
    expect(told(one.step({ kind: "gone", peer: A }, 500))).toEqual(["abort a 1", "abort a 2", "search"]);
    for (let tries = 1; tries < 10; tries++) {
      one.step({ kind: "searched" }, 400 + tries * 100);
      expect(wait(one)).toEqual({ atMs: 500 + tries * 100, told: ["search"] });
    }
    one.step({ kind: "searched" }, 1_400);
    expect(wait(one)).toEqual({ atMs: 1_500, told: ["missing 2"] });
  });

  test("step() waits for those that were asked to let it join, and not for ever", () => {
    const one = receiver({ holders: [] });
    one.step({ kind: "begin" }, 0);
    expect(told(one.step({ kind: "met", peer: B }, 0))).toEqual(["join b"]);
    one.step({ kind: "searched" }, 0);
    expect(lookInVain(one, 100)).toEqual({ atMs: SEARCH_MS + STALL_MS, told: ["missing 3"] });
    const other = receiver({ holders: [] });
    other.step({ kind: "begin" }, 0);
    other.step({ kind: "met", peer: B }, 0);
    other.step({ kind: "searched" }, 0);
    for (let atMs = 100; atMs <= 2 * SEARCH_MS; atMs += 100) {
      expect(told(other.step({ kind: "tick" }, atMs))).toEqual(["search"]);
      other.step({ kind: "searched" }, atMs);
    }
    other.step({ kind: "refused", peer: B, why: "lost" }, 2 * SEARCH_MS);
    expect(told(other.step({ kind: "tick" }, 2 * SEARCH_MS + 100))).toEqual(["missing 3"]);
  });

  test("step() does not count time in which this machine did not run", () => {
    const one = begun();
    expect(told(one.step({ kind: "gone", peer: A }, 50))).toContain("search");
    one.step({ kind: "searched" }, 50);
    // A minute later it goes on: it has searched for 50 ms, and was due to tick 50 ms after that.
    expect(told(one.step({ kind: "gone", peer: B }, 60_150))).toEqual([]);
    expect(lookInVain(one, 60_150)).toEqual({ atMs: 61_150, told: ["missing 3"] });
  });

  test("step() waits longer while somebody has a part, and searches no more once something is under way", () => {
    const one = receiver({ holders: [] });
    expect(told(one.step({ kind: "begin" }, 0))).toEqual(["search"]);
    expect(told(one.step({ kind: "met", peer: B }, 0))).toEqual(["join b"]);
    one.step({ kind: "searched" }, 0);
    one.step({ kind: "joined", peer: B, has: [], swarm: [] }, 0);
    expect(told(one.step({ kind: "tick" }, SEARCH_MS + 1))).toEqual(["search"]);
    expect(told(one.step({ kind: "heard", peer: B, word: { kind: "got", piece: 1 } }, 1_100))).toEqual(["fetch b 1"]);
    one.step({ kind: "searched" }, 1_100);
    expect(told(one.step({ kind: "tick" }, 2_000))).toEqual([]);
    expect(told(one.step({ kind: "done", peer: B, piece: 1 }, 9_000))).toEqual(["search"]);
    one.step({ kind: "searched" }, 9_000);
    expect(lookInVain(one, 9_100)).toEqual({ atMs: 9_000 + STALL_MS, told: ["missing 2"] });
  });
});
