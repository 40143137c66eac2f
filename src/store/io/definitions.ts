// Checked definitions by the digest of their source and the checker's version, so that the same bytes are not checked twice.

import type { Digest } from "../../base/digest.ts";
import type { Index } from "./index-db.ts";
import { packText, unpackText } from "./packed-text.ts";

export class Definitions {
  readonly #index: Index;

  constructor(index: Index) {
    this.#index = index;
  }

  /** The checked form as it was put, or null. A damaged row is none. */
  get(digest: Digest, checkerVersion: string): string | null {
    const row = this.#index.get<{ body: string | Uint8Array; sum: number }>(
      "SELECT body, sum FROM definitions WHERE digest = ? AND checker = ?",
      digest,
      checkerVersion,
    );
    return row && Bun.hash.xxHash32(row.body) === row.sum ? unpackText(row.body) : null;
  }

  put(digest: Digest, checkerVersion: string, body: string): void {
    const packed = packText(body);
    this.#index.run(
      "INSERT OR REPLACE INTO definitions (digest, checker, body, sum, used_at) VALUES (?, ?, ?, ?, ?)",
      digest,
      checkerVersion,
      packed,
      Bun.hash.xxHash32(packed),
      Date.now(),
    );
  }
}
