// Work that several may want at once and that is done once: it goes on while anybody waits for it, and is stopped when the last one
// has given up.

interface Work<Listener> {
  readonly done: Promise<void>;
  readonly listeners: Set<Listener>;
  readonly controller: AbortController;
}

export class SharedWork<Listener> {
  readonly #works = new Map<string, Work<Listener>>();

  /** Waits for the work of this name, which `start` begins when nobody has. Throws what it throws, and the signal's reason. */
  async join(
    name: string,
    who: { readonly listener: Listener; readonly signal?: AbortSignal },
    start: (listeners: () => ReadonlySet<Listener>, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    who.signal?.throwIfAborted();
    const work = this.#works.get(name) ?? this.#begin(name, start);
    work.listeners.add(who.listener);
    const { promise: gaveUp, reject } = Promise.withResolvers<never>();
    const giveUp = (): void => reject(who.signal?.reason);
    who.signal?.addEventListener("abort", giveUp, { once: true });
    try {
      await Promise.race([work.done, gaveUp]);
    } finally {
      who.signal?.removeEventListener("abort", giveUp);
      work.listeners.delete(who.listener);
      if (work.listeners.size === 0) {
        if (this.#works.get(name) === work) this.#works.delete(name);
        work.controller.abort(new DOMException("Nobody waits for it any more", "AbortError"));
      }
    }
  }

  #begin(
    name: string,
    start: (listeners: () => ReadonlySet<Listener>, signal: AbortSignal) => Promise<void>,
  ): Work<Listener> {
    const controller = new AbortController();
    const listeners = new Set<Listener>();
    const done = start(() => listeners, controller.signal);
    const work = { done, listeners, controller };
    // Those who wait hear of a failure; when nobody does any more, nobody needs to.
    done
      .catch(() => {})
      .finally(() => {
        if (this.#works.get(name) === work) this.#works.delete(name);
      });
    this.#works.set(name, work);
    return work;
  }
}
