// Things to be done later, as long as their owner lives. A fault in one is handed over, never thrown at the event loop.

export class Timers implements Disposable {
  readonly #onFault: (error: unknown) => void;
  readonly #pending = new Set<Timer>();

  constructor(onFault: (error: unknown) => void) {
    this.#onFault = onFault;
  }

  later(delayMs: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#pending.delete(timer);
      try {
        act();
      } catch (error) {
        this.#onFault(error);
      }
    }, delayMs);
    this.#pending.add(timer);
  }

  /** Drops all that is pending. */
  [Symbol.dispose](): void {
    for (const timer of this.#pending) clearTimeout(timer);
    this.#pending.clear();
  }
}
