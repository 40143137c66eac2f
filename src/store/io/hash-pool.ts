// Threads for hashing. A layer that is hashed in a few milliseconds is hashed in place; of a larger one the rest is shared
// with workers, while the main thread helps in short slices and stays responsive. Where no worker starts, it does it all.

import { availableParallelism } from "node:os";
import { NO_XATTRS, parentOf } from "../tree.ts";
import { openReadable } from "./file-hasher.ts";
import { HashJob, openBelow, type PackedJob, packJob } from "./hash-job.ts";
import { check } from "./errno.ts";
import * as raw from "./raw-files.ts";
import { breathe, contentXattrs, hashFailure, type Scan } from "./scan.ts";

/** Work up to here is done in place: a thread takes 2 to 5 ms to start, and longer would be felt as a pause. */
const IN_PLACE_MS = 8;
const SLICE_MS = 5;
const MOST_WORKERS = 4;
/** With nothing done by anybody for so long, the main thread takes the large files as well. */
const SILENCE_MS = 1_000;

/** Where the worker's code is in a compiled binary whose entry points are src/cli/main.ts and src/store/io/hash-worker.ts. */
const COMPILED_WORKER = "/$bunfs/root/store/io/hash-worker.js";

export class HashPool implements Disposable {
  #workers: Worker[] = [];
  #broken = false;

  /** Fills every file of a scan. Throws `io.failed` or a system error for the first file that can't be hashed. */
  async hash(scan: Scan, restingSinceMs: number, signal?: AbortSignal): Promise<void> {
    if (scan.files.count === 0) return;
    const packed = packJob(scan.root, scan.files, restingSinceMs);
    const job = new HashJob(packed);
    try {
      const until = performance.now() + IN_PLACE_MS;
      while (job.work(true) && performance.now() < until);
      if (!job.isDone) await this.#goOn(job, packed, signal);
      take(scan, job, packed.files);
    } finally {
      job.stop();
      job.close();
    }
  }

  /** Small files in slices here; large ones by workers, which stay off the others: there they would not pay. */
  async #goOn(job: HashJob, packed: PackedJob, signal?: AbortSignal): Promise<void> {
    let called = 0;
    let activeMs = performance.now();
    while (!job.isDone) {
      signal?.throwIfAborted();
      const started = performance.now();
      let worked = false;
      while (performance.now() < started + SLICE_MS && job.work(true)) worked = true;
      const wanted = Math.min(MOST_WORKERS, availableParallelism(), job.asideCount);
      this.#start(wanted);
      for (const worker of this.#workers.slice(called, wanted)) worker.postMessage(packed);
      called = Math.max(called, wanted);
      if (worked) {
        activeMs = performance.now();
        await breathe();
      } else if (this.#broken || (performance.now() - activeMs > SILENCE_MS && job.isUntouched)) job.workAside();
      else await job.progress();
    }
    signal?.throwIfAborted();
  }

  #start(count: number): void {
    while (!this.#broken && this.#workers.length < count) {
      try {
        const worker = new Worker(
          Bun.main.startsWith("/$bunfs/") ? COMPILED_WORKER : new URL("./hash-worker.ts", import.meta.url).href,
        );
        worker.addEventListener("error", () => {
          this.#broken = true;
        });
        worker.unref();
        this.#workers.push(worker);
      } catch {
        this.#broken = true;
      }
    }
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker.terminate();
    this.#workers = [];
  }
}

function take(scan: Scan, job: HashJob, files: number): void {
  for (let index = 0; index < files; index++) {
    const code = job.codeOf(index);
    const path = scan.fileEntries[index]?.path ?? "";
    if (code < 0) throw hashFailure(code, path);
    scan.fill(
      index,
      job.digestOf(index),
      job.statOf(index),
      job.hasXattrs(index) ? xattrsAt(scan.root, path) : NO_XATTRS,
    );
  }
}

function xattrsAt(root: string, path: string): ReturnType<typeof contentXattrs> {
  const parent = parentOf(path);
  const directory = check(openBelow(root, parent), "open", parent);
  try {
    const fd = check(openReadable(directory, path.slice(parent === "" ? 0 : parent.length + 1)), "read", path);
    try {
      return contentXattrs(fd);
    } finally {
      raw.closeFd(fd);
    }
  } finally {
    raw.closeFd(directory);
  }
}
