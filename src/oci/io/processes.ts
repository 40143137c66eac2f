// Looks at processes through /proc: identity, descendants, memory. It only reads, and sends signals.

import { existsSync, readdirSync } from "node:fs";
import { readTextOrNull } from "../../base/io/text-files.ts";
import { startTicksOf } from "../runtime/cgroup-paths.ts";

/** Start time of a process in clock ticks since boot; null when there is none of that id. */
export function startTicks(pid: number | "self"): number | null {
  const stat = readTextOrNull(`/proc/${pid}/stat`);
  return stat === null ? null : startTicksOf(stat);
}

/** Whether a process exists and is more than a zombie. */
export function isAlive(pid: number): boolean {
  const stat = readTextOrNull(`/proc/${pid}/stat`);
  return stat !== null && !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
}

/** Process ids below `pid`, parents first. Bounded: stops after `most`. */
export function descendants(pid: number, most = 100_000): readonly number[] {
  const found: number[] = [];
  const queue = [pid];
  for (let at = 0; at < queue.length && found.length < most; at++) {
    for (const child of childrenOf(queue[at] ?? 0)) {
      found.push(child);
      queue.push(child);
    }
  }
  return found;
}

/** Bytes of memory that processes really use: resident, shared pages counted by their share. */
export function memoryOf(pids: readonly number[], atLeast: number): number {
  const resident = pids.reduce((sum, pid) => sum + residentBytes(pid), 0);
  // Counting shares is slow, so it is left for when plain residency, which counts shared pages in full, is already too much.
  return resident <= atLeast ? resident : pids.reduce((sum, pid) => sum + proportionalBytes(pid), 0);
}

/** Sends a signal; a process that is gone or not ours to signal is passed over. */
export function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // ESRCH: it ended by itself. EPERM: it runs under a subordinate id that only its own namespace may signal.
  }
}

/** A kernel without CONFIG_PROC_CHILDREN lists no children; then every process is asked for its parent. */
let listsChildren: boolean | null = null;

function childrenOf(pid: number): readonly number[] {
  listsChildren ??= existsSync(`/proc/self/task/${process.pid}/children`);
  if (!listsChildren) return childrenByParent(pid);
  return listDirectory(`/proc/${pid}/task`).flatMap((thread) => {
    const text = readTextOrNull(`/proc/${pid}/task/${thread}/children`)?.trim() ?? "";
    return text === "" ? [] : text.split(" ").map(Number);
  });
}

function childrenByParent(pid: number): readonly number[] {
  return listDirectory("/proc").flatMap((name) => {
    const stat = /^\d+$/.test(name) ? readTextOrNull(`/proc/${name}/stat`) : null;
    const parent = stat === null ? null : stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
    return parent === String(pid) ? [Number(name)] : [];
  });
}

function residentBytes(pid: number): number {
  const pages = Number(readTextOrNull(`/proc/${pid}/statm`)?.split(" ")[1] ?? 0);
  return pages * 4096;
}

function proportionalBytes(pid: number): number {
  const match = /^Pss:\s+(\d+) kB/m.exec(readTextOrNull(`/proc/${pid}/smaps_rollup`) ?? "");
  return match ? Number(match[1]) * 1024 : residentBytes(pid);
}

function listDirectory(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
