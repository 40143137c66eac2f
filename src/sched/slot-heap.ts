// A binary heap that knows where each of its items stands, so that any of them can be taken out or moved, and that can be
// read in order without being emptied.

import { Heap } from "./heap.ts";

export class SlotHeap<T> {
  readonly #items: T[] = [];
  readonly #positions = new Map<number, number>();
  readonly #slotOf: (item: T) => number;
  readonly #compare: (a: T, b: T) => number;

  /** `slotOf` gives each item a number of its own; `compare` is a total order. */
  constructor(slotOf: (item: T) => number, compare: (a: T, b: T) => number) {
    this.#slotOf = slotOf;
    this.#compare = compare;
  }

  get size(): number {
    return this.#items.length;
  }

  /** The least item; undefined when there is none. */
  get head(): T | undefined {
    return this.#items[0];
  }

  has(slot: number): boolean {
    return this.#positions.has(slot);
  }

  add(item: T): void {
    this.#items.push(item);
    this.#rise(this.#items.length - 1, item);
  }

  /** Puts an item that may have moved in the order where it belongs. */
  moved(item: T): void {
    const position = this.#positions.get(this.#slotOf(item));
    if (position !== undefined) this.#settle(position, item);
  }

  remove(slot: number): T | undefined {
    const position = this.#positions.get(slot);
    if (position === undefined) return undefined;
    const removed = this.#items[position];
    this.#positions.delete(slot);
    const last = this.#items.pop();
    if (last !== undefined && position < this.#items.length) this.#settle(position, last);
    return removed;
  }

  /** All items, least first. The heap must not change during the walk. Each step costs log(steps). */
  *inOrder(): Generator<T> {
    // A second heap, of positions: the next item always stands right below one that was given already.
    const open = new Heap<number>((a, b) => this.#compare(this.#at(a), this.#at(b)));
    if (this.#items.length > 0) open.push(0);
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < this.#items.length) open.push(child);
      yield this.#at(at);
    }
  }

  #at(position: number): T {
    return this.#items[position] as T;
  }

  #set(position: number, item: T): void {
    this.#items[position] = item;
    this.#positions.set(this.#slotOf(item), position);
  }

  #settle(from: number, item: T): void {
    const isLess = from > 0 && this.#compare(item, this.#at((from - 1) >> 1)) < 0;
    if (isLess) this.#rise(from, item);
    else this.#sink(from, item);
  }

  #rise(from: number, item: T): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#compare(this.#at(parent), item) <= 0) break;
      this.#set(at, this.#at(parent));
      at = parent;
    }
    this.#set(at, item);
  }

  #sink(from: number, item: T): void {
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#items.length) break;
      if (child + 1 < this.#items.length && this.#compare(this.#at(child + 1), this.#at(child)) < 0) child++;
      if (this.#compare(this.#at(child), item) >= 0) break;
      this.#set(at, this.#at(child));
      at = child;
    }
    this.#set(at, item);
  }
}
