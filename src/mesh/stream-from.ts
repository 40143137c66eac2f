// The bytes that another machine sends, as an iteration: for readers that wait between pieces. Whoever can take pieces as they come
// uses `Peers.pull`, which copies none.

import { assert } from "../base/assert.ts";
import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import type { CallOptions, Peers } from "./peers.ts";

/** Reads bytes from another machine, as `Peers.pull`. Ending the iteration early stops the sender. */
export async function* streamFrom(
  peers: Pick<Peers, "pull">,
  peer: PeerId,
  { method, params }: { readonly method: string; readonly params: unknown },
  options: CallOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const queue = new PieceQueue();
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  peers.pull(peer, method, params, { ...options, signal, take: (bytes) => queue.push(bytes) }).then(
    () => queue.end(),
    (error: unknown) => queue.fail(error),
  );
  try {
    for (let piece = await queue.next(); piece !== null; piece = await queue.next()) yield piece;
  } finally {
    stop.abort(new DOMException("Nobody reads the rest", "AbortError"));
  }
}

interface Waiter {
  readonly resolve: (piece: Uint8Array | null) => void;
  readonly reject: (error: unknown) => void;
}

/** Copies of pieces between whoever brings them and the one reader that takes them; a stream's window bounds them. */
class PieceQueue {
  #pieces: { readonly bytes: Uint8Array; readonly taken: () => void }[] = [];
  #bytes = 0;
  #end: { readonly error: unknown } | "complete" | null = null;
  #waiter: Waiter | null = null;

  /** Resolves when the reader took it. */
  push(piece: Uint8Array): Promise<void> | undefined {
    if (this.#end !== null) return;
    const bytes = new Uint8Array(piece);
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter !== null) {
      waiter.resolve(bytes);
      return;
    }
    this.#bytes += bytes.length;
    assert(this.#bytes <= LIMITS.streamWindowBytes, "a stream's window holds");
    return new Promise((taken) => this.#pieces.push({ bytes, taken }));
  }

  /** No more comes: the reader gets what is here, then the end. */
  end(): void {
    this.#end ??= "complete";
    this.#waiter?.resolve(null);
    this.#waiter = null;
  }

  /** No more comes: the reader gets what is here, then the error. */
  fail(error: unknown): void {
    this.#end ??= { error };
    this.#waiter?.reject(error);
    this.#waiter = null;
  }

  /** The next piece; null at the end. Throws what the stream failed with. */
  async next(): Promise<Uint8Array | null> {
    const piece = this.#pieces.shift();
    if (piece !== undefined) {
      this.#bytes -= piece.bytes.length;
      piece.taken();
      return piece.bytes;
    }
    if (this.#end === "complete") return null;
    if (this.#end !== null) throw this.#end.error;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | null>();
    this.#waiter = { resolve, reject };
    return await promise;
  }
}
