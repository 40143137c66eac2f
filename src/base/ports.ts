// Ports: what pure code needs of the world, as types. The real ones are in io/, their twins in test/fake/.

export interface Clock {
  /** Unix time in milliseconds; may jump when the system's clock is set. For showing and recording only. */
  nowMs(): number;
  /** Milliseconds since an arbitrary start; never goes back. For durations and deadlines. */
  monotonicMs(): number;
}

export interface Random {
  /** Fresh unpredictable bytes. */
  bytes(length: number): Uint8Array;
}
