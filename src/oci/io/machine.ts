// What one mesh process knows of its machine for contexts, found out once: masks, device nodes, mounts, skeletons.

import { existsSync, mkdirSync, realpathSync, statSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { fail } from "../../base/errors.ts";
import type { ContextSetup } from "../runtime/context-spec.ts";
import { isWithin, sysMounts } from "../runtime/mount-info.ts";
import type { HostPart, MachineFacts } from "../runtime/plan-input.ts";
import { DEVICE_NODES } from "../runtime/plan-mounts.ts";
import type { Architecture } from "../runtime/syscalls.ts";
import { ensureSkeleton, type HostRoot, inspectHostRoot, readMounts, skeletonFacts } from "./host-root.ts";

/** Files that tell about the whole machine, its keys or its memory. */
const MASKED_FILES = [
  "/proc/kcore",
  "/proc/keys",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/kpagecgroup",
  "/proc/kpagecount",
  "/proc/kpageflags",
  "/proc/vmcore",
];
const MASKED_DIRECTORIES = [
  "/proc/acpi",
  "/proc/scsi",
  "/proc/asound",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
];
const READ_ONLY_PATHS = ["bus", "driver", "dynamic_debug", "fs", "irq", "mtrr", "sys", "sysrq-trigger"];

export class Machine {
  readonly architecture: Architecture = process.arch === "arm64" ? "arm64" : "x64";
  readonly #home: string;
  readonly #skeletons = new Map<string, string>();
  #hostRoot: HostRoot | null = null;
  #facts: MachineFacts | null = null;
  #hostFacts: MachineFacts | null = null;

  constructor(home: string) {
    this.#home = home;
  }

  /** Facts for a plan: one object for each kind of root. Throws `store.unwritable` when the folder of contexts can't be made. */
  facts(setup: ContextSetup): MachineFacts {
    const facts = (this.#facts ??= this.#inspect());
    if (setup.root.kind === "layers") return facts;
    const { kind, mounts } = this.#inspectHost();
    return (this.#hostFacts ??= { ...facts, hostRoot: kind, hostMounts: mounts });
  }

  /** Path of the skeleton that a context needs, written on first use. */
  skeleton(setup: ContextSetup): string {
    const singleId = setup.idMap === "single";
    const key = `${setup.root.kind} ${singleId}`;
    let path = this.#skeletons.get(key);
    if (path === undefined) {
      const facts = skeletonFacts({ root: setup.root.kind, singleId, home: this.#home });
      path = ensureSkeleton(this.#makeDirectory("."), facts);
      this.#skeletons.set(key, path);
    }
    return path;
  }

  /** The host's root in parts, with the spec's layers over each; empty where it is shown as a whole. */
  hostParts(setup: ContextSetup): readonly HostPart[] {
    if (setup.root.kind !== "host") return [];
    const above = [...setup.root.lowers, this.skeleton(setup)];
    const parts: HostPart[] = [];
    for (const { path, kind } of this.#inspectHost().parts) {
      if (parts.some((outer) => outer.lowers !== null && isWithin(path, outer.path))) continue;
      const lowers = above.map((lower) => lower + path).filter((lower) => existsSync(lower));
      const changed = lowers.length > 1 || (lowers.length === 1 && !lowers[0]?.startsWith(above.at(-1) ?? ""));
      parts.push({ path, lowers: kind === "overlay" || changed ? lowers : null });
    }
    return parts;
  }

  /** Host directories to hide by a mount: of these paths, and of what skeletons hide, whatever would be seen otherwise. */
  toHide(setup: ContextSetup, parts: readonly HostPart[]): readonly string[] {
    if (setup.root.kind !== "host") return [];
    const { hidden } = this.#inspectHost();
    const bound = parts.filter((part) => part.lowers === null);
    const bare = hidden.filter((path) => bound.some((part) => isWithin(path, part.path)));
    const more = setup.hidden
      .flatMap(realDirectory)
      .filter((path) => !hidden.some((directory) => isWithin(path, directory)));
    return [...new Set([...bare, ...more])].sort();
  }

  #inspect(): MachineFacts {
    return {
      architecture: this.architecture,
      parentPid: process.pid,
      hasOwnPidMax: Bun.semver.satisfies(release().replace(/[-+].*$/, ""), ">=6.14.0"),
      stage: this.#makeDirectory("stage"),
      maskedFiles: MASKED_FILES.filter((path) => existsSync(path)),
      maskedDirectories: MASKED_DIRECTORIES.filter((path) => existsSync(path)),
      readOnlyPaths: READ_ONLY_PATHS.filter((path) => existsSync(`/proc/${path}`)),
      sysMounts: sysMounts(readMounts()),
      hostRoot: "stacked",
      hostBind: this.#makeDirectory("host"),
      hostMounts: [],
      deviceNodes: DEVICE_NODES.filter((node) => existsSync(`/dev/${node}`)),
    };
  }

  #inspectHost(): HostRoot {
    return (this.#hostRoot ??= inspectHostRoot(
      this.#home,
      skeletonFacts({ root: "host", singleId: false, home: this.#home }),
    ));
  }

  /** A directory below MESH_HOME/context, as a real path. */
  #makeDirectory(name: string): string {
    const path = join(this.#home, "context", name);
    try {
      mkdirSync(path, { recursive: true, mode: 0o755 });
      return realpathSync(path);
    } catch (error) {
      return fail("store.unwritable", `Cannot make ${path}`, { cause: error });
    }
  }
}

/** The real path in a list when it is an existing directory, else an empty list. */
function realDirectory(path: string): readonly string[] {
  try {
    const real = realpathSync(path);
    return statSync(real).isDirectory() ? [real] : [];
  } catch {
    return [];
  }
}
