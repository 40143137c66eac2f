// Spawns a set-up program and reads what it reports. Knows nothing of what the program does.

import { chmodSync, closeSync, unlinkSync, write, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errnoOf } from "../../base/errors.ts";
import { errnoName, makeMemoryFile, makeSocketPair, sealMemoryFile } from "../../base/io/libc.ts";
import { type ContextImage, emitForm, emitImage, type ImageForm } from "../runtime/emit.ts";
import type { SetupProgram } from "../runtime/setup-op.ts";
import type { Architecture } from "../runtime/syscalls.ts";

/** Programs, and forms of programs, that are kept: a few shapes of context in a few folders. */
const KEPT_IMAGES = 64;
/** Always fits into a socket's buffer. */
const SHORT_BYTES = 64 * 1024;

/** Two words that a program wrote on its report socket. */
export interface ReportRecord {
  readonly word: number;
  readonly value: bigint;
}

export interface SpawnedImage {
  readonly pid: number;
  readonly process: Bun.Subprocess;
  /** What the program reports, until it closes its end or becomes another program. Read once. */
  records(): AsyncGenerator<ReportRecord, void>;
  /** What a failure record tells: the operation's name ("mount overlay") and the error's ("EINVAL"). */
  failureOf(record: ReportRecord): { readonly operation: string; readonly errno: string };
  /** The same as one text: "mount overlay: EINVAL". */
  describe(record: ReportRecord): string;
  /** Sends one byte, for which a program may wait. */
  answer(): void;
  /** Sends bytes that the program reads at its own pace; false when it has ended before. */
  send(bytes: Uint8Array): Promise<boolean>;
  /** Closes mesh's end of the report socket. */
  closeReport(): void;
  /** Kills the program, waits for it and closes the socket. */
  end(): Promise<void>;
}

export interface SpawnOptions {
  /** Name that process listings show. */
  readonly name: string;
  /** Descriptors for the program's standard output and error; default nothing. They stay open here. */
  readonly output?: readonly [stdout: number, stderr: number];
  /** Descriptors that the program gets as number 4 and so on. */
  readonly extraFds?: readonly (number | null)[];
}

/** Programs that were made lately, each ready to be spawned, and the forms that they were made from. */
export class ImageCache {
  readonly #kept = new Map<string, ExecutableImage>();
  readonly #forms = new Map<string, ImageForm>();

  /** The program of that key; `make` is asked when it is not kept. */
  get(key: string, make: () => ContextImage): ExecutableImage {
    const image = this.#kept.get(key) ?? new ExecutableImage(make());
    keepLatest(this.#kept, key, image)?.close();
    return image;
  }

  /** A program's form of that key; `make` is asked when it is not kept. */
  form(key: string, make: () => SetupProgram): ImageForm {
    const form = this.#forms.get(key) ?? emitForm(make(), architecture());
    keepLatest(this.#forms, key, form);
    return form;
  }

  close(): void {
    for (const image of this.#kept.values()) image.close();
    this.#kept.clear();
  }
}

/** Makes the entry the latest; the oldest one that gave way to it, if any. */
function keepLatest<T>(kept: Map<string, T>, key: string, value: T): T | undefined {
  kept.delete(key);
  kept.set(key, value);
  const [oldest] = kept;
  if (kept.size <= KEPT_IMAGES || oldest === undefined) return undefined;
  kept.delete(oldest[0]);
  return oldest[1];
}

function architecture(): Architecture {
  return process.arch === "arm64" ? "arm64" : "x64";
}

/** Starts the program. Throws system errors when it can't be spawned. */
export function spawnImage(program: SetupProgram | ExecutableImage, options: SpawnOptions): SpawnedImage {
  if (program instanceof ExecutableImage) return spawn(program, options);
  const image = new ExecutableImage(emitImage(program, architecture()));
  try {
    return spawn(image, options);
  } finally {
    image.close();
  }
}

function spawn(executable: ExecutableImage, options: SpawnOptions): SpawnedImage {
  const [ours, theirs] = makeSocketPair();
  let child: Bun.Subprocess;
  try {
    const [stdout, stderr]: readonly [number | "ignore", number | "ignore"] = options.output ?? ["ignore", "ignore"];
    const extra = options.extraFds?.map((fd) => fd ?? "ignore") ?? [];
    child = executable.use((path) =>
      Bun.spawn([path], { argv0: options.name, env: {}, stdio: ["ignore", stdout, stderr, theirs, ...extra] }),
    );
  } catch (error) {
    closeSync(ours);
    throw error;
  } finally {
    closeSync(theirs);
  }
  return new Spawned(child, executable.image, ours);
}

let memoryFilesRun = true;

/**
 * A compiled program and the file that it is executed from: one in memory, sealed so that no context may change what the next
 * one runs. It needs no directory that allows execution; where the system forbids it (vm.memfd_noexec), a file serves.
 */
export class ExecutableImage {
  readonly image: ContextImage;
  #fd: number | null = null;
  #uses = 0;

  constructor(image: ContextImage) {
    this.image = image;
  }

  /** Calls `use`, which may execute the file at that path. What is used a second time is kept for a third. */
  use<T>(use: (path: string) => T): T {
    if (memoryFilesRun) {
      try {
        this.#fd ??= writeMemoryFile(this.image.image);
        return use(`/proc/self/fd/${this.#fd}`);
      } catch {
        memoryFilesRun = false;
      } finally {
        if (this.#uses++ === 0) this.close();
      }
    }
    return withFile(this.image.image, use);
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }
}

class Spawned implements SpawnedImage {
  readonly process: Bun.Subprocess;
  readonly #image: ContextImage;
  #reportFd: number | null;

  constructor(child: Bun.Subprocess, image: ContextImage, reportFd: number) {
    this.process = child;
    this.#image = image;
    this.#reportFd = reportFd;
  }

  get pid(): number {
    return this.process.pid;
  }

  async *records(): AsyncGenerator<ReportRecord, void> {
    if (this.#reportFd === null) return;
    let pending = Buffer.alloc(0);
    try {
      for await (const chunk of Bun.file(this.#reportFd).stream()) {
        pending = pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([pending, chunk]);
        for (; pending.length >= 16; pending = pending.subarray(16)) {
          yield { word: Number(pending.readBigUInt64LE(0)), value: pending.readBigInt64LE(8) };
        }
      }
    } catch (error) {
      // It ended without reading all that was sent.
      if (errnoOf(error) !== "ECONNRESET") throw error;
    }
  }

  failureOf(record: ReportRecord): { readonly operation: string; readonly errno: string } {
    return { operation: this.#image.nameOf(record.word), errno: errnoName(Number(-record.value)) };
  }

  describe(record: ReportRecord): string {
    const { operation, errno } = this.failureOf(record);
    return `${operation}: ${errno}`;
  }

  answer(): void {
    if (this.#reportFd !== null) writeSync(this.#reportFd, "1");
  }

  async send(bytes: Uint8Array): Promise<boolean> {
    if (this.#reportFd === null) return false;
    try {
      await writeAll(this.#reportFd, bytes);
      return true;
    } catch (error) {
      if (errnoOf(error) === "EPIPE" || errnoOf(error) === "ECONNRESET") return false;
      throw error;
    }
  }

  closeReport(): void {
    if (this.#reportFd !== null) closeSync(this.#reportFd);
    this.#reportFd = null;
  }

  async end(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.exited;
    this.closeReport();
  }
}

function withFile<T>(content: Uint8Array, use: (path: string) => T): T {
  const path = join(tmpdir(), `mesh-${process.pid}-${crypto.randomUUID()}`);
  writeFileSync(path, content, { mode: 0o700, flag: "wx" });
  try {
    chmodSync(path, 0o700);
    return use(path);
  } finally {
    unlinkSync(path);
  }
}

function writeMemoryFile(content: Uint8Array): number {
  const fd = makeMemoryFile("mesh-context");
  try {
    writeSync(fd, content);
    sealMemoryFile(fd);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** A write may wait for the program to read; so a long one is made beside the event loop. */
async function writeAll(fd: number, bytes: Uint8Array): Promise<void> {
  if (bytes.length <= SHORT_BYTES) {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    return;
  }
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const more = (at: number) =>
    write(fd, bytes, at, bytes.length - at, null, (error, written) => {
      if (error) reject(error);
      else if (at + written < bytes.length) more(at + written);
      else resolve();
    });
  more(0);
  await promise;
}
