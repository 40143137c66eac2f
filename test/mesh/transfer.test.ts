import { describe, expect, test } from "bun:test";
import { type PeerId, peerIdOf } from "../../src/base/ids.ts";
import { LIMITS } from "../../src/base/limits.ts";
import { type TransferEffect, TransferMachine } from "../../src/mesh/transfer.ts";
import { forSeeds } from "../store/support.ts";
import { simulateFanOut } from "./transfer-world.ts";

const peer = (name: string): PeerId => peerIdOf(new Bun.CryptoHasher("sha256").update(name).digest());
const [A, B, C] = [peer("a"), peer("b"), peer("c")].toSorted() as [PeerId, PeerId, PeerId];

function machine(pieces: number, done: readonly number[] = [], startAt = 0, isShared = false): TransferMachine {
  return new TransferMachine({
    pieces: Array.from({ length: pieces }, () => 1_000),
    isDone: (piece) => done.includes(piece),
    startAt,
    isShared,
  });
}

/** The pieces that are asked for, as "<peer> <piece>" with the peer's letter. */
function fetches(effects: readonly TransferEffect[]): readonly string[] {
  const letter = (id: PeerId): string => (id === A ? "a" : id === B ? "b" : "c");
  return effects.flatMap((effect) => (effect.kind === "fetch" ? [`${letter(effect.peer)}${effect.piece}`] : []));
}

describe("TransferMachine", () => {
  test("step() asks one machine for as many pieces as its bound, in order, and then for the next", () => {
    const transfer = machine(9);
    const first = Array.from({ length: LIMITS.piecesPerPeer }, (_, piece) => `a${piece}`);
    expect(fetches(transfer.step({ kind: "peer", peer: A, has: null }, 0))).toEqual(first);
    expect(fetches(transfer.step({ kind: "done", peer: A, piece: 1 }, 10))).toEqual([`a${LIMITS.piecesPerPeer}`]);
  });

  test("step() spreads over machines, begins where it is told, and never asks twice for a piece", () => {
    const transfer = machine(9, [4], 3);
    expect(fetches(transfer.step({ kind: "peer", peer: A, has: null }, 0))).toEqual([
      "a3",
      "a5",
      "a6",
      "a7",
      "a8",
      "a0",
    ]);
    expect(fetches(transfer.step({ kind: "peer", peer: B, has: null }, 0))).toEqual(["b1", "b2"]);
  });

  test("step() takes from those who have a part what they have, and from the others what nobody else has", () => {
    const transfer = machine(5);
    transfer.step({ kind: "peer", peer: B, has: [3, 4] }, 0);
    expect(fetches(transfer.step({ kind: "peer", peer: A, has: null }, 0))).toEqual(["a0", "a1"]);
    expect(fetches(transfer.step({ kind: "promised", peer: B, piece: 2 }, 0))).toEqual([]);
    expect(fetches(transfer.step({ kind: "done", peer: A, piece: 0 }, 0))).toEqual([]);
    expect(fetches(transfer.step({ kind: "got", peer: B, piece: 2 }, 0))).toEqual([]);
    expect(transfer.hasPiece(B, 2)).toBe(true);
    expect(transfer.hasPiece(B, 0)).toBe(false);
    expect(fetches(transfer.step({ kind: "done", peer: B, piece: 3 }, 0))).toEqual(["b2"]);
  });

  test("step() asks the holder of the whole for two pieces at a time from the first, when others receive the same", () => {
    const transfer = machine(9, [], 3, true);
    expect(fetches(transfer.step({ kind: "peer", peer: A, has: null }, 0))).toEqual(["a3", "a4"]);
    expect(fetches(transfer.step({ kind: "peer", peer: B, has: [7] }, 0))).toEqual(["b7"]);
    expect(fetches(transfer.step({ kind: "done", peer: A, piece: 3 }, 10))).toEqual(["a5"]);
  });

  test("step() goes on at another place when the next piece is somebody else's, each receiver at its own", () => {
    const next = [3, 4].map((startAt) => {
      const transfer = machine(1_000, [], startAt, true);
      transfer.step({ kind: "peer", peer: A, has: null }, 0);
      transfer.step({ kind: "peer", peer: B, has: [] }, 0);
      transfer.step({ kind: "promised", peer: B, piece: startAt + 2 }, 0);
      const [first = ""] = fetches(transfer.step({ kind: "done", peer: A, piece: startAt }, 10));
      const [second = ""] = fetches(transfer.step({ kind: "done", peer: A, piece: startAt + 1 }, 20));
      expect(Number(second.slice(1))).toBe(Number(first.slice(1)) + 1);
      expect(Math.abs(Number(first.slice(1)) - startAt)).toBeGreaterThan(3);
      return first;
    });
    expect(new Set(next).size).toBe(2);
  });

  test("step() asks the holder of the whole for a promised piece when nothing else is under way", () => {
    const transfer = machine(1);
    transfer.step({ kind: "peer", peer: B, has: [] }, 0);
    transfer.step({ kind: "promised", peer: B, piece: 0 }, 0);
    expect(fetches(transfer.step({ kind: "peer", peer: A, has: null }, 0))).toEqual(["a0"]);
  });

  test("step() drops a liar at once, one that loses pieces after a few, and aborts what was asked of them", () => {
    const transfer = machine(2);
    transfer.step({ kind: "peer", peer: A, has: null }, 0);
    const effects = transfer.step({ kind: "failed", peer: A, piece: 0, why: "lied" }, 0);
    expect(effects).toEqual([{ kind: "abort", peer: A, piece: 1 }, { kind: "starved" }]);
    expect(fetches(transfer.step({ kind: "peer", peer: B, has: null }, 0))).toEqual(["b0", "b1"]);
    for (let tries = 0; tries < 2; tries++)
      expect(fetches(transfer.step({ kind: "failed", peer: B, piece: 0, why: "lost" }, 0))).toEqual(["b0"]);
    transfer.step({ kind: "failed", peer: B, piece: 0, why: "lost" }, 0);
    expect(transfer.sources).toEqual([]);
  });

  test("step() asks no more of a machine that answers again and again and sends nothing", () => {
    const transfer = machine(1);
    const lose = () => transfer.step({ kind: "failed", peer: A, piece: 0, why: "lost" }, 0);
    const meet = () => fetches(transfer.step({ kind: "peer", peer: A, has: null }, 0));
    expect(meet()).toEqual(["a0"]);
    expect([fetches(lose()), fetches(lose()), fetches(lose())]).toEqual([["a0"], ["a0"], []]);
    for (let times = 0; times < 3; times++) {
      expect(meet()).toEqual(["a0"]);
      expect(lose()).toEqual([{ kind: "starved" }]);
    }
    expect(meet()).toEqual([]);
    expect(transfer.sources).toEqual([]);
  });

  test("step() forgives what a machine lost once it sends a piece", () => {
    const transfer = machine(9);
    transfer.step({ kind: "peer", peer: A, has: null }, 0);
    for (let times = 0; times < 8; times++) {
      transfer.step({ kind: "failed", peer: A, piece: 8, why: "lost" }, 0);
      transfer.step({ kind: "done", peer: A, piece: times }, 0);
    }
    expect(transfer.sources).toEqual([A]);
  });

  test("step() does not ask again for what a machine has not, and says when nobody has it", () => {
    const transfer = machine(2);
    transfer.step({ kind: "peer", peer: A, has: null }, 0);
    transfer.step({ kind: "done", peer: A, piece: 1 }, 0);
    expect(transfer.step({ kind: "failed", peer: A, piece: 0, why: "missing" }, 0)).toEqual([{ kind: "starved" }]);
    expect(transfer.step({ kind: "tick" }, 0)).toEqual([{ kind: "starved" }]);
    expect(fetches(transfer.step({ kind: "got", peer: A, piece: 0 }, 0))).toEqual(["a0"]);
    expect(transfer.step({ kind: "done", peer: A, piece: 0 }, 0)).toEqual([{ kind: "complete" }]);
  });

  test("step() lets a fast machine take over what a slow one holds up, and aborts the slower", () => {
    const transfer = machine(7);
    transfer.step({ kind: "peer", peer: A, has: null }, 0);
    expect(fetches(transfer.step({ kind: "peer", peer: B, has: null }, 0))).toEqual(["b6"]);
    expect(fetches(transfer.step({ kind: "done", peer: B, piece: 6 }, 50))).toEqual([]);
    expect(fetches(transfer.step({ kind: "tick" }, 90))).toEqual([]);
    expect(fetches(transfer.step({ kind: "tick" }, 110))).toEqual(["b0"]);
    expect(transfer.step({ kind: "done", peer: B, piece: 0 }, 150)).toContainEqual({
      kind: "abort",
      peer: A,
      piece: 0,
    });
  });

  test("step() forgets a machine that is gone, and asks others for its pieces", () => {
    const transfer = machine(3);
    transfer.step({ kind: "peer", peer: A, has: null }, 0);
    transfer.step({ kind: "peer", peer: C, has: null }, 0);
    expect(fetches(transfer.step({ kind: "gone", peer: A }, 0))).toEqual(["c0", "c1", "c2"]);
  });

  test("step() ignores pieces that no content has", () => {
    const transfer = machine(2);
    transfer.step({ kind: "peer", peer: A, has: [5, 1_000_000] }, 0);
    expect(transfer.step({ kind: "got", peer: A, piece: 99 }, 0)).toEqual([]);
    expect(transfer.step({ kind: "promised", peer: A, piece: 99 }, 0)).toEqual([]);
    expect(transfer.missing).toBe(2);
  });

  test("no piece is asked for beyond the bounds", () => {
    const transfer = machine(200);
    let underWay = 0;
    for (let at = 0; at < 20; at++)
      underWay += fetches(transfer.step({ kind: "peer", peer: peer(`p${at}`), has: null }, 0)).length;
    expect(underWay).toBe(LIMITS.pieces);
  });
});

describe("a blob on its way to many", () => {
  const PIECES = 128;
  const one = simulateFanOut({ receivers: 1, pieces: PIECES, seed: 1 });

  for (const receivers of [2, 4, 7]) {
    test(`${receivers} receivers have it in little more than the time of one`, () => {
      const many = simulateFanOut({ receivers, pieces: PIECES, seed: 1 });
      expect(many.completed).toBe(receivers);
      expect(many.elapsedMs / one.elapsedMs).toBeLessThan(1.5);
    });
  }

  for (const receivers of [4, 7]) {
    test(`a source hardly sends a piece twice to ${receivers} receivers that hear of each other late`, () => {
      const { sourceSent, completed } = simulateFanOut({ receivers, pieces: 256, seed: 1, delayMs: 15 });
      expect(completed).toBe(receivers);
      expect(sourceSent / 256).toBeLessThan(1.15);
    });
  }

  test("all that stay complete, whoever goes and whatever is lost on the way", async () => {
    await forSeeds(60, (random) => {
      const world = simulateFanOut({
        receivers: 2 + random.below(8),
        pieces: 1 + random.below(100),
        seed: random.below(1_000_000),
        deaths: random.below(4),
        lossPercent: random.below(20),
      });
      expect(world.completed).toBe(world.staying);
    });
  });
});
