// Directories of control groups: listed, removed with what runs inside, and swept of what dead mesh processes left.

import { readdirSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { readText } from "../../base/io/text-files.ts";
import { parseOwnerName } from "../runtime/cgroup-paths.ts";
import { signalQuietly, startTicks } from "./processes.ts";

/**
 * Removes directories whose mesh process is gone, with whatever still runs inside. Whether one of another PID namespace is gone
 * can't be seen: its directory goes when it is old and nothing is inside.
 */
export function sweepGroups(directory: string): void {
  const here = pidNamespace();
  for (const name of listDirectory(directory)) {
    const owner = parseOwnerName(name);
    if (owner === null) continue;
    const path = join(directory, name);
    if (owner.pidNamespace !== here) removeAbandoned(path);
    else if (startTicks(owner.pid) !== owner.startTicks) removeTree(path);
  }
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

/** Removes a cgroup and those below it; what still runs inside is killed. One that is busy stays, for the next sweep. */
export function removeTree(directory: string): void {
  for (const name of listDirectory(directory)) removeTree(join(directory, name));
  const left = readText(join(directory, "cgroup.procs")).trim();
  for (const pid of left === "" ? [] : left.split("\n")) {
    // 0 stands for a process that this namespace does not see
    if (Number(pid) > 0 && Number(pid) !== process.pid) signalQuietly(Number(pid), "SIGKILL");
  }
  try {
    rmdirSync(directory);
  } catch {
    // Busy or gone.
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
