// Hashes one file of a directory that nobody should be writing to: reads it once, and notices when it changed meanwhile.
// Runs in the main thread and in workers alike; it keeps one buffer for each thread.

import { ERRNO } from "./errno.ts";
import * as raw from "./raw-files.ts";

/** Bytes read at once; a file of this size or more is large. */
const CHUNK_BYTES = 1 << 20;
const DIGEST_BYTES = 32;

/** Outcomes of hashing: 0, -errno, or one of these. */
export const CHANGED = -10_000;
export const STOPPED = -10_001;
/** The file is large and was not wanted. */
export const TOO_LARGE = -10_002;

/** Times this close before the start may hide a later change: the kernel's clock for files ticks each 1 to 10 ms. */
const TICK_MS = 20;

/** Words of a statx buffer that must stay as they are while a file is read: size, change time, modification time. */
const STEADY_WORDS = [10, 11, 24, 25, 26, 28, 29, 30] as const;

export interface HashOptions {
  /** Unix time in milliseconds when the directory was known to be at rest. */
  readonly restingSinceMs: number;
  /** Give up (as `TOO_LARGE`) on a large file. */
  readonly smallOnly: boolean;
  /** Called for each chunk; the work ends (as `STOPPED`) when it returns false. */
  readonly goOn: () => boolean;
}

export class FileHasher {
  /** Outcome for the file hashed last: its digest, and its metadata as statx words (raw-files.ts). */
  readonly digest = new Uint8Array(DIGEST_BYTES);
  readonly stat = new Uint32Array(raw.STAT_WORDS);
  hasXattrs = false;

  readonly #buffer = new Uint8Array(new ArrayBuffer(CHUNK_BYTES));
  readonly #address = raw.addressOf(this.#buffer);
  readonly #second = new Uint8Array(DIGEST_BYTES);
  readonly #statAgain = new Uint32Array(raw.STAT_WORDS);

  /** Hashes an open regular file from its start: 0, or one of the codes above. Leaves the descriptor open. */
  hash(fd: number, options: HashOptions): number {
    const first = raw.readInto(fd, this.#address, CHUNK_BYTES);
    if (first < 0) return first;
    if (first === CHUNK_BYTES) return options.smallOnly ? TOO_LARGE : this.#large(fd, options);
    Bun.SHA256.hash(this.#buffer.subarray(0, first), this.digest);
    this.#look(fd);
    if (this.stat[10] !== first || this.stat[11] !== 0) return CHANGED;
    return changedMs(this.stat) < options.restingSinceMs - TICK_MS ? 0 : this.#again(fd);
  }

  /** A small file so young that its times prove nothing must read the same twice, with the same times around. */
  #again(fd: number): number {
    raw.rewind(fd);
    const length = raw.readInto(fd, this.#address, CHUNK_BYTES);
    if (length < 0) return length;
    Bun.SHA256.hash(this.#buffer.subarray(0, length), this.#second);
    return this.#isSteady(fd) && this.digest.every((byte, at) => byte === this.#second[at]) ? 0 : CHANGED;
  }

  /** A large file is read once, a tick after its last change at the earliest, so that a later change shows in its times. */
  #large(fd: number, options: HashOptions): number {
    this.#look(fd);
    if (Math.abs(Date.now() - changedMs(this.stat)) < TICK_MS) {
      Bun.sleepSync(TICK_MS);
      this.#look(fd);
    }
    raw.rewind(fd);
    const hasher = new Bun.CryptoHasher("sha256");
    let total = 0;
    for (;;) {
      const length = raw.readInto(fd, this.#address, CHUNK_BYTES);
      if (length < 0) return length;
      if (length === 0) break;
      hasher.update(length === CHUNK_BYTES ? this.#buffer : this.#buffer.subarray(0, length));
      total += length;
      if (!options.goOn()) return STOPPED;
    }
    // Handing our array to `digest` would do, were it 64 bytes long.
    this.digest.set(hasher.digest());
    return total === raw.statFromWords(this.stat).size && this.#isSteady(fd) ? 0 : CHANGED;
  }

  #look(fd: number): void {
    raw.statWordsFd(fd, this.stat);
    this.hasXattrs = raw.hasXattrs(fd);
  }

  #isSteady(fd: number): boolean {
    raw.statWordsFd(fd, this.#statAgain);
    return STEADY_WORDS.every((word) => this.stat[word] === this.#statAgain[word]);
  }
}

/** The later of change and modification time, Unix milliseconds. */
function changedMs(words: Uint32Array): number {
  const ctime = (words[24] ?? 0) * 1e3 + (words[26] ?? 0) / 1e6;
  const mtime = (words[28] ?? 0) * 1e3 + (words[30] ?? 0) / 1e6;
  return ctime > mtime ? ctime : mtime;
}

/** Opens a file for reading; one that its owner may not read is made readable for the moment of opening. */
export function openReadable(directory: number, name: string): number {
  const fd = raw.openAt(directory, name, raw.READ_FILE);
  if (fd !== -ERRNO.EACCES) return fd;
  const stat = raw.statAt(directory, name);
  if (typeof stat === "number") return stat;
  const permissions = stat.mode & 0o7777;
  if (raw.chmodAt(directory, name, permissions | 0o400) < 0) return fd;
  const opened = raw.openAt(directory, name, raw.READ_FILE);
  if (opened < 0) raw.chmodAt(directory, name, permissions);
  else raw.chmodFd(opened, permissions);
  return opened;
}
