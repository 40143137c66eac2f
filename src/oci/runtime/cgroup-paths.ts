// Where this process stands in the cgroup hierarchies, from the texts that /proc gives (cgroups(7)). Pure.

import { isWithin, type MountPoint } from "./mount-info.ts";

export interface CgroupPlace {
  /** This process's directory in the unified hierarchy; null when there is none. */
  readonly unified: string | null;
  /** Where the unified hierarchy is mounted. */
  readonly unifiedRoot: string | null;
  /** This process's directory for each version 1 controller. */
  readonly legacy: Readonly<Partial<Record<LegacyController, string>>>;
}

export type LegacyController = "memory" | "cpu" | "pids" | "freezer";

const LEGACY: readonly LegacyController[] = ["memory", "cpu", "pids", "freezer"];

/** `membership` is /proc/self/cgroup. */
export function findCgroups(membership: string, mounts: readonly MountPoint[]): CgroupPlace {
  let unified: string | null = null;
  let unifiedRoot: string | null = null;
  const legacy: Partial<Record<LegacyController, string>> = {};
  for (const line of membership.split("\n")) {
    const match = /^(\d+):([^:]*):(.*)$/.exec(line);
    if (!match) continue;
    const [, hierarchy, controllers = "", path = "/"] = match;
    if (hierarchy === "0") {
      const mount = mounts.find(({ type }) => type === "cgroup2");
      if (mount) {
        unified = directoryIn(mount, path);
        unifiedRoot = mount.path;
      }
      continue;
    }
    for (const controller of LEGACY) {
      if (!controllers.split(",").includes(controller)) continue;
      const mount = mounts.find(({ type, superOptions }) => type === "cgroup" && superOptions.includes(controller));
      if (mount) legacy[controller] = directoryIn(mount, path);
    }
  }
  return { unified, unifiedRoot, legacy };
}

/** A mount may show only a part of the hierarchy (in a container); paths are relative to its root. */
function directoryIn(mount: MountPoint, path: string): string {
  const inside = isWithin(path, mount.root) ? path.slice(mount.root === "/" ? 0 : mount.root.length) : "";
  return `${mount.path}${inside}`.replace(/\/+$/, "");
}

/** A mesh process as the owner of cgroups. */
export interface CgroupOwner {
  /** Identity of its PID namespace: pids of another one mean nothing here. */
  readonly pidNamespace: number;
  readonly pid: number;
  readonly startTicks: number;
}

/** Name of the cgroup below which all of one mesh process lie. */
export function ownerName({ pidNamespace, pid, startTicks }: CgroupOwner): string {
  return `mesh-${pidNamespace}-${pid}-${startTicks}`;
}

/** Reads `ownerName` back; null for any other name. */
export function parseOwnerName(name: string): CgroupOwner | null {
  const match = /^mesh-(\d+)-(\d+)-(\d+)$/.exec(name);
  return match === null
    ? null
    : { pidNamespace: Number(match[1]), pid: Number(match[2]), startTicks: Number(match[3]) };
}

/** Start time, in clock ticks since boot, from the text of /proc/PID/stat; with the pid it names a process for good. */
export function startTicksOf(stat: string): number {
  // The command's name may hold spaces and parentheses; the fields after its last one do not.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[19] ?? 0);
}
