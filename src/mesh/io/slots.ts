// A bound on what is done at once, for each asker and for all: others wait in order, and beyond a number of those are sent away.

import { MeshError } from "../../base/errors.ts";

interface Waiting<T> {
  readonly who: T;
  readonly start: (slot: Disposable) => void;
}

export class Slots<T> {
  readonly #most: { readonly each: number; readonly all: number; readonly waiting: number };
  readonly #busy = new Map<T, number>();
  #taken = 0;
  #queue: Waiting<T>[] = [];

  constructor(most: { readonly each: number; readonly all: number; readonly waiting: number }) {
    this.#most = most;
  }

  /** Resolves when there is a slot, which disposing of gives back. Throws `peer.failed` when too many wait; the signal's reason. */
  async take(who: T, signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#fits(who)) return this.#start(who);
    if (this.#queue.length >= this.#most.waiting)
      throw new MeshError("peer.failed", `Cannot serve more: ${this.#queue.length} requests are waiting`);
    const { promise, resolve, reject } = Promise.withResolvers<Disposable>();
    const waiting: Waiting<T> = { who, start: resolve };
    this.#queue.push(waiting);
    const giveUp = (): void => {
      this.#queue = this.#queue.filter((other) => other !== waiting);
      reject(signal.reason instanceof Error ? signal.reason : new Error("Aborted"));
    };
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  #fits(who: T): boolean {
    return this.#taken < this.#most.all && (this.#busy.get(who) ?? 0) < this.#most.each;
  }

  #start(who: T): Disposable {
    this.#taken++;
    this.#busy.set(who, (this.#busy.get(who) ?? 0) + 1);
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#taken--;
        const left = (this.#busy.get(who) ?? 1) - 1;
        if (left > 0) this.#busy.set(who, left);
        else this.#busy.delete(who);
        this.#next();
      },
    };
  }

  #next(): void {
    const next = this.#queue.find(({ who }) => this.#fits(who));
    if (!next) return;
    this.#queue = this.#queue.filter((other) => other !== next);
    next.start(this.#start(next.who));
  }
}
