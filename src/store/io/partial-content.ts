// Large content that arrives in chunks, in any order: a file of its full length in partial/, and beside it a record of the chunks
// that are verified. Both outlive the process, so that whoever wants the content later goes on where it stopped. It becomes a blob,
// or a file of a layer, only when the digest of the whole is right.

import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { type Digest, hexOf, shortDigest } from "../../base/digest.ts";
import { errnoOf } from "../../base/errors.ts";
import { type ChunkList, chunkCount, chunkSpan, equalBytes, isChunk } from "../chunks.ts";
import { storeFailure } from "./failures.ts";
import type { Home } from "./home.ts";
import * as raw from "./raw-files.ts";
import { breathe } from "./scan.ts";

/** Blocks of zeros of this size become holes. */
const HOLE_BYTES = 65_536;
const ZEROS = new Uint8Array(HOLE_BYTES);
/** Chunks that are read back to hash them in order, for each one that arrives. */
const CATCH_UP = 2;

/** How the record begins: a line of JSON, then the chunk digests, then one byte for each chunk that is 1 when it is verified. */
interface RecordHead {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly chunkBytes: number;
  readonly boot: string;
}

export class PartialContent implements Disposable {
  readonly digest: Digest;
  readonly list: ChunkList;
  /** The file that holds the chunks. */
  readonly path: string;
  readonly #recordPath: string;
  readonly #before: { readonly boot: string; readonly flags: Uint8Array } | null;
  readonly #lock: number;
  readonly #fd: number;
  readonly #record: number;
  readonly #flagsAt: number;
  readonly #done: Uint8Array;
  #left: number;
  /** The whole's digest so far, over the first `#hashed` chunks. */
  #hasher = new Bun.CryptoHasher("sha256");
  #hashed = 0;
  /** For chunks that are read back. */
  #buffer: Buffer | null = null;
  #isOpen = true;

  /**
   * Begins, or goes on where a process stopped when the list is still the same. When another process fetches the same at this moment, the
   * answer is one of its own. Throws `store.full`, `store.unwritable`.
   */
  static async open(home: Home, content: { digest: Digest; list: ChunkList; boot: string }): Promise<PartialContent> {
    try {
      mkdirSync(home.paths.partial, { recursive: true, mode: 0o700 });
      const shared = `${home.paths.partial}/${hexOf(content.digest)}`;
      const fd = openSync(shared, "a+", 0o600);
      if (raw.lockNow(fd) === 0 && isStillAt(fd, shared)) {
        const partial = new PartialContent(content, shared, fd);
        await partial.#distrust(content.boot);
        return partial;
      }
      closeSync(fd);
      const own = home.temporary();
      return new PartialContent(content, own, openSync(own, "ax+", 0o600));
    } catch (error) {
      throw storeFailure(error, `begin content ${shortDigest(content.digest)}`);
    }
  }

  private constructor(content: { digest: Digest; list: ChunkList; boot: string }, path: string, fd: number) {
    this.digest = content.digest;
    this.list = content.list;
    this.path = path;
    this.#recordPath = `${path}.chunks`;
    // Appending ignores positions; a descriptor for writing at places is a second one. The first holds the lock.
    this.#lock = fd;
    this.#fd = openSync(path, "r+");
    const count = chunkCount(content.list);
    const head: RecordHead = {
      digest: content.digest,
      sizeBytes: content.list.sizeBytes,
      chunkBytes: content.list.chunkBytes,
      boot: content.boot,
    };
    const before = readRecord(this.#recordPath, head, content.list);
    this.#before = before;
    this.#done = before?.flags ?? new Uint8Array(count);
    if (!before) ftruncateSync(this.#fd, 0);
    ftruncateSync(this.#fd, content.list.sizeBytes);
    const line = Buffer.from(`${JSON.stringify(head)}\n`);
    this.#flagsAt = line.length + content.list.digests.length;
    writeFileSync(this.#recordPath, Buffer.concat([line, content.list.digests, this.#done]), { mode: 0o600 });
    this.#record = openSync(this.#recordPath, "r+");
    this.#left = count - this.#done.reduce((sum, flag) => sum + flag, 0);
  }

  has(index: number): boolean {
    return this.#done[index] === 1;
  }

  /** Chunks that are missing. */
  get missing(): number {
    return this.#left;
  }

  /** Bytes of verified chunks. */
  get doneBytes(): number {
    return this.#done.reduce((sum, flag, index) => sum + (flag === 1 ? chunkSpan(this.list, index).length : 0), 0);
  }

  /** Writes a chunk, when it is what the list says; false when it is not, and then nothing is written. */
  write(index: number, bytes: Uint8Array): boolean {
    if (!isChunk(this.list, index, bytes)) return false;
    if (this.has(index) || !this.#isOpen) return true;
    try {
      this.#put(bytes, chunkSpan(this.list, index).at);
      writeSync(this.#record, Uint8Array.of(1), 0, 1, this.#flagsAt + index);
    } catch (error) {
      throw storeFailure(error, `write chunk ${index} of ${shortDigest(this.digest)}`);
    }
    this.#done[index] = 1;
    this.#left--;
    if (index === this.#hashed) {
      this.#hasher.update(bytes);
      this.#hashed++;
    }
    for (let more = 0; more < CATCH_UP && this.has(this.#hashed); more++) this.#hashNext();
    return true;
  }

  /** Reads a verified chunk into `target`, as long as the chunk is; false when it is not there. */
  read(index: number, target: Uint8Array): boolean {
    if (!this.#isOpen || !this.has(index)) return false;
    const { at, length } = chunkSpan(this.list, index);
    return target.length === length && readSync(this.#fd, target, 0, length, at) === length;
  }

  /** Whether the whole, all of whose chunks are there, has its digest. */
  async isRight(signal?: AbortSignal): Promise<boolean> {
    while (this.#hashed < this.#done.length) {
      if (!this.has(this.#hashed)) return false;
      this.#hashNext();
      await breathe();
      signal?.throwIfAborted();
    }
    return this.#hasher.digest("hex") === hexOf(this.digest);
  }

  /** Lets go of the file, which the caller has moved away, and removes the record. */
  release(): void {
    this[Symbol.dispose]();
    removeIfThere(this.#recordPath);
  }

  /** Removes all of it. */
  discard(): void {
    removeIfThere(this.path);
    this.release();
  }

  /** Closes it; what is verified stays on disk. */
  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const fd of [this.#fd, this.#record, this.#lock]) closeSync(fd);
  }

  #put(bytes: Uint8Array, at: number): void {
    let from = 0;
    for (let block = 0; block < bytes.length; block += HOLE_BYTES) {
      const end = Math.min(bytes.length, block + HOLE_BYTES);
      if (!equalBytes(bytes.subarray(block, end), ZEROS.subarray(0, end - block))) continue;
      this.#putAll(bytes.subarray(from, block), at + from);
      from = end;
    }
    this.#putAll(bytes.subarray(from), at + from);
  }

  #putAll(bytes: Uint8Array, at: number): void {
    for (let done = 0; done < bytes.length;) done += writeSync(this.#fd, bytes, done, bytes.length - done, at + done);
  }

  #hashNext(): void {
    const bytes = this.#readAgain(this.#hashed);
    if (bytes) this.#hasher.update(bytes);
    this.#hashed++;
  }

  /** A chunk that is there, valid until the next is read; null when it can't be read. */
  #readAgain(index: number): Uint8Array | null {
    this.#buffer ??= Buffer.allocUnsafeSlow(this.list.chunkBytes);
    const bytes = this.#buffer.subarray(0, chunkSpan(this.list, index).length);
    return this.read(index, bytes) ? bytes : null;
  }

  /** What was written under an earlier boot was not synced: each chunk is read again. */
  async #distrust(boot: string): Promise<void> {
    if (this.#before === null || this.#before.boot === boot) return;
    for (const [index, flag] of this.#done.entries()) {
      if (flag !== 1) continue;
      const bytes = this.#readAgain(index);
      if (bytes && isChunk(this.list, index, bytes)) continue;
      this.#done[index] = 0;
      this.#left++;
      writeSync(this.#record, Uint8Array.of(0), 0, 1, this.#flagsAt + index);
      // A hole is expected where a chunk will be written.
      const { at, length } = chunkSpan(this.list, index);
      this.#putAll(new Uint8Array(length), at);
      await breathe();
    }
  }
}

/** Removes what nobody has gone on with for `idleMs`. */
export function sweepPartials(home: Home, idleMs: number, nowMs: number): void {
  if (!existsSync(home.paths.partial)) return;
  for (const name of readdirSync(home.paths.partial).filter((each) => !each.endsWith(".chunks"))) {
    const path = `${home.paths.partial}/${name}`;
    const record = statSync(`${path}.chunks`, { throwIfNoEntry: false }) ?? statSync(path, { throwIfNoEntry: false });
    if (!record || nowMs - record.mtimeMs < idleMs) continue;
    // Another process may sweep as well.
    const fd = raw.openAt(raw.HERE, path, raw.READ_WRITE_FILE);
    if (fd < 0) continue;
    if (raw.lockNow(fd) === 0) for (const each of [path, `${path}.chunks`]) removeIfThere(each);
    raw.closeFd(fd);
  }
}

/** What a record says, when it is of the same content and list. */
function readRecord(path: string, head: RecordHead, list: ChunkList): { boot: string; flags: Uint8Array } | null {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw error;
  }
  const end = bytes.indexOf(10);
  const flagsAt = end + 1 + list.digests.length;
  if (end < 0 || bytes.length !== flagsAt + chunkCount(list)) return null;
  try {
    const before = JSON.parse(bytes.toString("utf8", 0, end)) as RecordHead;
    const isSame =
      before.digest === head.digest &&
      before.sizeBytes === head.sizeBytes &&
      before.chunkBytes === head.chunkBytes &&
      equalBytes(bytes.subarray(end + 1, flagsAt), list.digests);
    return isSame
      ? { boot: before.boot, flags: new Uint8Array(bytes.subarray(flagsAt).map((flag) => Number(flag === 1))) }
      : null;
  } catch {
    return null;
  }
}

/** Whether the open file still has that name: the one before may have been removed between opening and locking. */
function isStillAt(fd: number, path: string): boolean {
  const there = statSync(path, { throwIfNoEntry: false });
  return there?.ino === raw.statFd(fd).ino;
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
