// One context from its spawn to its end: set up, waiting for its command, running, over. What it is was decided by plan.ts.

import { closeSync, rmdirSync } from "node:fs";
import { constants } from "node:os";
import { dirname } from "node:path";
import { assert } from "../../base/assert.ts";
import { type ErrorCode, fail } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import { encodeCommand, isOfCommand, operationOn } from "../runtime/command.ts";
import type { ContextCommand, ContextExit, ContextSetup, RunningContext } from "../runtime/context-spec.ts";
import { BEGUN_RECORD, END_RECORD, PID_RECORD } from "../runtime/emit.ts";
import type { HostPart } from "../runtime/plan-input.ts";
import { checkCommand } from "../runtime/spec-checks.ts";
import type { CgroupLease, LimitMechanisms } from "./cgroup.ts";
import { type AttachedNetwork, attachNetwork } from "./network.ts";
import { descendants, isAlive, signalQuietly } from "./processes.ts";
import type { ReportRecord, SpawnedImage } from "./spawn-image.ts";
import { type Watch, watch } from "./watchdog.ts";

export interface ContextIo {
  readonly stdin: "null";
  /** Called with what the task wrote, in order per stream. The bytes are the callee's. */
  readonly output: (stream: "stdout" | "stderr", bytes: Uint8Array) => void;
  /** Aborting ends the context at once. */
  readonly signal?: AbortSignal;
}

/** What a context was made of. */
export interface Spawned {
  readonly setup: ContextSetup;
  readonly hostParts: readonly HostPart[];
  readonly image: SpawnedImage;
  /** Read ends of its output: real pipes, so that a task may open /dev/stderr. */
  readonly stdoutFd: number;
  readonly stderrFd: number;
  readonly cgroups: CgroupLease;
  readonly mechanisms: LimitMechanisms;
}

/** A context that was spawned. It sets itself up at its own pace, and waits then for `begin` or `discard`. */
export class PreparedContext {
  readonly #made: Spawned;
  /** Whether its task has become the command, or failed to, or it is over. */
  readonly #begunOrOver = Promise.withResolvers<void>();
  /** What pid 1 told of the end; null when it was killed before. */
  readonly #told = Promise.withResolvers<TaskEnd | null>();
  /** Whether the command may be sent: a network helper has to be answered before. */
  readonly #reachable = Promise.withResolvers<void>();
  /** Whether its pid 1 is known, or there is none. */
  readonly #bornOrOver = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #drained: Promise<unknown> | null = null;
  #signal: AbortSignal | null = null;
  #failure: ReportRecord | null = null;
  #pid: number | null = null;
  #network: AttachedNetwork | null = null;
  #watching: Watch | null = null;
  #exit: Promise<ContextExit> | null = null;
  #finishing: Promise<void> | null = null;
  #begun = false;
  #over = false;

  constructor(made: Spawned) {
    this.#made = made;
    // Whoever begins it is told.
    this.#begunOrOver.promise.catch(() => undefined);
    void this.#readReports();
  }

  /** Whether it can begin: it is not over, and nothing has begun in it. */
  get isWaiting(): boolean {
    const { exitCode, signalCode } = this.#made.image.process;
    return !this.#begun && this.#failure === null && exitCode === null && signalCode === null;
  }

  /** Resolves when nothing of it is left. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /**
   * Gives it its command, once; resolves when that has begun (execve succeeded). Throws as `ContextRuntime.start` does; then
   * nothing of it is left.
   */
  async begin(command: ContextCommand, io: ContextIo): Promise<RunningContext> {
    assert(!this.#begun, "a context begins once");
    this.#begun = true;
    try {
      io.signal?.throwIfAborted();
      checkCommand(command);
      const message = encodeCommand(command);
      this.#listen(io);
      await this.#handOver(message, command, io);
    } catch (error) {
      await this.discard();
      throw error;
    }
    return this.#running();
  }

  /** Ends it, whatever it does, and resolves when nothing of it is left. */
  async discard(): Promise<void> {
    this.#begun = true;
    // A pid 1 whose monitor is killed right at its birth would linger.
    const timer = setTimeout(() => this.kill(), LIMITS.contextStartMs);
    await this.#bornOrOver.promise;
    clearTimeout(timer);
    this.kill();
    await this.#finish();
  }

  /** Pid 1's death is everybody's; before it is known, the monitor's. */
  kill(): void {
    if (this.#over) return;
    if (this.#pid === null) this.#made.image.process.kill("SIGKILL");
    else signalQuietly(this.#pid, "SIGKILL");
  }

  readonly #abort = (): void => this.kill();

  async #readReports(): Promise<void> {
    const reports = this.#made.image.records();
    try {
      for await (const record of reports) {
        if (record.word === PID_RECORD) await this.#born(Number(record.value));
        else if (record.word === END_RECORD) this.#told.resolve(await readEnd(record, reports));
        else {
          if (record.word !== BEGUN_RECORD) this.#failure ??= record;
          this.#begunOrOver.resolve();
        }
      }
    } catch (error) {
      this.#begunOrOver.reject(error);
    } finally {
      this.#bornOrOver.resolve();
      this.#reachable.resolve();
      this.#begunOrOver.resolve();
      this.#told.resolve(null);
    }
  }

  async #born(pid: number): Promise<void> {
    this.#pid = pid;
    this.#bornOrOver.resolve();
    if (this.#signal?.aborted) this.kill();
    if (this.#made.setup.network !== "nat") return;
    this.#network = await attachNetwork(pid);
    this.#made.image.answer();
    this.#reachable.resolve();
  }

  #listen({ output, signal }: ContextIo): void {
    this.#drained = Promise.all([
      deliver(this.#made.stdoutFd, (bytes) => output("stdout", bytes)),
      deliver(this.#made.stderrFd, (bytes) => output("stderr", bytes)),
    ]);
    this.#signal = signal ?? null;
    signal?.addEventListener("abort", this.#abort, { once: true });
  }

  async #handOver(message: Uint8Array, command: ContextCommand, io: ContextIo): Promise<void> {
    const { image, setup } = this.#made;
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.kill();
    }, LIMITS.contextStartMs);
    let isSent: boolean;
    try {
      if (setup.network === "nat") await this.#reachable.promise;
      isSent = await image.send(message);
      await this.#begunOrOver.promise;
    } finally {
      clearTimeout(timer);
    }
    io.signal?.throwIfAborted();
    if (isLate) fail("context.failed", `Cannot start the context: it took longer than ${LIMITS.contextStartMs} ms`);
    if (this.#failure !== null) {
      const { operation, errno } = image.failureOf(this.#failure);
      fail(codeFor(operation, errno), `Cannot start the context: ${operationOn(operation, command)}: ${errno}`);
    }
    if (this.#pid === null || !isSent) {
      await image.process.exited;
      const { signalCode, exitCode } = image.process;
      fail("context.failed", `Cannot start the context: its monitor ended (${signalCode ?? exitCode})`);
    }
  }

  #running(): RunningContext {
    const pid = this.#pid;
    assert(pid !== null, "a context that began has a pid");
    const { setup, mechanisms } = this.#made;
    const watchesMemory = mechanisms.memory === "fallback" && setup.limits.memoryBytes !== null;
    const needsWatch = watchesMemory || mechanisms.pids === "fallback";
    if (needsWatch) this.#watching = watch(pid, setup.limits, () => this.kill());
    this.#exit = this.#readExit();
    void this.#finish();
    return {
      pid,
      exited: this.#exit,
      gone: this.ended,
      kill: () => this.kill(),
      terminate: () => this.#terminate(pid),
    };
  }

  #terminate(pid: number): void {
    if (this.#over) return;
    for (const inside of descendants(pid)) signalQuietly(inside, "SIGTERM");
  }

  /** Resolves when everybody inside is dead and the output is delivered: pid 1 tells it, or the monitor by its own death. */
  async #readExit(): Promise<ContextExit> {
    const { setup, hostParts, cgroups } = this.#made;
    const { exitCode, signal, cpuMs } = (await this.#told.promise) ?? (await this.#endOfMonitor());
    this.#watching?.stop();
    await this.#drained;
    removeEmptyParts(setup.root.upper, hostParts);
    return {
      exitCode,
      signal,
      outOfMemory: exitCode !== 0 && (this.#watching?.outOfMemory === true || cgroups.outOfMemoryKills() > 0),
      used: { cpuMs, memoryBytesMax: cgroups.peakMemoryBytes() ?? this.#watching?.peakMemoryBytes ?? null },
    };
  }

  /** The monitor dies the task's death. It outlives pid 1, unless it was killed: then the kernel kills pid 1, which takes a moment. */
  async #endOfMonitor(): Promise<TaskEnd> {
    const { process } = this.#made.image;
    await process.exited;
    if (this.#pid !== null && process.signalCode !== null) await untilDead(this.#pid);
    return {
      exitCode: process.signalCode === null ? process.exitCode : null,
      signal: process.signalCode === null ? null : String(process.signalCode),
      cpuMs: Math.round(Number(process.resourceUsage()?.cpuTime.total ?? 0) / 1000),
    };
  }

  /** Resolves when nothing of it is left. */
  #finish(): Promise<void> {
    return (this.#finishing ??= this.#finishOnce());
  }

  async #finishOnce(): Promise<void> {
    const { image, setup, hostParts, cgroups, stdoutFd, stderrFd } = this.#made;
    try {
      await this.#endOfMonitor();
      this.#over = true;
      image.closeReport();
      if (this.#drained === null) for (const fd of [stdoutFd, stderrFd]) closeSync(fd);
      // Whoever began it is told what its output threw.
      await (this.#exit ?? this.#drained)?.catch(() => undefined);
      await this.#network?.detach();
    } finally {
      this.#watching?.stop();
      removeEmptyParts(setup.root.upper, hostParts);
      this.#signal?.removeEventListener("abort", this.#abort);
      cgroups.release();
      this.#ended.resolve();
    }
  }
}

interface TaskEnd {
  /** null when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly cpuMs: number;
}

/** Pid 1's last words: the task's wait status (wait(2)), and two times. */
async function readEnd(record: ReportRecord, following: AsyncIterator<ReportRecord, void>): Promise<TaskEnd> {
  let cpuMs = 0;
  for (let times = 0; times < 2; times++) {
    const { value } = await following.next();
    if (value) cpuMs += value.word * 1000 + Number(value.value) / 1000;
  }
  const status = Number(record.value);
  const signal = status & 0x7f;
  return {
    exitCode: signal === 0 ? status >> 8 : null,
    signal: signal === 0 ? null : nameOfSignal(signal),
    cpuMs: Math.round(cpuMs),
  };
}

/** "SIGKILL" for 9. */
function nameOfSignal(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number);
  return found?.[0] ?? `signal ${number}`;
}

async function deliver(fd: number, output: (bytes: Uint8Array) => void): Promise<void> {
  try {
    for await (const bytes of Bun.file(fd).stream()) output(bytes);
  } finally {
    closeSync(fd);
  }
}

/** The host's root in parts needs its directories in the upper one; those that stay empty are no change of the task's. */
function removeEmptyParts(upper: string, parts: readonly HostPart[]): void {
  const made = parts.filter((part) => part.lowers !== null).map((part) => part.path);
  const withParents = made.flatMap((path) => [path, dirname(path)]).filter((path) => path !== "/");
  for (const path of withParents) {
    try {
      rmdirSync(upper + path);
    } catch {
      // It holds something, or is gone.
    }
  }
}

async function untilDead(pid: number): Promise<void> {
  const deadline = performance.now() + LIMITS.contextStartMs;
  while (isAlive(pid) && performance.now() < deadline) await Bun.sleep(1);
}

const POLICY_ERRORS = new Set(["EPERM", "ENOSYS", "EACCES", "ENODEV"]);

/** A refusal by the kernel's policy will be the same next time; anything else may be this one context's trouble. */
function codeFor(operation: string, errno: string): ErrorCode {
  // Beyond user.max_user_namespaces clone(2) says ENOSPC; from all else it means a full disk.
  if (errno === "ENOSPC") return operation === "make the namespaces" ? "context.unavailable" : "store.full";
  // What the task names is the task's matter.
  if (isOfCommand(operation)) return "context.failed";
  return POLICY_ERRORS.has(errno) ? "context.unavailable" : "context.failed";
}
