// Tasks that wait for a machine, longest way to the end of the run first, in one lane per shape of ask: a round of
// placing looks at lanes, not at tasks. It never decides who goes where (place.ts does).

import { type Ask, askShape } from "./ask.ts";
import { Heap } from "./heap.ts";

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

/** A binary heap that knows where each task stands, so that any of them can be taken out. */
class HeapLane implements Lane {
  readonly #heap: Ready[] = [];
  readonly #positions = new Map<number, number>();
  readonly shape: string;
  readonly ask: Ask;

  constructor(shape: string, ask: Ask) {
    this.shape = shape;
    this.ask = ask;
  }

  get size(): number {
    return this.#heap.length;
  }

  head(): Ready {
    return this.#at(0);
  }

  add(ready: Ready): void {
    this.#heap.push(ready);
    this.#rise(this.#heap.length - 1, ready);
  }

  remove(index: number): Ready | undefined {
    const position = this.#positions.get(index);
    if (position === undefined) return undefined;
    const removed = this.#at(position);
    this.#positions.delete(index);
    const last = this.#heap.pop();
    if (last !== undefined && last.index !== index) this.#sink(this.#rise(position, last), last);
    return removed;
  }

  *inOrder(): Generator<Ready> {
    // A second heap, of positions: the next task always stands right below one that was given already.
    const open = new Heap<number>((a, b) => compareReady(this.#at(a), this.#at(b)));
    if (this.#heap.length > 0) open.push(0);
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < this.#heap.length) open.push(child);
      yield this.#at(at);
    }
  }

  #at(position: number): Ready {
    const ready = this.#heap[position];
    if (ready === undefined) throw new Error(`Bug: no ready task at ${position} of ${this.#heap.length}`);
    return ready;
  }

  #set(position: number, ready: Ready): void {
    this.#heap[position] = ready;
    this.#positions.set(ready.index, position);
  }

  #rise(from: number, ready: Ready): number {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (compareReady(this.#at(parent), ready) <= 0) break;
      this.#set(at, this.#at(parent));
      at = parent;
    }
    this.#set(at, ready);
    return at;
  }

  #sink(from: number, ready: Ready): void {
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#heap.length) break;
      if (child + 1 < this.#heap.length && compareReady(this.#at(child + 1), this.#at(child)) < 0) child++;
      if (compareReady(this.#at(child), ready) >= 0) break;
      this.#set(at, this.#at(child));
      at = child;
    }
    this.#set(at, ready);
  }
}
