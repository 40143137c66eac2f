// The blobs of this machine's store as commands see them. A blob that a person put is kept as a result is: the cache's limit
// takes what was not used for longest.

import {
  closeSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { canonicalDigest } from "../base/canonical.ts";
import { type Digest, shortDigest } from "../base/digest.ts";
import { errnoOf, MeshError } from "../base/errors.ts";
import { Store } from "../store/io/store.ts";
import { EMPTY_LOG, type TaskResult } from "../store/result.ts";
import type { BlobEntry, BlobShelf } from "./blob-shelf.ts";
import type { Output } from "./output.ts";

const CHUNK_BYTES = 1 << 20;

export class StoreBlobs implements BlobShelf, Disposable {
  readonly #store: Store;

  private constructor(store: Store) {
    this.#store = store;
  }

  /** Throws `store.*`. */
  static open(home: string): StoreBlobs {
    return new StoreBlobs(Store.open(home));
  }

  async put(source: Parameters<BlobShelf["put"]>[0]): Promise<Omit<BlobEntry, "usedAtMs">> {
    const { blobs } = this.#store;
    const name = source.kind === "file" ? basename(source.path) : "standard input";
    if (source.kind === "file" && !statSync(source.path, { throwIfNoEntry: false })?.isFile())
      throw new MeshError("io.failed", `Cannot read ${source.path}: there is no such file`, {
        hint: "Name a regular file.",
      });
    const digest =
      source.kind === "file" ? await blobs.putFile(source.path, { move: false }) : await this.#putStandardInput();
    const { size } = statSync(blobs.path(digest));
    this.#keep(digest, { name, size });
    return { digest, sizeBytes: size };
  }

  has(digest: Digest): boolean {
    return this.#store.blobs.has(digest);
  }

  list(limit: number): readonly BlobEntry[] {
    return this.#store.blobs.list(limit);
  }

  async copyTo(digest: Digest, target: Output | string): Promise<number> {
    if (!this.has(digest)) throw new MeshError("blob.missing", `Cannot find blob ${shortDigest(digest)}`);
    if (typeof target !== "string") return this.#copy(digest, (piece) => target.write(piece));
    const temporary = join(dirname(target), `.${basename(target)}.${process.pid}.part`);
    try {
      const fd = openSync(temporary, "wx", 0o666);
      let size: number;
      try {
        size = await this.#copy(digest, (piece) => writeAll(fd, piece));
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(temporary, target);
      return size;
    } catch (error) {
      rmSync(temporary, { force: true });
      if (error instanceof MeshError) throw error;
      throw new MeshError(errnoOf(error) === "ENOSPC" ? "store.full" : "io.failed", `Cannot write ${target}`, {
        cause: error,
      });
    }
  }

  [Symbol.dispose](): void {
    this.#store[Symbol.dispose]();
  }

  /** Hands over the blob in pieces; it is known to be right only when the last one is. */
  async #copy(digest: Digest, take: (piece: Uint8Array) => void): Promise<number> {
    const hasher = new Bun.CryptoHasher("sha256");
    let size = 0;
    for await (const piece of Bun.file(this.#store.blobs.path(digest)).stream()) {
      hasher.update(piece);
      size += piece.length;
      take(piece);
    }
    if (`sha256:${hasher.digest("hex")}` === digest) return size;
    this.#store.blobs.drop(digest);
    throw new MeshError("blob.corrupt", `Cannot use blob ${shortDigest(digest)}: its bytes have another digest`);
  }

  async #putStandardInput(): Promise<Digest> {
    const folder = mkdtempSync(join(this.#store.paths.tmp, "put-"));
    const path = join(folder, "blob");
    try {
      const fd = openSync(path, "wx", 0o600);
      try {
        const piece = Buffer.allocUnsafe(CHUNK_BYTES);
        for (let length = readSync(0, piece); length > 0; length = readSync(0, piece))
          writeAll(fd, piece.subarray(0, length));
      } finally {
        closeSync(fd);
      }
      return await this.#store.blobs.putFile(path, { move: true });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  #keep(digest: Digest, { name, size }: { readonly name: string; readonly size: number }): void {
    const key = canonicalDigest(["blob", digest]);
    const result: TaskResult = {
      key,
      identity: `blob:${name}`,
      exitCode: 0,
      layer: null,
      values: {},
      env: [],
      artifacts: [{ key: "blob", digest, kind: "file", name, sizeBytes: size, mode: 0o644 }],
      links: {},
      errors: [],
      testResults: [],
      problems: [],
      image: null,
      log: EMPTY_LOG,
      startedAtMs: Date.now(),
      durationMs: 0,
      node: "",
      used: { cpuMs: 0, memoryBytesMax: null },
      run: "",
      task: name,
    };
    this.#store.results.put(result, {}, null);
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
}
