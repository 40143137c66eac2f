// A binary heap: the least of many, again and again, at a cost of log(count).

export class Heap<T> {
  readonly #items: T[] = [];
  readonly #compare: (a: T, b: T) => number;

  /** `compare` is a total order; with ties the order of taking is not defined. */
  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#items.length;
  }

  push(item: T): void {
    let at = this.#items.length;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = this.#items[up] as T;
      if (this.#compare(parent, item) <= 0) break;
      this.#items[at] = parent;
      at = up;
    }
    this.#items[at] = item;
  }

  /** Takes the least item. */
  pop(): T | undefined {
    const least = this.#items[0];
    const last = this.#items.pop();
    const size = this.#items.length;
    if (size === 0 || last === undefined) return least;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#compare(this.#items[child + 1] as T, this.#items[child] as T) < 0) child++;
      if (this.#compare(this.#items[child] as T, last) >= 0) break;
      this.#items[at] = this.#items[child] as T;
      at = child;
    }
    this.#items[at] = last;
    return least;
  }
}
