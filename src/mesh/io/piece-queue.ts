// Bytes of one stream between the connection that brings them and the one reader that takes them, with a bound.

import { assert } from "../../base/assert.ts";

interface Waiter {
  readonly resolve: (piece: Uint8Array | null) => void;
  readonly reject: (error: unknown) => void;
}

export class PieceQueue {
  readonly #mostBytes: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #end: { readonly error: unknown } | "complete" | null = null;
  #waiter: Waiter | null = null;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  push(piece: Uint8Array): void {
    if (this.#end !== null) return;
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter !== null) return waiter.resolve(piece);
    this.#bytes += piece.length;
    assert(this.#bytes <= this.#mostBytes, "a stream's window holds");
    this.#pieces.push(piece);
  }

  /** No more comes: the reader gets what is here, then the end. */
  end(): void {
    this.#end ??= "complete";
    this.#waiter?.resolve(null);
    this.#waiter = null;
  }

  /** No more comes, and what is here is worth nothing. */
  fail(error: unknown): void {
    this.#end = { error };
    this.#pieces = [];
    this.#waiter?.reject(error);
    this.#waiter = null;
  }

  /** The next piece; null at the end. Throws what the stream failed with, or what `late` makes after `timeoutMs`. */
  async next(timeoutMs: number, late: () => Error): Promise<Uint8Array | null> {
    const piece = this.#pieces.shift();
    if (piece !== undefined) {
      this.#bytes -= piece.length;
      return piece;
    }
    if (this.#end === "complete") return null;
    if (this.#end !== null) throw this.#end.error;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | null>();
    this.#waiter = { resolve, reject };
    const timer = timeoutMs < 2 ** 31 ? setTimeout(() => this.fail(late()), timeoutMs) : null;
    try {
      return await promise;
    } finally {
      if (timer !== null) clearTimeout(timer);
    }
  }
}
