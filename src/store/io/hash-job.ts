// A list of files to hash in shared memory, from which several threads take: names in, digests and metadata out.
// Threads take work by a shared counter; who is slow or missing simply does less.

import { textOfName } from "../names.ts";
import { FileHasher, type HashOptions, openReadable, STOPPED, TOO_LARGE } from "./file-hasher.ts";
import type { FileList } from "./file-list.ts";
import { ERRNO } from "./errno.ts";
import * as raw from "./raw-files.ts";

/** Files taken at once. */
const BATCH = 32;

/** Words of the header. */
const NEXT = 0;
const DONE = 1;
const STOP = 2;
/** Large files that the main thread set aside: how many there are, and how many of them were taken. */
const ASIDE = 3;
const ASIDE_TAKEN = 4;
const HEADER_WORDS = 8;

const DIGEST_BYTES = 32;

/** States of a file besides a negative code of the hasher. */
const PLAIN = 1;
const WITH_XATTRS = 2;

/** What crosses to a worker. */
export interface PackedJob {
  readonly shared: SharedArrayBuffer;
  readonly root: string;
  readonly files: number;
  readonly nameBytes: number;
  readonly restingSinceMs: number;
}

/** Puts a list of files below `root` into shared memory. */
export function packJob(root: string, files: FileList, restingSinceMs: number): PackedJob {
  const nameBytes = files.bytes.length;
  const shared = new SharedArrayBuffer(layoutOf(files.count, nameBytes).size);
  const parts = partsOf(shared, files.count, nameBytes);
  parts.spans.set(files.spans);
  parts.names.set(files.bytes);
  return { shared, root, files: files.count, nameBytes, restingSinceMs };
}

/** One thread's view of a job. */
export class HashJob {
  readonly #job: PackedJob;
  readonly #parts: ReturnType<typeof partsOf>;
  /** This thread's own copy of the names: C gets addresses into it. */
  readonly #names: Uint8Array;
  readonly #namesAddress: number;
  readonly #hasher = new FileHasher();
  readonly #options: HashOptions;
  readonly #smallOptions: HashOptions;
  #directoryAt = -1;
  #directoryFd = -1;

  constructor(job: PackedJob) {
    this.#job = job;
    this.#parts = partsOf(job.shared, job.files, job.nameBytes);
    this.#names = new Uint8Array(new ArrayBuffer(Math.max(16, job.nameBytes)));
    this.#names.set(this.#parts.names);
    this.#namesAddress = Number(raw.addressOf(this.#names));
    const goOn = (): boolean => !this.isStopped;
    this.#options = { restingSinceMs: job.restingSinceMs, smallOnly: false, goOn };
    this.#smallOptions = { ...this.#options, smallOnly: true };
  }

  get isDone(): boolean {
    return this.#load(DONE) >= this.#job.files || this.isStopped;
  }

  get isStopped(): boolean {
    return this.#load(STOP) === 1;
  }

  /** Large files that were set aside so far. */
  get asideCount(): number {
    return this.#load(ASIDE);
  }

  /** Whether files are set aside that nobody has taken. */
  get isUntouched(): boolean {
    return this.#load(ASIDE_TAKEN) < this.#load(ASIDE);
  }

  /** Makes every thread stop soon. */
  stop(): void {
    Atomics.store(this.#parts.header, STOP, 1);
    Atomics.notify(this.#parts.header, DONE);
  }

  /**
   * Hashes the next few files; false when none is left to take. With `smallOnly`, large ones are set aside for whoever calls
   * `workAside`.
   */
  work(smallOnly: boolean): boolean {
    if (this.isStopped) return false;
    const from = Atomics.add(this.#parts.header, NEXT, BATCH);
    const to = Math.min(from + BATCH, this.#job.files);
    if (from >= to) return false;
    let done = 0;
    for (let index = from; index < to; index++) {
      if (this.#hash(index, smallOnly)) done++;
      else Atomics.store(this.#parts.aside, Atomics.add(this.#parts.header, ASIDE, 1), index + 1);
    }
    this.#finished(done);
    return true;
  }

  /** Hashes one file that was set aside; false when there is none. */
  workAside(): boolean {
    if (this.isStopped) return false;
    const taken = this.#load(ASIDE_TAKEN);
    if (taken >= this.#load(ASIDE)) return false;
    if (Atomics.compareExchange(this.#parts.header, ASIDE_TAKEN, taken, taken + 1) !== taken) return true;
    let index = 0;
    while (index === 0) index = Atomics.load(this.#parts.aside, taken);
    this.#hash(index - 1, false);
    this.#finished(1);
    return true;
  }

  /** Waits, in a worker, for something to be set aside or for the end. */
  sleep(): void {
    Atomics.wait(this.#parts.header, DONE, this.#load(DONE), 5);
  }

  /** Resolves when some thread finished something, or after 20 ms. */
  async progress(): Promise<void> {
    const waiting = Atomics.waitAsync(this.#parts.header, DONE, this.#load(DONE), 20);
    if (waiting.async) await waiting.value;
  }

  /** Outcome of one file: 0, or a negative code of the hasher. */
  codeOf(index: number): number {
    const status = this.#parts.status[index] ?? 0;
    return status > 0 ? 0 : status === 0 ? STOPPED : status;
  }

  hasXattrs(index: number): boolean {
    return this.#parts.status[index] === WITH_XATTRS;
  }

  /** The digest as 64 hex digits. */
  digestOf(index: number): string {
    return this.#parts.digests.hexSlice(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
  }

  statOf(index: number): raw.FileStat {
    return raw.statFromWords(this.#parts.stats, index * raw.STAT_WORDS);
  }

  close(): void {
    if (this.#directoryFd >= 0) raw.closeFd(this.#directoryFd);
    this.#directoryFd = -1;
    this.#directoryAt = -1;
  }

  #load(word: number): number {
    return Atomics.load(this.#parts.header, word);
  }

  #finished(count: number): void {
    Atomics.add(this.#parts.header, DONE, count);
    Atomics.notify(this.#parts.header, DONE);
  }

  /** False when the file is large and was not wanted. */
  #hash(index: number, smallOnly: boolean): boolean {
    const { spans, status, stats, digests } = this.#parts;
    const fd = this.#open(spans[index * 2] ?? 0, spans[index * 2 + 1] ?? 0);
    if (fd < 0) {
      status[index] = fd;
      return true;
    }
    const hasher = this.#hasher;
    const code = hasher.hash(fd, smallOnly ? this.#smallOptions : this.#options);
    raw.closeFd(fd);
    if (code === TOO_LARGE) return false;
    if (code === 0) {
      digests.set(hasher.digest, index * DIGEST_BYTES);
      stats.set(hasher.stat, index * raw.STAT_WORDS);
    }
    status[index] = code < 0 ? code : hasher.hasXattrs ? WITH_XATTRS : PLAIN;
    return true;
  }

  /** Opens a file by where its directory's path and its name begin; the directory stays open for the next one. */
  #open(directoryAt: number, nameAt: number): number {
    if (directoryAt !== this.#directoryAt) {
      this.close();
      this.#directoryFd = openBelow(this.#job.root, this.#text(directoryAt));
      this.#directoryAt = directoryAt;
    }
    if (this.#directoryFd < 0) return this.#directoryFd;
    const fd = raw.openAtAddress(this.#directoryFd, this.#namesAddress + nameAt, raw.READ_FILE);
    return fd === -ERRNO.EACCES ? openReadable(this.#directoryFd, this.#text(nameAt)) : fd;
  }

  #text(at: number): string {
    return textOfName(this.#names.subarray(at, this.#names.indexOf(0, at)));
  }
}

/** Opens the directory at a tree path below `root`: a descriptor, or -errno. */
export function openBelow(root: string, path: string): number {
  return raw.openAt(raw.HERE, path === "" ? root : `${root}/${path}`, raw.READ_DIRECTORY);
}

function layoutOf(files: number, nameBytes: number): { readonly offsets: readonly number[]; readonly size: number } {
  const sizes = [
    HEADER_WORDS * 4,
    files * raw.STAT_WORDS * 4,
    files * 4,
    files * 4,
    files * 8,
    files * DIGEST_BYTES,
    nameBytes,
  ];
  const offsets: number[] = [];
  let size = 0;
  for (const part of sizes) {
    offsets.push(size);
    size += Math.ceil(part / 8) * 8;
  }
  return { offsets, size };
}

function partsOf(shared: SharedArrayBuffer, files: number, nameBytes: number) {
  const [header = 0, stats = 0, status = 0, aside = 0, spans = 0, digests = 0, names = 0] = layoutOf(
    files,
    nameBytes,
  ).offsets;
  return {
    header: new Int32Array(shared, header, HEADER_WORDS),
    stats: new Uint32Array(shared, stats, files * raw.STAT_WORDS),
    status: new Int32Array(shared, status, files),
    aside: new Int32Array(shared, aside, files),
    spans: new Uint32Array(shared, spans, files * 2),
    digests: Buffer.from(shared, digests, files * DIGEST_BYTES) as Buffer & {
      hexSlice(from: number, to: number): string;
    },
    names: new Uint8Array(shared, names, nameBytes),
  };
}
