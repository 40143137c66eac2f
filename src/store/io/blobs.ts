// Blobs: files named by the digest of their content. A blob is visible only once its digest is known to be right; what was
// written under an earlier boot is read again before it is trusted, since nothing is synced on the way.

import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { type Digest, digestOf, shortDigest } from "../../base/digest.ts";
import { errnoOf, MeshError } from "../../base/errors.ts";
import { blobPath } from "../paths.ts";
import { copyFile } from "./copy-file.ts";
import { storeFailure } from "./failures.ts";
import type { Home } from "./home.ts";
import type { Index } from "./index-db.ts";

const CHUNK_BYTES = 1 << 20;

export class Blobs {
  readonly #home: Home;
  readonly #index: Index;
  readonly #boot: string;
  /** Blobs known to be there and right, by this process. */
  readonly #known = new Set<Digest>();

  constructor(home: Home, index: Index, boot: string) {
    this.#home = home;
    this.#index = index;
    this.#boot = boot;
  }

  /** Stores bytes. Throws `store.full` or `store.unwritable`. */
  put(bytes: Uint8Array): Digest {
    const digest = digestOf(bytes);
    if (this.has(digest)) return digest;
    const temporary = this.#home.temporary();
    try {
      writeFileSync(temporary, bytes, { mode: 0o600, flag: "wx" });
      this.#publish(temporary, digest, bytes.length);
    } catch (error) {
      removeIfThere(temporary);
      throw storeFailure(error, `write blob ${shortDigest(digest)} (${bytes.length} bytes)`);
    }
    return digest;
  }

  /** Stores a file's content: by rename when it may be moved and is on the same filesystem, else by a copy. */
  async putFile(path: string, options: { readonly move: boolean }): Promise<Digest> {
    const temporary = this.#home.temporary();
    try {
      if (!options.move || !moved(path, temporary)) copyFile(path, temporary);
      const digest = await hashFile(temporary);
      const size = statSync(temporary).size;
      if (this.has(digest)) removeIfThere(temporary);
      else this.#publish(temporary, digest, size);
      if (options.move) removeIfThere(path);
      return digest;
    } catch (error) {
      removeIfThere(temporary);
      throw storeFailure(error, `store file ${JSON.stringify(path)}`);
    }
  }

  /** Makes a blob of a file of this filesystem whose digest is known to be right. The file is gone afterwards. */
  adopt(path: string, digest: Digest): void {
    try {
      if (this.has(digest)) removeIfThere(path);
      else this.#publish(path, digest, statSync(path).size);
    } catch (error) {
      throw storeFailure(error, `keep blob ${shortDigest(digest)}`);
    }
  }

  /** Whether the blob is there. One from an earlier boot is read through once, and dropped when it is not what it should be. */
  has(digest: Digest): boolean {
    if (this.#known.has(digest)) {
      if (existsSync(this.path(digest))) return true;
      this.#known.delete(digest);
    }
    const row = this.#index.get<{ boot: string; size: number }>(
      "SELECT boot, size FROM blobs WHERE digest = ?",
      digest,
    );
    if (!row) return false;
    if (row.boot === this.#boot || row.boot === "synced") {
      if (sizeOf(this.path(digest)) !== row.size) return false;
    } else if (!this.verify(digest)) {
      this.drop(digest);
      this.#index.warn("blob-dropped", `Blob ${shortDigest(digest)} did not survive the last shutdown`);
      return false;
    } else this.#index.run("UPDATE blobs SET boot = ? WHERE digest = ?", this.#boot, digest);
    this.#known.add(digest);
    return true;
  }

  /** Where the blob's file is, whether it exists or not. */
  path(digest: Digest): string {
    return blobPath(this.#home.paths, digest);
  }

  /** The blob's bytes, verified. Throws `blob.missing`; or `blob.corrupt`, and then the blob is dropped. */
  read(digest: Digest): Uint8Array {
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(this.path(digest));
    } catch (cause) {
      this.#known.delete(digest);
      if (errnoOf(cause) === "ENOENT")
        throw new MeshError("blob.missing", `Cannot find blob ${shortDigest(digest)}`, { cause });
      throw storeFailure(cause, `read blob ${shortDigest(digest)}`);
    }
    if (digestOf(bytes) === digest) return bytes;
    this.drop(digest);
    throw new MeshError(
      "blob.corrupt",
      `Cannot use blob ${shortDigest(digest)}: its ${bytes.length} bytes have another digest`,
    );
  }

  /** Most recently used first. */
  list(limit: number): readonly { readonly digest: Digest; readonly sizeBytes: number; readonly usedAtMs: number }[] {
    return this.#index
      .all<{ digest: Digest; size: number; used_at: number }>(
        "SELECT digest, size, used_at FROM blobs ORDER BY used_at DESC, digest LIMIT ?",
        limit,
      )
      .map(({ digest, size, used_at }) => ({ digest, sizeBytes: size, usedAtMs: used_at }));
  }

  /** Forgets a blob and removes its file. */
  drop(digest: Digest): void {
    this.#known.delete(digest);
    this.#index.run("DELETE FROM blobs WHERE digest = ?", digest);
    removeIfThere(this.path(digest));
  }

  #publish(temporary: string, digest: Digest, size: number): void {
    const path = this.path(digest);
    this.#index.transaction(() => {
      try {
        renameSync(temporary, path);
      } catch (error) {
        if (errnoOf(error) !== "ENOENT") throw error;
        mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true, mode: 0o700 });
        renameSync(temporary, path);
      }
      this.#index.run(
        "INSERT INTO blobs (digest, size, boot, used_at) VALUES (?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET boot = excluded.boot, used_at = excluded.used_at",
        digest,
        size,
        this.#boot,
        Date.now(),
      );
    });
    this.#known.add(digest);
  }

  /** Reads the whole file in pieces and compares; drops nothing. */
  verify(digest: Digest): boolean {
    try {
      const hasher = new Bun.CryptoHasher("sha256");
      const fd = openSync(this.path(digest), "r");
      try {
        const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
        for (let length = readSync(fd, chunk); length > 0; length = readSync(fd, chunk))
          hasher.update(chunk.subarray(0, length));
      } finally {
        closeSync(fd);
      }
      return `sha256:${hasher.digest("hex")}` === digest;
    } catch {
      return false;
    }
  }
}

/** Digest of a file, read in pieces that let other work in. */
async function hashFile(path: string): Promise<Digest> {
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const chunk of Bun.file(path).stream()) hasher.update(chunk);
  return `sha256:${hasher.digest("hex")}` as Digest;
}

function moved(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EXDEV") return false;
    throw error;
  }
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

/** Bytes of a file; -1 when there is none. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? -1;
}
