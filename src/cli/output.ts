// Standard output and standard error: gathered writes that are on their way before the process ends, and silence once the
// reader has gone. It never throws because of a closed pipe.

import { fstatSync, statSync, writeSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";

/** Where a command's text goes. */
export interface Output {
  readonly isTerminal: boolean;
  /** True once the reader has gone: nothing that is written arrives any more. */
  readonly closed: boolean;
  write(content: string | Uint8Array): void;
  /** Hands over what was written so far. */
  flush(): void;
}

/** Gathered text beyond this is handed over at once. */
const GATHERED_CHARS = 32 * 1024;

/** How long to wait before a full pipe of a non-blocking reader is tried again. */
const FULL_PIPE_WAIT_MS = 2;

/**
 * An output over a file descriptor. Writes are synchronous: a slow reader slows the program down instead of
 * filling its memory, and nothing is lost when the process ends.
 */
export class FileOutput implements Output {
  readonly #fd: number;
  readonly #onClosed: () => void;
  #gathered = "";
  #flushWanted = false;
  #isTerminal: boolean | null = null;
  closed = false;

  constructor(fd: number, onClosed: () => void) {
    this.#fd = fd;
    this.#onClosed = onClosed;
  }

  get isTerminal(): boolean {
    this.#isTerminal ??= isTerminal(this.#fd);
    return this.#isTerminal;
  }

  write(content: string | Uint8Array): void {
    if (this.closed) return;
    if (typeof content !== "string") {
      this.flush();
      this.#writeAll(content);
      return;
    }
    this.#gathered += content;
    if (this.#gathered.length > GATHERED_CHARS) return this.flush();
    if (this.#flushWanted) return;
    this.#flushWanted = true;
    queueMicrotask(() => {
      this.#flushWanted = false;
      this.flush();
    });
  }

  flush(): void {
    if (this.#gathered === "") return;
    const bytes = Buffer.from(this.#gathered);
    this.#gathered = "";
    this.#writeAll(bytes);
  }

  #writeAll(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.closed;) {
      try {
        at += writeSync(this.#fd, bytes, at);
      } catch (error) {
        const code = errnoOf(error);
        if (code === "EAGAIN" || code === "EINTR") Bun.sleepSync(FULL_PIPE_WAIT_MS);
        else this.#close();
      }
    }
  }

  #close(): void {
    this.closed = true;
    this.#onClosed();
  }
}

/**
 * Whether a file descriptor is a terminal. Only what may be one pays for `node:tty`, whose loading takes longer than all else of a
 * short command: a terminal is a character device, and not the null device.
 */
function isTerminal(fd: number): boolean {
  try {
    const file = fstatSync(fd);
    if (!file.isCharacterDevice() || file.rdev === nullDevice()) return false;
  } catch {
    return false; // It is closed.
  }
  return process.getBuiltinModule("node:tty").isatty(fd);
}

function nullDevice(): number | null {
  try {
    return statSync("/dev/null").rdev;
  } catch {
    return null; // Windows has none; a bare container may lack it.
  }
}
