// Directories of control groups: listed, removed with what runs inside, and swept of what dead mesh processes left.

import { readdirSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../../base/errors.ts";
import { readText } from "../../base/io/text-files.ts";
import { parseOwnerName } from "../runtime/cgroup-paths.ts";
import { signalQuietly, startTicks } from "./processes.ts";

/**
 * Removes directories whose mesh process is gone, with whatever still runs inside. Whether one of another PID namespace is gone
 * is seen from the first namespace alone; elsewhere its directory goes when it is old and nothing is inside.
 */
export function sweepGroups(directory: string): void {
  const here = pidNamespace();
  let living: ReadonlySet<number> | null | undefined;
  for (const name of listDirectory(directory)) {
    const owner = parseOwnerName(name);
    if (owner === null) continue;
    const path = join(directory, name);
    if (owner.pidNamespace !== here) {
      if (living === undefined) living = here === FIRST_PID_NAMESPACE ? livingNamespaces() : null;
      if (living?.has(owner.pidNamespace) === false) removeTree(path);
      else removeAbandoned(path);
    } else if (startTicks(owner.pid) !== owner.startTicks) removeTree(path);
  }
}

/** PROC_PID_INIT_INO of the kernel: all other PID namespaces are below this one. */
const FIRST_PID_NAMESPACE = 0xeffffffc;

/** PID namespaces that have a process, asked from the first one; null when some cannot be seen. */
function livingNamespaces(): ReadonlySet<number> | null {
  // process 1 may be nobody's to look at, and is of this namespace
  const living = new Set([FIRST_PID_NAMESPACE]);
  for (const pid of listDirectory("/proc").filter((name) => /^\d+$/.test(name) && name !== "1")) {
    try {
      living.add(statSync(`/proc/${pid}/ns/pid`).ino);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT" && errnoOf(error) !== "ESRCH") return null;
    }
  }
  return living;
}

/** A process of another namespace that has used no cgroup for so long is taken to be gone. */
const ABANDONED_MS = 24 * 60 * 60_000;

function removeAbandoned(directory: string): void {
  const changedAtMs = statSync(directory, { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY;
  if (Date.now() - changedAtMs < ABANDONED_MS) return;
  try {
    for (const name of listDirectory(directory)) rmdirSync(join(directory, name));
    rmdirSync(directory);
  } catch {
    // Busy or gone.
  }
}

/** Identity of this process's PID namespace; 0 where the system does not say. */
export function pidNamespace(): number {
  try {
    return statSync("/proc/self/ns/pid").ino;
  } catch {
    return 0;
  }
}

/** How long killed processes may take to leave their cgroup, and how often that is looked at. */
const LEAVE_MS = 100;
const LOOK_MS = 2;

/** Removes a cgroup and those below it; what still runs inside is killed. One that stays busy is left for the next sweep. */
export function removeTree(directory: string): void {
  for (const name of listDirectory(directory)) removeTree(join(directory, name));
  const pids = readText(join(directory, "cgroup.procs")).trim().split("\n").filter(Boolean).map(Number);
  // 0 stands for a process that this namespace does not see
  const isOurs = pids.every((pid) => pid > 0 && pid !== process.pid);
  for (const pid of pids) if (pid > 0 && pid !== process.pid) signalQuietly(pid, "SIGKILL");
  // A killed process is in its cgroup until it has exited, and one that exits is so without being listed.
  const until = performance.now() + (isOurs ? LEAVE_MS : 0);
  while (!isRemoved(directory) && performance.now() < until) Bun.sleepSync(LOOK_MS);
}

/** Removes an empty cgroup; false when it is busy. */
function isRemoved(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    return errnoOf(error) !== "EBUSY";
  }
}

/** Names of the directories in one; none where there is none. */
function listDirectory(path: string): readonly string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return [];
  }
}
