// Which task of a run runs a cache key, and who waits for it: the same key twice in a run runs once.
// It changes no task; the run machine asks it and acts.

interface Ownership {
  owner: number;
  /** In order of arrival. `next` is the first that still waits: taking from the front costs nothing. */
  readonly waiting: number[];
  next: number;
}

export class KeyOwners {
  readonly #keys = new Map<string, Ownership>();

  /** Makes `task` the owner of a key that has none. Otherwise returns the owner: itself, or the task to wait for. */
  claim(cacheKey: string, task: number): number {
    const held = this.#keys.get(cacheKey);
    if (held === undefined) {
      this.#keys.set(cacheKey, { owner: task, waiting: [], next: 0 });
      return task;
    }
    if (held.owner !== task) held.waiting.push(task);
    return held.owner;
  }

  ownerOf(cacheKey: string): number | null {
    return this.#keys.get(cacheKey)?.owner ?? null;
  }

  /**
   * Ends an ownership and hands the key to the first that waits and for which `waits` holds; returns it, or null.
   * One at a time: when many tasks of one key fail in turn, each is resolved once, not once per failure.
   */
  handOver(cacheKey: string, owner: number, waits: (task: number) => boolean): number | null {
    const held = this.#keys.get(cacheKey);
    if (held === undefined || held.owner !== owner) return null;
    while (held.next < held.waiting.length) {
      const heir = held.waiting[held.next++];
      if (heir === undefined || !waits(heir)) continue;
      held.owner = heir;
      return heir;
    }
    this.#keys.delete(cacheKey);
    return null;
  }

  /** Ends an ownership whose result is there for all; returns those that waited. */
  dissolve(cacheKey: string, owner: number): readonly number[] {
    const held = this.#keys.get(cacheKey);
    if (held === undefined || held.owner !== owner) return [];
    this.#keys.delete(cacheKey);
    return held.waiting.slice(held.next);
  }
}
