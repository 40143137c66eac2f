// What this machine has to lend: CPU, memory and disk, as bounded by affinity and cgroups; and what it is.

import { statfsSync } from "node:fs";
import { availableParallelism, hostname, totalmem } from "node:os";
import { readTextOrNull } from "../base/io/text-files.ts";

export interface MachineCapacity {
  readonly name: string;
  readonly os: string;
  /** "x86_64" or "arm64", as run definitions say it. */
  readonly arch: string;
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  /** Free bytes on the store's filesystem when the run began. */
  readonly diskBytes: number;
}

/** Reads this machine's capacity. The memory is the smaller of the machine's and its cgroup's, less a reserve of a sixteenth. */
export function readCapacity(home: string): MachineCapacity {
  const memory = Math.min(totalmem(), cgroupMemoryLimit() ?? Number.MAX_SAFE_INTEGER);
  return {
    name: hostname() || "localhost",
    os: process.platform,
    arch: process.arch === "x64" ? "x86_64" : process.arch,
    cpuMilli: Math.max(
      1,
      Math.floor(Math.min(availableParallelism() * 1000, cgroupCpuMilli() ?? Number.MAX_SAFE_INTEGER)),
    ),
    memoryBytes: Math.floor(memory * (15 / 16)),
    diskBytes: freeBytes(home),
  };
}

/** Bytes that an ordinary user may still write on the filesystem of `path`; 0 when it cannot be told. */
export function freeBytes(path: string): number {
  try {
    const stats = statfsSync(path);
    return stats.bavail * stats.bsize;
  } catch {
    return 0;
  }
}

function cgroupMemoryLimit(): number | null {
  for (const file of ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]) {
    const limit = Number(readTextOrNull(file)?.trim());
    if (Number.isFinite(limit) && limit > 0 && limit < Number.MAX_SAFE_INTEGER) return limit;
  }
  return null;
}

function cgroupCpuMilli(): number | null {
  const [quota, period] = (readTextOrNull("/sys/fs/cgroup/cpu.max") ?? "").trim().split(" ").map(Number);
  if (quota !== undefined && period !== undefined && quota > 0 && period > 0) return (quota / period) * 1000;
  const quotaV1 = Number(readTextOrNull("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"));
  const periodV1 = Number(readTextOrNull("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
  return quotaV1 > 0 && periodV1 > 0 ? (quotaV1 / periodV1) * 1000 : null;
}
