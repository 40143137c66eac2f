// One stream of bytes that is read from another machine: each piece goes to its taker as it comes, and only then more is allowed.

import type { Take } from "../peers.ts";

export interface PullParts {
  readonly take: Take;
  /** The longest wait for the next piece, in milliseconds. */
  readonly timeoutMs: number;
  readonly late: () => Error;
  /** Bytes were taken: as many more may come. */
  readonly consumed: (bytes: number) => void;
}

/** The longest that a timer takes. */
const LONGEST_MS = 2 ** 31 - 1;

export class Pull {
  readonly #parts: PullParts;
  readonly #end = Promise.withResolvers<void>();
  readonly #patienceMs: number;
  #timer: ReturnType<typeof setTimeout>;
  #heardAtMs = performance.now();
  #held = 0;

  constructor(parts: PullParts) {
    this.#parts = parts;
    this.#patienceMs = Math.min(parts.timeoutMs, LONGEST_MS);
    this.#timer = setTimeout(() => this.#look(), this.#patienceMs);
  }

  /** Resolves at the end of the stream. Throws what it failed with, and what the taker threw. */
  get ended(): Promise<void> {
    return this.#end.promise;
  }

  /** Bytes came; they are valid during this call only. */
  data(bytes: Uint8Array): void {
    this.#heardAtMs = performance.now();
    const { length } = bytes;
    try {
      const held = this.#parts.take(bytes);
      if (held === undefined) return this.#parts.consumed(length);
      this.#held++;
      held.then(
        () => this.#release(length),
        (error: unknown) => this.fail(error),
      );
    } catch (error) {
      this.fail(error);
    }
  }

  end(): void {
    this.#end.resolve();
  }

  fail(error: unknown): void {
    this.#end.reject(error);
  }

  /** Nothing more is waited for. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #release(bytes: number): void {
    this.#held--;
    this.#heardAtMs = performance.now();
    this.#parts.consumed(bytes);
  }

  /** One timer serves all pieces: it looks when the last wait could be over. While the taker holds back, nobody is late. */
  #look(): void {
    const waitedMs = this.#held > 0 ? 0 : performance.now() - this.#heardAtMs;
    if (waitedMs >= this.#patienceMs) return this.fail(this.#parts.late());
    this.#timer = setTimeout(() => this.#look(), Math.ceil(this.#patienceMs - waitedMs));
  }
}
