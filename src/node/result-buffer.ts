// Results on their way to the index. Several are written in one transaction, beside the next tasks instead of before them; what
// a crash takes with it is a few milliseconds of work, which the next run does again.

import type { Digest } from "../base/digest.ts";
import { MeshError } from "../base/errors.ts";
import type { Store } from "../store/io/store.ts";
import type { TaskResult, KeyParts } from "../store/result.ts";

/** How long a result may wait for others. */
const FLUSH_MS = 25;

/** How long to wait after a write that failed. */
const RETRY_MS = 200;

interface Waiting {
  readonly result: TaskResult;
  readonly parts: KeyParts;
  readonly expiresAtMs: number | null;
}

export class ResultBuffer {
  readonly #store: Store;
  readonly #results = new Map<Digest, Waiting>();
  readonly #claims: number[] = [];
  #timer: Timer | null = null;

  constructor(store: Store) {
    this.#store = store;
  }

  /** The result of a key that waits to be written and may be served; null when there is none. */
  get(key: Digest): TaskResult | null {
    const waiting = this.#results.get(key);
    return waiting === undefined || waiting.expiresAtMs === 0 ? null : waiting.result;
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

  /** Writes what waits. Throws `store.full` and its like; what could not be written waits on. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#results.size + this.#claims.length === 0) return;
    this.#store.batch(() => {
      for (const { result, parts, expiresAtMs } of this.#results.values())
        this.#store.results.put(result, parts, expiresAtMs);
      for (const claim of this.#claims) this.#store.claims.release(claim);
    });
    this.#results.clear();
    this.#claims.length = 0;
  }

  /** Writes what waits, for the last time. Throws as `flush` does; then the results are lost, and the claims are given back later. */
  close(): void {
    try {
      this.flush();
    } catch (error) {
      this.#store.claims.releaseLater(this.#claims);
      throw error;
    }
  }

  /** A full disk may be free again in a moment, when what filled it is removed; `close` has the last word. */
  #wait(delayMs = FLUSH_MS): void {
    this.#timer ??= setTimeout(() => {
      try {
        this.flush();
      } catch (error) {
        if (!(error instanceof MeshError)) throw error;
        this.#wait(RETRY_MS);
      }
    }, delayMs);
  }
}
