// A binary heap that knows where each of its items stands, so that any of them can be taken out or moved, and that can be
// read in order without being emptied.

import { Heap } from "./heap.ts";

/** Something that stands in at most one such heap. */
export interface Seated {
  /** Where it stands; -1 while it stands in none. The heap keeps it. */
  seat: number;
}

export class SlotHeap<T extends Seated> {
  readonly #items: T[] = [];
  readonly #compare: (a: T, b: T) => number;

  /** `compare` is a total order. */
  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#items.length;
  }

  /** The least item; undefined when there is none. */
  get head(): T | undefined {
    return this.#items[0];
  }

  add(item: T): void {
    this.#items.push(item);
    this.#rise(this.#items.length - 1, item);
  }

  /** Puts an item of the heap, whose order may have changed, where it belongs. */
  moved(item: T): void {
    this.#settle(item.seat, item);
  }

  /** Takes an item out; one that does not stand in it is left alone. */
  remove(item: T): void {
    const { seat } = item;
    if (seat < 0) return;
    item.seat = -1;
    const last = this.#items.pop();
    if (last !== undefined && seat < this.#items.length) this.#settle(seat, last);
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
    item.seat = position;
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
