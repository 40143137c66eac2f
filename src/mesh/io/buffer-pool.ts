// Large buffers that are used again: fresh memory of this size costs more than filling it.

/** Bytes that are kept while nobody uses them. */
const KEPT_BYTES = 32 << 20;

export interface PooledBuffer extends Disposable {
  /** For its holder alone; what is in it is anything. */
  readonly bytes: Uint8Array;
  /** Lets others use the memory. A buffer that may still be read by somebody is dropped instead. */
  [Symbol.dispose](): void;
}

export class BufferPool {
  readonly #free: Uint8Array[] = [];
  #freeBytes = 0;

  take(length: number): PooledBuffer {
    const at = this.#free.findIndex((buffer) => buffer.length >= length);
    const kept = at < 0 ? undefined : this.#free.splice(at, 1)[0];
    if (kept) this.#freeBytes -= kept.length;
    const buffer = kept ?? Buffer.allocUnsafeSlow(length);
    let isHeld = true;
    return {
      bytes: buffer.subarray(0, length),
      [Symbol.dispose]: () => {
        if (!isHeld || this.#freeBytes + buffer.length > KEPT_BYTES) return;
        isHeld = false;
        this.#free.push(buffer);
        this.#freeBytes += buffer.length;
      },
    };
  }
}
