// Tasks whose cache key another process runs. Nobody tells this one when that is over, so it looks, once for all of them.

import type { Digest } from "../base/digest.ts";
import type { Claims } from "../store/io/claims.ts";
import type { Timers } from "./timers.ts";

/** How often a look is taken. */
const POLL_MS = 50;

export class Elsewhere {
  readonly #claims: Pick<Claims, "list">;
  readonly #timers: Timers;
  readonly #onOver: (key: string, round: number) => void;
  readonly #waiting = new Map<string, { readonly round: number; readonly cacheKey: Digest }>();
  #isWatching = false;

  /** `onOver`: nobody runs the key that a task waits for any more. */
  constructor(claims: Pick<Claims, "list">, timers: Timers, onOver: (key: string, round: number) => void) {
    this.#claims = claims;
    this.#timers = timers;
    this.#onOver = onOver;
  }

  wait(key: string, round: number, cacheKey: Digest): void {
    this.#waiting.set(key, { round, cacheKey });
    this.#watch();
  }

  #watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    this.#timers.later(POLL_MS, () => {
      this.#isWatching = false;
      this.#look();
      if (this.#waiting.size > 0) this.#watch();
    });
  }

  #look(): void {
    const held = new Set(this.#claims.list().map((claim) => claim.key));
    for (const [key, { round, cacheKey }] of this.#waiting) {
      if (held.has(cacheKey)) continue;
      this.#waiting.delete(key);
      this.#onOver(key, round);
    }
  }
}
