// How large content is cut for its way between machines: the cut follows from the size alone, so that all machines number the
// pieces alike. A list of chunk digests is a claim of who made it, proved only by the digest of the whole.

import { LIMITS } from "../base/limits.ts";

export const DIGEST_BYTES = 32;

/** Bytes of each chunk but the last: 1 MiB (small, so that receivers soon have something for each other), doubled until the list of a whole is short enough. */
export function chunkBytesOf(sizeBytes: number): number {
  let bytes: number = LIMITS.chunkBytes;
  while (Math.ceil(sizeBytes / bytes) > LIMITS.chunks) bytes *= 2;
  return bytes;
}

/** What a whole is cut into, with the SHA-256 of each chunk. */
export interface ChunkList {
  readonly sizeBytes: number;
  readonly chunkBytes: number;
  /** 32 bytes for each chunk, in order. */
  readonly digests: Uint8Array;
}

/** A list over these digests; null when their number does not follow from the size. */
export function chunkListOf(sizeBytes: number, digests: Uint8Array): ChunkList | null {
  const chunkBytes = chunkBytesOf(sizeBytes);
  return digests.length === Math.ceil(sizeBytes / chunkBytes) * DIGEST_BYTES
    ? { sizeBytes, chunkBytes, digests }
    : null;
}

export function chunkCount(list: ChunkList): number {
  return list.digests.length / DIGEST_BYTES;
}

/** Where chunk number `index` lies. */
export function chunkSpan(
  list: Omit<ChunkList, "digests">,
  index: number,
): { readonly at: number; readonly length: number } {
  const at = index * list.chunkBytes;
  return { at, length: Math.max(0, Math.min(list.chunkBytes, list.sizeBytes - at)) };
}

/** Whether these bytes are chunk number `index`. */
export function isChunk(list: ChunkList, index: number, bytes: Uint8Array): boolean {
  if (bytes.length !== chunkSpan(list, index).length) return false;
  const at = index * DIGEST_BYTES;
  return equalBytes(Bun.SHA256.hash(bytes) as Uint8Array, list.digests.subarray(at, at + DIGEST_BYTES));
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
