// Writes one task's log within bounds: the head is kept, then only the last part, and a frame says how much was left out. While
// the task runs, the log's file can be followed; a short log of a short task never becomes a file at all.

import { closeSync, mkdirSync, openSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import { encodeFrame, frameHead, type LogFrame } from "../log-frames.ts";
import { liveLogPath } from "../paths.ts";
import { EMPTY_LOG, type LogRef } from "../result.ts";
import type { Blobs } from "./blobs.ts";
import { storeFailure } from "./failures.ts";
import type { Home } from "./home.ts";

/** What is held back before it is written, and for how long. */
const BUFFER_BYTES = 65_536;
const FLUSH_MS = 100;

export interface LogBounds {
  readonly headBytes: number;
  readonly tailBytes: number;
  readonly inlineBytes: number;
}

const DEFAULT_BOUNDS: LogBounds = {
  headBytes: LIMITS.logHeadBytes,
  tailBytes: LIMITS.logTailBytes,
  inlineBytes: LIMITS.logInlineBytes,
};

export class LogWriter {
  /** Where the log can be followed once something was written there. */
  readonly path: string;
  readonly #blobs: Blobs;
  readonly #bounds: LogBounds;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  /** Bytes of output in the head. */
  #headBytes = 0;
  #fileBytes = 0;
  #fd = -1;
  #timer: ReturnType<typeof setTimeout> | null = null;
  readonly #tail: LogFrame[] = [];
  #tailBytes = 0;
  #droppedBytes = 0;
  #failure: Error | null = null;

  constructor(
    home: Home,
    blobs: Blobs,
    task: { readonly run: string; readonly task: string },
    bounds: LogBounds = DEFAULT_BOUNDS,
  ) {
    this.path = liveLogPath(home.paths, task.run, task.task);
    this.#blobs = blobs;
    this.#bounds = bounds;
  }

  /** Bytes of output left out so far. */
  get droppedBytes(): number {
    return this.#droppedBytes;
  }

  /** Adds output; `atMs` counts from the log's start. The bytes are copied when they have to be kept. */
  write(stream: "stdout" | "stderr", atMs: number, bytes: Uint8Array): void {
    const room = this.#bounds.headBytes - this.#headBytes;
    if (room > 0) {
      const head = bytes.length <= room ? bytes : bytes.subarray(0, room);
      this.#headBytes += head.length;
      this.#push({ kind: "output", stream, atMs, bytes: head });
      if (head.length === bytes.length) return;
    }
    const rest = bytes.subarray(Math.max(0, room));
    const last = rest.slice(Math.max(0, rest.length - this.#bounds.tailBytes));
    this.#keepTail({ kind: "output", stream, atMs, bytes: last }, rest.length);
  }

  /** Ends the log and says where it is: in place when short, else a blob. Throws `store.full` when it could not be written. */
  async finish(): Promise<LogRef> {
    this.#stopTimer();
    if (this.#droppedBytes > 0)
      this.#push({ kind: "dropped", atMs: this.#tail[0]?.atMs ?? 0, droppedBytes: this.#droppedBytes });
    for (const frame of this.#tail.splice(0)) this.#push(frame);
    const sizeBytes = this.#fileBytes + this.#pendingBytes;
    if (sizeBytes === 0) return EMPTY_LOG;
    try {
      if (sizeBytes <= this.#bounds.inlineBytes)
        return { kind: "inline", base64: this.#whole().toString("base64"), sizeBytes };
      this.#flush();
      if (this.#failure !== null) throw this.#failure;
      closeSync(this.#fd);
      this.#fd = -1;
      const digest = await this.#blobs.putFile(this.path, { move: true });
      return { kind: "blob", digest, sizeBytes };
    } catch (error) {
      throw storeFailure(error, `write the log ${this.path}`);
    } finally {
      this.#remove();
    }
  }

  /** Gives the log up: nothing of it stays. */
  discard(): void {
    this.#stopTimer();
    this.#remove();
  }

  #whole(): Buffer {
    const written = this.#fileBytes > 0 ? [readFileSync(this.path)] : [];
    return Buffer.concat([...written, ...this.#pending]);
  }

  #push(frame: LogFrame): void {
    if (frame.kind === "output" && frame.bytes.length > BUFFER_BYTES) {
      this.#add(frameHead(frame));
      this.#add(frame.bytes);
    } else this.#add(encodeFrame(frame));
    if (this.#pendingBytes >= BUFFER_BYTES) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), FLUSH_MS);
  }

  #add(bytes: Uint8Array): void {
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
  }

  /** Keeps the last bytes of output: whole frames go as long as enough remains without them. */
  #keepTail(frame: LogFrame & { readonly kind: "output" }, fullLength: number): void {
    this.#droppedBytes += fullLength - frame.bytes.length;
    this.#tail.push(frame);
    this.#tailBytes += frame.bytes.length;
    let gone = 0;
    for (const oldest of this.#tail) {
      const length = oldest.kind === "output" ? oldest.bytes.length : 0;
      if (this.#tailBytes - length < this.#bounds.tailBytes) break;
      this.#tailBytes -= length;
      this.#droppedBytes += length;
      gone++;
    }
    // Many tiny frames: taking them off one by one would be quadratic.
    if (gone > 0) this.#tail.splice(0, gone);
  }

  /** A failure to write (a full disk) is kept for `finish`: the task's output must go on being drained. */
  #flush(): void {
    this.#stopTimer();
    if (this.#pendingBytes === 0) return;
    const chunk = this.#pending.length === 1 ? (this.#pending[0] ?? new Uint8Array(0)) : Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#fileBytes += chunk.length;
    if (this.#failure !== null) return;
    try {
      if (this.#fd < 0) this.#open();
      for (let at = 0; at < chunk.length;) at += writeSync(this.#fd, chunk, at, chunk.length - at);
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
    }
  }

  #open(): void {
    mkdirSync(this.path.slice(0, this.path.lastIndexOf("/")), { recursive: true, mode: 0o700 });
    this.#fd = openSync(this.path, "w", 0o600);
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #remove(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#pending = [];
    this.#pendingBytes = 0;
    if (this.#fileBytes === 0) return;
    try {
      unlinkSync(this.path);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }
}
