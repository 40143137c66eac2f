// Large buffers that are used again: fresh memory of this size costs more than filling it.

const KEPT = 16;

export class BufferPool {
  readonly #free: Uint8Array[] = [];

  /** A buffer of this length for the caller alone until it is disposed of; what is in it is anything. */
  take(length: number): { readonly bytes: Uint8Array } & Disposable {
    const at = this.#free.findIndex((buffer) => buffer.length >= length);
    const buffer = (at < 0 ? undefined : this.#free.splice(at, 1)[0]) ?? Buffer.allocUnsafeSlow(length);
    return {
      bytes: buffer.subarray(0, length),
      [Symbol.dispose]: () => {
        if (this.#free.length < KEPT) this.#free.push(buffer);
      },
    };
  }
}
