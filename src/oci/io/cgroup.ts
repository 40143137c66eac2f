// Limits by control groups: version 2 where it is delegated, version 1 where it is writable. Directories are pooled, because
// making and removing them costs more than a small task. What no cgroup limits is left to rlimits and the watchdog.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isWritable, readText } from "../../base/io/text-files.ts";
import { type CgroupPlace, findCgroups, ownerName } from "../runtime/cgroup-paths.ts";
import type { ContextLimits } from "../runtime/context-spec.ts";
import { pidNamespace, removeTree, sweepGroups } from "./cgroup-tree.ts";
import { readMounts } from "./host-root.ts";
import { KernelFile } from "./kernel-file.ts";
import { startTicks } from "./processes.ts";

/** What holds a limit. */
export type LimitMechanism = "cgroup v2" | "cgroup v1" | "fallback";

export interface LimitMechanisms {
  readonly memory: LimitMechanism;
  readonly cpu: LimitMechanism;
  readonly pids: LimitMechanism;
}

/** One context's cgroups, until it is released. */
export interface CgroupLease {
  /** cgroup v1: files to write "0" to. */
  readonly taskFiles: readonly string[];
  /** cgroup v2: directory to be born in. */
  readonly directory: string | null;
  /** Processes the kernel killed for want of memory since the lease began. */
  outOfMemoryKills(): number;
  /** Most memory used since the lease began; null when it is not measured. */
  peakMemoryBytes(): number | null;
  /** Gives the directories back. Everything inside must be dead. */
  release(): void;
}

/** Largest leftover page cache with which a directory is used again; more would spoil the next context's peak. */
const REUSABLE_BYTES = 4 * 1024 * 1024;
/** Directories kept for reuse. */
const POOL_SIZE = 64;

let shared: { readonly pool: CgroupPool; users: number } | null = null;

/** All cgroups of one mesh process. */
export class CgroupPool {
  readonly mechanisms: LimitMechanisms;
  readonly #backend: Backend | null;
  readonly #free: Group[] = [];
  #made = 0;

  private constructor(backend: Backend | null) {
    this.#backend = backend;
    const mechanism = (has: boolean | undefined): LimitMechanism => (has && backend ? backend.version : "fallback");
    const { controllers } = backend ?? {};
    this.mechanisms = {
      memory: mechanism(controllers?.has("memory")),
      cpu: mechanism(controllers?.has("cpu")),
      pids: mechanism(controllers?.has("pids")),
    };
    // For a process that ends without closing; what a killed one leaves, the next one sweeps.
    if (backend !== null) process.once("exit", this.#onExit);
  }

  readonly #onExit = (): void => this.close();

  /** Looks for cgroups that this process may use, and removes what dead mesh processes left in them. Changes nothing else. */
  static open(place: CgroupPlace = ownPlace()): CgroupPool {
    const name = ownerName({
      pidNamespace: pidNamespace(),
      pid: process.pid,
      startTicks: startTicks("self") ?? 0,
    });
    return new CgroupPool(openUnified(place, name) ?? openLegacy(place, name));
  }

  /**
   * The one pool of this process: two would share names, and the first to close would remove the other's directories with what
   * runs inside. Every user gives it back once, by `giveBack`; with the last one it is closed.
   */
  static shared(): CgroupPool {
    shared ??= { pool: CgroupPool.open(), users: 0 };
    shared.users++;
    return shared.pool;
  }

  /** Gives back what `shared` gave; another pool is closed. */
  static giveBack(pool: CgroupPool): void {
    if (pool !== shared?.pool) return pool.close();
    if (--shared.users > 0) return;
    shared = null;
    pool.close();
  }

  /** A pool that limits nothing. */
  static none(): CgroupPool {
    return new CgroupPool(null);
  }

  acquire(limits: ContextLimits): CgroupLease {
    if (this.#backend === null) return NO_CGROUP;
    const group = this.#free.pop() ?? this.#backend.make(String(this.#made++));
    try {
      group.configure(limits);
    } catch (error) {
      group.remove();
      throw error;
    }
    return {
      taskFiles: group.taskFiles(limits),
      directory: group.directory,
      outOfMemoryKills: () => group.outOfMemoryKills(),
      peakMemoryBytes: () => group.peakMemoryBytes(),
      release: () => {
        if (this.#free.length < POOL_SIZE && group.isClean()) this.#free.push(group);
        else group.remove();
      },
    };
  }

  /** Removes every directory of this process. */
  close(): void {
    process.off("exit", this.#onExit);
    for (const group of this.#free.splice(0)) group.remove();
    this.#backend?.close();
  }
}

const NO_CGROUP: CgroupLease = {
  taskFiles: [],
  directory: null,
  outOfMemoryKills: () => 0,
  peakMemoryBytes: () => null,
  release: () => undefined,
};

type Controller = "memory" | "cpu" | "pids";

interface Backend {
  readonly version: "cgroup v1" | "cgroup v2";
  readonly controllers: ReadonlySet<Controller>;
  make(name: string): Group;
  close(): void;
}

interface Group {
  readonly directory: string | null;
  configure(limits: ContextLimits): void;
  taskFiles(limits: ContextLimits): readonly string[];
  outOfMemoryKills(): number;
  peakMemoryBytes(): number | null;
  isClean(): boolean;
  remove(): void;
}

function ownPlace(): CgroupPlace {
  return findCgroups(readText("/proc/self/cgroup"), readMounts());
}

// --- version 1 -------------------------------------------------------------------------------------------------------

function openLegacy(place: CgroupPlace, name: string): Backend | null {
  const parents: Partial<Record<Controller, string>> = {};
  for (const controller of ["memory", "cpu", "pids"] as const) {
    const directory = place.legacy[controller];
    if (directory === undefined || !isWritable(directory)) continue;
    sweepGroups(directory);
    parents[controller] = join(directory, name);
  }
  const controllers = new Set(Object.keys(parents) as Controller[]);
  if (controllers.size === 0) return null;
  const directories = [...new Set(Object.values(parents))];
  return {
    version: "cgroup v1",
    controllers,
    make: (group) => new LegacyGroup(parents, group),
    close: () => directories.forEach(removeTree),
  };
}

class LegacyGroup implements Group {
  readonly directory = null;
  readonly #directories: Partial<Record<Controller, string>> = {};
  /** Asked of every lease, so they stay open. */
  #peakFile: KernelFile | null = null;
  #killsFile: KernelFile | null = null;
  #configured: Partial<ContextLimits> = {};
  /** Of this lease, if it was asked for. */
  #peak: number | null = null;
  #killsBefore = 0;

  constructor(parents: Readonly<Partial<Record<Controller, string>>>, name: string) {
    for (const [controller, parent] of Object.entries(parents)) {
      const directory = join(parent, name);
      mkdirSync(directory, { recursive: true });
      this.#directories[controller as Controller] = directory;
    }
    const { memory } = this.#directories;
    if (memory === undefined) return;
    this.#peakFile = new KernelFile(join(memory, "memory.max_usage_in_bytes"));
    this.#killsFile = new KernelFile(join(memory, "memory.oom_control"));
  }

  configure(limits: ContextLimits): void {
    const { memory, cpu, pids } = this.#directories;
    const before = this.#configured;
    this.#peak = null;
    if (memory !== undefined) {
      if (before.memoryBytes !== limits.memoryBytes) limitMemory(memory, limits.memoryBytes);
      this.#peakFile?.write("0");
      this.#killsBefore = this.#kills();
    }
    if (cpu !== undefined && before.cpuMilli !== limits.cpuMilli) {
      write(cpu, "cpu.cfs_period_us", "100000");
      write(cpu, "cpu.cfs_quota_us", limits.cpuMilli === null ? "-1" : String(limits.cpuMilli * 100));
    }
    if (pids !== undefined && before.pids !== limits.pids) write(pids, "pids.max", String(limits.pids));
    this.#configured = limits;
  }

  taskFiles(limits: ContextLimits): readonly string[] {
    const { memory, cpu, pids } = this.#directories;
    const joined = [memory, pids, limits.cpuMilli === null ? undefined : cpu];
    return [...new Set(joined)].flatMap((directory) => (directory === undefined ? [] : [join(directory, "tasks")]));
  }

  outOfMemoryKills(): number {
    return this.#kills() - this.#killsBefore;
  }

  peakMemoryBytes(): number | null {
    this.#peak = this.#peakFile === null ? null : Number(this.#peakFile.read());
    return this.#peak;
  }

  isClean(): boolean {
    const { memory } = this.#directories;
    // What never was more is not more at the end.
    if (this.#peak !== null && this.#peak <= REUSABLE_BYTES) return true;
    return memory === undefined || Number(readText(join(memory, "memory.usage_in_bytes"))) <= REUSABLE_BYTES;
  }

  remove(): void {
    this.#peakFile?.close();
    this.#killsFile?.close();
    for (const directory of new Set(Object.values(this.#directories))) removeTree(directory);
  }

  #kills(): number {
    return countOf(this.#killsFile?.read() ?? "", "oom_kill");
  }
}

/** With swap accounting the sum of memory and swap has to be the larger of the two limits at every moment. */
function limitMemory(directory: string, bytes: number | null): void {
  const limit = bytes === null ? "-1" : String(bytes);
  const hasSwap = isWritable(join(directory, "memory.memsw.limit_in_bytes"));
  if (hasSwap) write(directory, "memory.memsw.limit_in_bytes", "-1");
  write(directory, "memory.limit_in_bytes", limit);
  if (hasSwap && bytes !== null) write(directory, "memory.memsw.limit_in_bytes", limit);
}

// --- version 2 -------------------------------------------------------------------------------------------------------

/**
 * A cgroup is usable when it was delegated to this user (its files are writable) and holds no other process: controllers can
 * be given to children only by a cgroup without processes, so this one moves to a leaf of its own first.
 */
function openUnified(place: CgroupPlace, name: string): Backend | null {
  const directory = place.unified;
  if (directory === null || !isWritable(directory) || !isWritable(join(directory, "cgroup.procs"))) return null;
  const available = readText(join(directory, "cgroup.controllers")).trim().split(" ");
  const controllers = new Set(
    (["memory", "cpu", "pids"] as const).filter((controller) => available.includes(controller)),
  );
  if (!controllers.has("memory") || !controllers.has("pids")) return null;
  sweepGroups(directory);
  const parent = join(directory, name);
  try {
    mkdirSync(parent, { recursive: true });
    const own = readText(join(directory, "cgroup.procs")).trim().split("\n").filter(Boolean);
    if (own.some((pid) => Number(pid) !== process.pid)) throw new Error("the cgroup holds other processes");
    mkdirSync(join(parent, "self"), { recursive: true });
    write(join(parent, "self"), "cgroup.procs", "0");
    const enable = [...controllers].map((controller) => `+${controller}`).join(" ");
    write(directory, "cgroup.subtree_control", enable);
    write(parent, "cgroup.subtree_control", enable);
  } catch {
    // Not delegated after all; version 1 or the fallback takes over.
    removeTree(parent);
    return null;
  }
  return {
    version: "cgroup v2",
    controllers,
    make: (group) => new UnifiedGroup(join(parent, group), controllers),
    close: () => {
      try {
        write(parent, "cgroup.subtree_control", [...controllers].map((controller) => `-${controller}`).join(" "));
        write(directory, "cgroup.subtree_control", [...controllers].map((controller) => `-${controller}`).join(" "));
        write(directory, "cgroup.procs", "0");
      } catch {
        // The next process sweeps what stays.
      }
      removeTree(parent);
    },
  };
}

class UnifiedGroup implements Group {
  readonly directory: string;
  readonly #controllers: ReadonlySet<Controller>;
  #killsBefore = 0;

  constructor(directory: string, controllers: ReadonlySet<Controller>) {
    this.directory = directory;
    this.#controllers = controllers;
    mkdirSync(directory, { recursive: true });
  }

  configure(limits: ContextLimits): void {
    write(this.directory, "memory.max", limits.memoryBytes === null ? "max" : String(limits.memoryBytes));
    if (limits.memoryBytes !== null) tryWrite(this.directory, "memory.swap.max", "0");
    write(this.directory, "pids.max", String(limits.pids));
    if (this.#controllers.has("cpu")) {
      write(this.directory, "cpu.max", limits.cpuMilli === null ? "max 100000" : `${limits.cpuMilli * 100} 100000`);
    }
    this.#killsBefore = countOf(readText(join(this.directory, "memory.events")), "oom_kill");
  }

  taskFiles(): readonly string[] {
    return [];
  }

  outOfMemoryKills(): number {
    return countOf(readText(join(this.directory, "memory.events")), "oom_kill") - this.#killsBefore;
  }

  peakMemoryBytes(): number | null {
    const peak = Number(readText(join(this.directory, "memory.peak")).trim() || Number.NaN);
    return Number.isNaN(peak) ? null : peak;
  }

  /** Its peak can't be set back (before Linux 6.12), so a directory serves once. */
  isClean(): boolean {
    return false;
  }

  remove(): void {
    removeTree(this.directory);
  }
}

// --- files -----------------------------------------------------------------------------------------------------------

function write(directory: string, file: string, text: string): void {
  writeFileSync(join(directory, file), text);
}

function tryWrite(directory: string, file: string, text: string): void {
  try {
    write(directory, file, text);
  } catch {
    // The kernel was built without it.
  }
}

function countOf(text: string, key: string): number {
  const match = new RegExp(`^${key} (\\d+)$`, "m").exec(text);
  return Number(match?.[1] ?? 0);
}
