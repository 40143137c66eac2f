// Starts contexts, delivers their output and says how they ended. What a context is, is decided by runtime/plan.ts.

import { closeSync, rmdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { assert } from "../../base/assert.ts";
import { type ErrorCode, fail, MeshError } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import { makePipe, type Pipe } from "../../base/io/libc.ts";
import type { ContextExit, ContextSpec, RunningContext } from "../runtime/context-spec.ts";
import { PID_RECORD } from "../runtime/emit.ts";
import { plan } from "../runtime/plan.ts";
import type { Allotment, HostPart } from "../runtime/plan-input.ts";
import { taskFilter } from "../runtime/profile.ts";
import { type CgroupLease, CgroupPool, type LimitMechanisms } from "./cgroup.ts";
import { IdMaps, type PreparedIdMap } from "./id-map.ts";
import { Machine } from "./machine.ts";
import { type AttachedNetwork, attachNetwork, resolverFile } from "./network.ts";
import { descendants, isAlive, signalQuietly } from "./processes.ts";
import { type ReportRecord, type SpawnedImage, spawnImage } from "./spawn-image.ts";
import { type NamespaceRun, runInUserNamespace } from "./user-namespace.ts";
import { CpuRotation, type Watch, watch } from "./watchdog.ts";

export interface ContextRuntimeOptions {
  /** MESH_HOME; must exist, on a filesystem that an overlay may write to. */
  readonly home: string;
  /** "fallback" leaves cgroups alone even where they are usable. Default "best". */
  readonly limits?: "best" | "fallback";
}

export interface ContextIo {
  readonly stdin: "null";
  /** Called with what the task wrote, in order per stream. The bytes are the callee's. */
  readonly output: (stream: "stdout" | "stderr", bytes: Uint8Array) => void;
  /** Aborting ends the context at once. */
  readonly signal?: AbortSignal;
}

/** Starts contexts for one mesh process. Contexts die with the thread that made this object. */
export class ContextRuntime implements AsyncDisposable {
  readonly #machine: Machine;
  readonly #limits: "best" | "fallback";
  readonly #idMaps = new IdMaps();
  readonly #running = new Set<RunningContext>();
  #cgroups: CgroupPool | null = null;
  #cpus: CpuRotation | null = null;

  private constructor(options: ContextRuntimeOptions) {
    this.#machine = new Machine(options.home);
    this.#limits = options.limits ?? "best";
  }

  /** Touches nothing yet: the machine is looked at when the first context starts. */
  static open(options: ContextRuntimeOptions): ContextRuntime {
    return new ContextRuntime(options);
  }

  /** What holds each limit here. */
  get mechanisms(): LimitMechanisms {
    return this.#pool().mechanisms;
  }

  /**
   * Starts a context; resolves when its task has begun (execve succeeded).
   * Throws `context.failed` naming the operation and the errno, `context.unavailable` when the machine can't make such contexts,
   * and the signal's reason when it is aborted already.
   */
  async start(spec: ContextSpec, io: ContextIo): Promise<RunningContext> {
    io.signal?.throwIfAborted();
    checkSpec(spec);
    const idMap = await this.#idMaps.prepare(spec.idMap);
    const cgroups = this.#acquire(spec);
    let attempt: Attempt | null = null;
    try {
      const allotment = this.#allot(spec, idMap, cgroups);
      const program = plan(spec, this.#machine.facts(spec), allotment);
      const spawned = spawnWithOutput((output) =>
        spawnImage(program, { name: "mesh-context", output, extraFd: idMap.namespaceFd }),
      );
      attempt = new Attempt(spec, allotment, io, spawned);
      await attempt.begun();
    } catch (error) {
      await attempt?.abandon();
      cgroups.release();
      throw error;
    }
    const context = attempt.running(cgroups, this.mechanisms);
    this.#running.add(context);
    const forget = () => void this.#running.delete(context);
    void context.exited.then(forget, forget);
    return context;
  }

  /**
   * Runs a program of this machine with the ids that contexts of the kind "range" have: for reading or removing what such a
   * context made under its subordinate ids. See user-namespace.ts.
   */
  runInUserNamespace(options: {
    readonly argv: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  }): Promise<NamespaceRun> {
    return runInUserNamespace(this.#idMaps, options);
  }

  /** Ends every context and gives all cgroups back. */
  async [Symbol.asyncDispose](): Promise<void> {
    const running = [...this.#running];
    for (const context of running) context.kill();
    await Promise.allSettled(running.map((context) => context.exited));
    await this.#idMaps.close();
    this.#cgroups?.close();
    this.#cgroups = null;
  }

  #pool(): CgroupPool {
    return (this.#cgroups ??= this.#limits === "best" ? CgroupPool.open() : CgroupPool.none());
  }

  #acquire(spec: ContextSpec): CgroupLease {
    try {
      return this.#pool().acquire(spec.limits);
    } catch (error) {
      return fail("context.failed", "Cannot prepare the context's control groups", { cause: error });
    }
  }

  #allot(spec: ContextSpec, idMap: PreparedIdMap, cgroups: CgroupLease): Allotment {
    const { mechanisms } = this;
    const { cpuMilli, pids } = spec.limits;
    const hostParts = this.#machine.hostParts(spec);
    return {
      skeleton: this.#machine.skeleton(spec),
      idMap: idMap.map,
      cgroupTaskFiles: cgroups.taskFiles,
      cgroupDirectory: cgroups.directory,
      processLimit: mechanisms.pids === "fallback" ? pids : null,
      cpuMask: mechanisms.cpu === "fallback" ? (this.#cpus ??= new CpuRotation()).take(cpuMilli) : null,
      resolvConf: resolverFile(spec.network),
      bindKinds: spec.binds.map(({ source }) => kindOf(source)),
      hostParts,
      hidden: this.#machine.toHide(spec, hostParts),
      filter: taskFilter(this.#machine.architecture, spec.idMap === "single"),
    };
  }
}

/** Output pipes of a context: real pipes, so that a task may open /dev/stderr. */
interface Output {
  readonly stdoutFd: number;
  readonly stderrFd: number;
}

interface Spawned {
  readonly image: SpawnedImage;
  readonly output: Output;
}

function spawnWithOutput(spawn: (output: readonly [number, number]) => SpawnedImage): Spawned {
  const pipes: Pipe[] = [];
  try {
    const stdout = makePipe();
    pipes.push(stdout);
    const stderr = makePipe();
    pipes.push(stderr);
    const image = spawn([stdout.writeFd, stderr.writeFd]);
    return { image, output: { stdoutFd: stdout.readFd, stderrFd: stderr.readFd } };
  } catch (error) {
    for (const { readFd } of pipes) closeSync(readFd);
    throw new MeshError("context.failed", "Cannot spawn the context", { cause: error });
  } finally {
    for (const { writeFd } of pipes) closeSync(writeFd);
  }
}

/** One start, from the spawn to the end. */
class Attempt {
  readonly #spec: ContextSpec;
  readonly #allotment: Allotment;
  readonly #io: ContextIo;
  readonly #image: SpawnedImage;
  readonly #drained: Promise<unknown>;
  #pid: number | null = null;
  #network: AttachedNetwork | null = null;
  #over = false;

  constructor(spec: ContextSpec, allotment: Allotment, io: ContextIo, { image, output }: Spawned) {
    this.#spec = spec;
    this.#allotment = allotment;
    this.#io = io;
    this.#image = image;
    this.#drained = Promise.all([
      deliver(output.stdoutFd, (bytes) => io.output("stdout", bytes)),
      deliver(output.stderrFd, (bytes) => io.output("stderr", bytes)),
    ]);
    io.signal?.addEventListener("abort", this.#abort, { once: true });
  }

  readonly #abort = (): void => this.kill();

  /** Resolves when the task began. Throws what went wrong. */
  async begun(): Promise<void> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.kill();
    }, LIMITS.contextStartMs);
    let failure: ReportRecord | null = null;
    try {
      for await (const record of this.#image.records()) {
        if (record.word === PID_RECORD) {
          this.#pid = Number(record.value);
          if (this.#io.signal?.aborted) this.kill();
          if (this.#spec.network === "nat") await this.#attachNetwork(this.#pid);
        } else failure ??= record;
      }
    } finally {
      clearTimeout(timer);
    }
    this.#io.signal?.throwIfAborted();
    if (isLate) fail("context.failed", `Cannot start the context: it took longer than ${LIMITS.contextStartMs} ms`);
    if (failure !== null) {
      fail(codeFor(this.#image.failureOf(failure)), `Cannot start the context: ${this.#image.describe(failure)}`);
    }
    if (this.#pid === null) {
      fail(
        "context.failed",
        `Cannot start the context: its monitor ended (${this.#image.process.signalCode ?? this.#image.process.exitCode})`,
      );
    }
  }

  /** Ends whatever was started of a context that did not begin. */
  async abandon(): Promise<void> {
    this.kill();
    await this.#finish();
  }

  running(cgroups: CgroupLease, mechanisms: LimitMechanisms): RunningContext {
    const pid = this.#pid;
    assert(pid !== null, "a context that began has a pid");
    const { memoryBytes } = this.#spec.limits;
    const needsWatch = (mechanisms.memory === "fallback" && memoryBytes !== null) || mechanisms.pids === "fallback";
    const watching = needsWatch ? watch(pid, this.#spec.limits, () => this.kill()) : null;
    return {
      pid,
      exited: this.#exit(cgroups, watching),
      kill: () => this.kill(),
      terminate: () => this.#terminate(pid),
    };
  }

  /** Pid 1's death is everybody's; before it is known, the monitor's. */
  kill(): void {
    if (this.#over) return;
    if (this.#pid === null) this.#image.process.kill("SIGKILL");
    else signalQuietly(this.#pid, "SIGKILL");
  }

  #terminate(pid: number): void {
    if (this.#over) return;
    for (const inside of descendants(pid)) signalQuietly(inside, "SIGTERM");
  }

  async #attachNetwork(pid: number): Promise<void> {
    this.#network = await attachNetwork(pid);
    this.#image.answer();
  }

  async #exit(cgroups: CgroupLease, watching: Watch | null): Promise<ContextExit> {
    await this.#finish();
    watching?.stop();
    const child = this.#image.process;
    const failed = child.exitCode !== 0;
    const exit: ContextExit = {
      exitCode: child.signalCode === null ? child.exitCode : null,
      signal: child.signalCode === null ? null : String(child.signalCode),
      outOfMemory: failed && (watching?.outOfMemory === true || cgroups.outOfMemoryKills() > 0),
      used: {
        cpuMs: Math.round(Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1000),
        memoryBytesMax: cgroups.peakMemoryBytes() ?? watching?.peakMemoryBytes ?? null,
      },
    };
    cgroups.release();
    return exit;
  }

  /** Resolves when everything inside is dead and the output is delivered. */
  async #finish(): Promise<void> {
    await this.#image.process.exited;
    // The monitor outlives pid 1, unless somebody killed the monitor; then the kernel kills pid 1, which takes a moment.
    if (this.#pid !== null && this.#image.process.signalCode !== null) await untilDead(this.#pid);
    this.#over = true;
    this.#image.closeReport();
    await this.#drained;
    await this.#network?.detach();
    removeEmptyParts(this.#spec.root.upper, this.#allotment.hostParts);
    this.#io.signal?.removeEventListener("abort", this.#abort);
  }
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
function codeFor({ operation, errno }: { readonly operation: string; readonly errno: string }): ErrorCode {
  // Beyond user.max_user_namespaces clone(2) says ENOSPC; from all else it means a full disk.
  if (errno === "ENOSPC") return operation === "make the namespaces" ? "context.unavailable" : "store.full";
  // What the task names is the task's matter.
  if (operation.startsWith("exec ") || operation.startsWith("chdir ")) return "context.failed";
  return POLICY_ERRORS.has(errno) ? "context.unavailable" : "context.failed";
}

function kindOf(path: string): "file" | "directory" {
  try {
    return statSync(path).isDirectory() ? "directory" : "file";
  } catch (error) {
    return fail("context.failed", `Cannot bind ${path} into the context`, { cause: error });
  }
}

function checkSpec(spec: ContextSpec): void {
  const paths = [
    spec.cwd,
    spec.root.upper,
    spec.root.work,
    ...spec.root.lowers,
    ...spec.binds.flatMap(({ source, target }) => [source, target]),
  ];
  for (const path of paths) {
    if (!path.startsWith("/"))
      fail("context.failed", `Cannot use ${JSON.stringify(path)} in a context: it is not an absolute path`);
  }
  const texts = [...paths, spec.hostname, ...spec.argv, ...Object.entries(spec.env).flat()];
  const broken = texts.find((text) => text.includes("\0"));
  if (broken !== undefined)
    fail("context.failed", `Cannot pass ${JSON.stringify(broken.slice(0, 80))} to a context: it holds a NUL character`);
  if (spec.argv.length === 0) fail("context.failed", "Cannot start a context without a command");
}
