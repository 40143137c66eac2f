// Blobs as commands put, find and take them: a port over the store. The real one is store-blobs.ts.

import type { Digest } from "../base/digest.ts";
import type { Output } from "./output.ts";

export interface BlobEntry {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly usedAtMs: number;
}

export interface BlobShelf {
  /** Keeps a file's content, or what standard input brings. Throws `io.failed`, `store.*`. */
  put(
    source: { readonly kind: "file"; readonly path: string } | { readonly kind: "stdin" },
  ): Promise<Omit<BlobEntry, "usedAtMs">>;
  has(digest: Digest): boolean;
  /** Most recently used first. */
  list(limit: number): readonly BlobEntry[];
  /** Writes a blob to an output, or to a file that appears when it is whole. Returns its size. Throws `blob.missing`, `blob.corrupt`. */
  copyTo(digest: Digest, target: Output | string): Promise<number>;
}
