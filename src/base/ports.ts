// Ports: what pure code needs of the world, as types. The real ones are in io/, their twins in test/fake/.

export interface Random {
  /** Fresh unpredictable bytes. */
  bytes(length: number): Uint8Array;
}
