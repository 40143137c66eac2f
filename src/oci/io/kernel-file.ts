// A small file of the kernel's (cgroups, /proc) that is asked again and again: one system call each time, by a descriptor kept
// open. It never sees a file that changes its length while it is read.

import { closeSync, openSync, readSync, writeSync } from "node:fs";

const buffer = Buffer.alloc(4096);

export class KernelFile {
  #fd: number | null;

  /** A file that can't be opened reads as empty text, and takes what is written without effect. */
  constructor(path: string) {
    this.#fd = openOrNull(path);
  }

  /** Its first 4096 bytes as they are at this moment. */
  read(): string {
    if (this.#fd === null) return "";
    return buffer.toString("latin1", 0, readSync(this.#fd, buffer, 0, buffer.length, 0));
  }

  /** Throws system errors. */
  write(text: string): void {
    if (this.#fd !== null) writeSync(this.#fd, text, 0);
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }
}

function openOrNull(path: string): number | null {
  for (const flags of ["r+", "r"]) {
    try {
      return openSync(path, flags);
    } catch {
      // It may not be written, or is not there.
    }
  }
  return null;
}
