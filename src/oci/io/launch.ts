// Starts contexts, delivers their output and says how they ended. What a context is, is decided by runtime/plan.ts.

import { closeSync, statSync } from "node:fs";
import { fail, MeshError } from "../../base/errors.ts";
import { makePipe, type Pipe } from "../../base/io/libc.ts";
import type { ContextSetup, ContextSpec, RunningContext } from "../runtime/context-spec.ts";
import { checkSetup } from "../runtime/spec-checks.ts";
import { outlineOf } from "../runtime/blanks.ts";
import { type ContextImage, fillImage } from "../runtime/emit.ts";
import { plan } from "../runtime/plan.ts";
import type { Allotment } from "../runtime/plan-input.ts";
import { needsHostMounts } from "../runtime/plan-root.ts";
import { taskFilter } from "../runtime/profile.ts";
import { type CgroupLease, CgroupPool, type LimitMechanisms } from "./cgroup.ts";
import { HostMounts } from "./host-mounts.ts";
import { IdMaps, type PreparedIdMap } from "./id-map.ts";
import { Machine } from "./machine.ts";
import { resolverFile } from "./network.ts";
import { type ContextIo, PreparedContext } from "./prepared-context.ts";
import { ImageCache, type SpawnedImage, spawnImage } from "./spawn-image.ts";
import { type NamespaceRun, runInUserNamespace } from "./user-namespace.ts";
import { CpuRotation } from "./watchdog.ts";

export interface ContextRuntimeOptions {
  /** MESH_HOME; must exist, on a filesystem that an overlay may write to. */
  readonly home: string;
  /** "fallback" leaves cgroups alone even where they are usable. Default "best". */
  readonly limits?: "best" | "fallback";
}

/** Starts contexts for one mesh process. Contexts die with the thread that made this object. */
export class ContextRuntime implements AsyncDisposable {
  readonly #machine: Machine;
  readonly #limits: "best" | "fallback";
  readonly #idMaps = new IdMaps();
  readonly #hostMounts = new HostMounts();
  readonly #images = new ImageCache();
  readonly #alive = new Set<PreparedContext>();
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
    return (await this.prepare(spec)).begin(spec, io);
  }

  /**
   * Spawns a context that waits for its command when it has set itself up; resolves at once. What goes wrong with it is thrown
   * when it begins. One that never begins ends with this runtime, or with mesh.
   */
  async prepare(setup: ContextSetup): Promise<PreparedContext> {
    checkSetup(setup);
    const idMap = await this.#idMaps.prepare(setup.idMap);
    const facts = this.#machine.facts(setup);
    const hostMountsFd = needsHostMounts(setup, facts) ? await this.#hostMounts.open(facts.hostBind) : null;
    const cgroups = this.#acquire(setup);
    let context: PreparedContext;
    try {
      const allotment = this.#allot(setup, idMap, cgroups);
      const image = this.#images.get(keyOf(setup, allotment), () => this.#imageOf(setup, allotment));
      const output = spawnWithOutput((fds) =>
        spawnImage(image, { name: "mesh-context", output: fds, extraFds: [idMap.namespaceFd, hostMountsFd] }),
      );
      const { mechanisms } = this;
      context = new PreparedContext({ setup, hostParts: allotment.hostParts, cgroups, mechanisms, ...output });
    } catch (error) {
      cgroups.release();
      throw error;
    }
    this.#alive.add(context);
    void context.ended.then(() => this.#alive.delete(context));
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

  /** Removes control groups of processes that have died: whoever opens a pool does so. */
  sweep(): void {
    this.#pool();
  }

  /** Ends every context and gives all cgroups back. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([...this.#alive].map((context) => context.discard()));
    await this.#idMaps.close();
    await this.#hostMounts.close();
    this.#images.close();
    if (this.#cgroups !== null) CgroupPool.giveBack(this.#cgroups);
    this.#cgroups = null;
  }

  #imageOf(setup: ContextSetup, allotment: Allotment): ContextImage {
    const facts = this.#machine.facts(setup);
    const outline = outlineOf(setup, allotment) ?? { setup, allotment, paths: [] };
    const key = keyOf(outline.setup, outline.allotment);
    return fillImage(
      this.#images.form(key, () => plan(outline.setup, facts, outline.allotment)),
      outline.paths,
    );
  }

  #pool(): CgroupPool {
    return (this.#cgroups ??= this.#limits === "best" ? CgroupPool.shared() : CgroupPool.none());
  }

  #acquire(setup: ContextSetup): CgroupLease {
    try {
      return this.#pool().acquire(setup.limits);
    } catch (error) {
      return fail("context.failed", "Cannot prepare the context's control groups", { cause: error });
    }
  }

  #allot(setup: ContextSetup, idMap: PreparedIdMap, cgroups: CgroupLease): Allotment {
    const { mechanisms } = this;
    const { cpuMilli, pids } = setup.limits;
    const hostParts = this.#machine.hostParts(setup);
    return {
      skeleton: this.#machine.skeleton(setup),
      idMap: idMap.map,
      cgroupTaskFiles: cgroups.taskFiles,
      cgroupDirectory: cgroups.directory,
      processLimit: mechanisms.pids === "fallback" ? pids : null,
      cpuMask: mechanisms.cpu === "fallback" ? (this.#cpus ??= new CpuRotation()).take(cpuMilli) : null,
      resolvConf: resolverFile(setup.network),
      bindKinds: setup.binds.map(({ source }) => kindOf(source)),
      hostParts,
      hidden: this.#machine.toHide(setup, hostParts),
      filter: taskFilter(this.#machine.architecture, setup.idMap === "single"),
    };
  }
}

interface WithOutput {
  readonly image: SpawnedImage;
  readonly stdoutFd: number;
  readonly stderrFd: number;
}

/** All that a program depends on and that differs between the contexts of one runtime. */
function keyOf(setup: ContextSetup, allotment: Allotment): string {
  const { root, hostname, network, binds, devices, limits, idMap, tmpfsTmp } = setup;
  const { cgroupTaskFiles, cgroupDirectory, cpuMask, processLimit, resolvConf, bindKinds, hidden, hostParts } =
    allotment;
  return JSON.stringify([
    [root.kind, root.lowers, root.upper, root.work, hostname, network, binds, devices, limits, idMap, tmpfsTmp],
    [cgroupTaskFiles, cgroupDirectory, cpuMask, processLimit, resolvConf, bindKinds, hidden, hostParts],
  ]);
}

function spawnWithOutput(spawn: (output: readonly [number, number]) => SpawnedImage): WithOutput {
  const pipes: Pipe[] = [];
  try {
    const stdout = makePipe();
    pipes.push(stdout);
    const stderr = makePipe();
    pipes.push(stderr);
    const image = spawn([stdout.writeFd, stderr.writeFd]);
    return { image, stdoutFd: stdout.readFd, stderrFd: stderr.readFd };
  } catch (error) {
    for (const { readFd } of pipes) closeSync(readFd);
    throw new MeshError("context.failed", "Cannot spawn the context", { cause: error });
  } finally {
    for (const { writeFd } of pipes) closeSync(writeFd);
  }
}

function kindOf(path: string): "file" | "directory" {
  try {
    return statSync(path).isDirectory() ? "directory" : "file";
  } catch (error) {
    return fail("context.failed", `Cannot bind ${path} into the context`, { cause: error });
  }
}
