// Tasks that wait for a machine, longest way to the end of the run first, in one lane per shape of ask: a round of
// placing looks at lanes, not at tasks. It never decides who goes where (place.ts does).

import { assert } from "../base/assert.ts";
import { type Ask, askShape } from "./ask.ts";
import { type Seated, SlotHeap } from "./slot-heap.ts";

/** A ready task. */
export interface Ready {
  readonly key: string;
  /** Definition order; breaks ties. */
  readonly index: number;
  readonly attempt: number;
  /** Expected milliseconds from its start to the end of the run. */
  readonly rankMs: number;
  readonly expectedMs: number | null;
  /** Unix time at which it became ready. */
  readonly readyAtMs: number;
}

/** Ready tasks that ask for the same. */
export interface Lane {
  readonly ask: Ask;
  readonly size: number;
  /** The tasks in the order in which they should go. The queue must not change during the walk. */
  inOrder(): Iterable<Ready>;
}

export class ReadyQueue {
  readonly #lanes = new Map<string, HeapLane>();
  readonly #laneOf = new Map<number, HeapLane>();

  get size(): number {
    return this.#laneOf.size;
  }

  add(ready: Ready, ask: Ask): void {
    const shape = askShape(ask);
    let lane = this.#lanes.get(shape);
    if (lane === undefined) {
      lane = new HeapLane(shape, ask);
      this.#lanes.set(shape, lane);
    }
    lane.add(ready);
    this.#laneOf.set(ready.index, lane);
  }

  /** False when the task is not in the queue. */
  remove(index: number): boolean {
    const lane = this.#laneOf.get(index);
    if (lane === undefined) return false;
    this.#laneOf.delete(index);
    lane.remove(index);
    if (lane.size === 0) this.#lanes.delete(lane.shape);
    return true;
  }

  /** Gives a queued task its new rank; others are left alone. */
  rerank(index: number, rankMs: number): void {
    const lane = this.#laneOf.get(index);
    const ready = lane?.remove(index);
    if (lane !== undefined && ready !== undefined) lane.add({ ...ready, rankMs });
  }

  /** Lanes that hold tasks, the one with the most urgent task first. */
  lanes(): readonly Lane[] {
    return [...this.#lanes.values()].sort((a, b) => compareReady(a.head(), b.head()));
  }
}

/** Longest remaining path first, then definition order. */
export function compareReady(a: Ready, b: Ready): number {
  return b.rankMs - a.rankMs || a.index - b.index;
}

/** Ready tasks that ask for the same, in a heap. */
class HeapLane implements Lane {
  readonly shape: string;
  readonly ask: Ask;
  readonly #heap = new SlotHeap<Entry>((a, b) => compareReady(a.ready, b.ready));
  readonly #entries = new Map<number, Entry>();

  constructor(shape: string, ask: Ask) {
    this.shape = shape;
    this.ask = ask;
  }

  get size(): number {
    return this.#heap.size;
  }

  head(): Ready {
    const { head } = this.#heap;
    assert(head !== undefined, "a lane without a task stands in the queue");
    return head.ready;
  }

  add(ready: Ready): void {
    const entry = { ready, seat: -1 };
    this.#entries.set(ready.index, entry);
    this.#heap.add(entry);
  }

  remove(index: number): Ready | undefined {
    const entry = this.#entries.get(index);
    if (entry === undefined) return undefined;
    this.#entries.delete(index);
    this.#heap.remove(entry);
    return entry.ready;
  }

  *inOrder(): Generator<Ready> {
    for (const { ready } of this.#heap.inOrder()) yield ready;
  }
}

interface Entry extends Seated {
  readonly ready: Ready;
}
