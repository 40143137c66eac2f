// Tasks that came back from machines which could not get what they build on: how often each, and what of it is to go by way of
// this machine, as where it is and where it is needed may not reach each other. It fetches nothing.

import type { Digest } from "../base/digest.ts";

/** How often a task may come back before what it lacked is made again. */
const MOST_RETURNS = 3;

interface Returned {
  readonly times: number;
  readonly far: ReadonlySet<Digest>;
}

const NOTHING: ReadonlySet<Digest> = new Set();

export class Detours {
  readonly #returned = new Map<string, Returned>();

  /** Notes that a task came back for what a machine could not get. False when it did so too often. */
  note(key: string, missing: readonly Digest[]): boolean {
    const times = (this.#returned.get(key)?.times ?? 0) + 1;
    this.#returned.delete(key);
    if (times > MOST_RETURNS) return false;
    this.#returned.set(key, { times, far: new Set(missing) });
    return true;
  }

  /** What a task lacked and is to be brought here. */
  of(key: string): ReadonlySet<Digest> {
    return this.#returned.get(key)?.far ?? NOTHING;
  }

  /** The same, which is tried once for each time that the task came back. */
  take(key: string): ReadonlySet<Digest> {
    const returned = this.#returned.get(key);
    if (returned === undefined) return NOTHING;
    this.#returned.set(key, { ...returned, far: NOTHING });
    return returned.far;
  }
}
