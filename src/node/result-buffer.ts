// Results on their way to the index. Several are written in one transaction, beside the next tasks instead of before them; what
// a crash takes with it is a few milliseconds of work, which the next run does again.

import type { Digest } from "../base/digest.ts";
import type { KeyParts } from "../sched/cache-key.ts";
import type { Store } from "../store/io/store.ts";
import type { TaskResult } from "../store/result.ts";

/** How long a result may wait for others. */
const FLUSH_MS = 10;

interface Waiting {
  readonly result: TaskResult;
  readonly parts: KeyParts;
  readonly expiresAtMs: number | null;
}

export class ResultBuffer {
  readonly #store: Store;
  readonly #onFault: (error: unknown) => void;
  readonly #results = new Map<Digest, Waiting>();
  #claims: number[] = [];
  #timer: Timer | null = null;

  constructor(store: Store, onFault: (error: unknown) => void) {
    this.#store = store;
    this.#onFault = onFault;
  }

  /** The result of a key that waits to be written; null when there is none. */
  get(key: Digest): TaskResult | null {
    return this.#results.get(key)?.result ?? null;
  }

  /** Claims that are given back with the next write. */
  get ended(): readonly number[] {
    return this.#claims;
  }

  keep(result: TaskResult, parts: KeyParts, expiresAtMs: number | null): void {
    this.#results.set(result.key, { result, parts, expiresAtMs });
    this.#wait();
  }

  /** Gives a claim back, after the result it was for is written. */
  release(claim: number): void {
    this.#claims.push(claim);
    this.#wait();
  }

  /** Writes what waits. Throws `store.full` and its like; what could not be written is given up. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const results = [...this.#results.values()];
    const claims = this.#claims;
    this.#results.clear();
    this.#claims = [];
    if (results.length + claims.length === 0) return;
    this.#store.batch(() => {
      for (const { result, parts, expiresAtMs } of results) this.#store.results.put(result, parts, expiresAtMs);
      for (const claim of claims) this.#store.claims.release(claim);
    });
  }

  #wait(): void {
    this.#timer ??= setTimeout(() => {
      try {
        this.flush();
      } catch (error) {
        this.#onFault(error);
      }
    }, FLUSH_MS);
  }
}
