// What this machine says of itself with every heartbeat: what it has, what of it is free whichever process uses it, how busy it is.

import { readText } from "../base/io/text-files.ts";
import type { NodeSnapshot } from "../mesh/peer-view.ts";
import type { Gpu, NodeCapacity } from "../sched/fit.ts";
import type { NodeTotals } from "../sched/ledger.ts";
import type { Taken } from "../store/capacity.ts";
import { freeBytes } from "./capacity.ts";
import type { GpuDevice } from "./gpus.ts";

export interface SnapshotSources {
  readonly totals: NodeTotals;
  readonly gpus: readonly GpuDevice[];
  /** What all processes of this machine have claimed. */
  readonly taken: readonly Taken[];
  readonly blobs: { readonly count: number; readonly bytes: number };
  readonly draining: boolean;
  readonly cpuPercent: number;
  readonly speedPercent: number;
  readonly home: string;
}

export function takeSnapshot(sources: SnapshotSources): NodeSnapshot {
  const { totals, gpus, taken, blobs, draining, cpuPercent, speedPercent, home } = sources;
  const disk = Math.min(totals.total.diskBytes, freeBytes(home));
  return {
    capacity: capacityNow({ ...totals, total: { ...totals.total, diskBytes: disk } }, taken),
    gpuModels: gpus.map(({ index, model, memoryBytes }) => ({ index, model, memoryBytes })),
    cpuPercent,
    runningTasks: taken.length,
    blobs,
    draining,
    speedPercent,
  };
}

/** What is free of a machine when these claims are held on it. */
export function capacityNow({ gpus, ...totals }: NodeTotals, taken: readonly Taken[]): NodeCapacity {
  const { cpuMilli, memoryBytes, diskBytes } = totals.total;
  const sum = (amount: (each: Taken) => number) => taken.reduce((total, each) => total + amount(each), 0);
  return {
    ...totals,
    free: {
      cpuMilli: Math.max(0, cpuMilli - sum((each) => each.cpuMilli)),
      memoryBytes: Math.max(0, memoryBytes - sum((each) => each.memoryBytes)),
      diskBytes,
    },
    gpus: gpus.map((gpu) => gpuNow(gpu, taken)),
  };
}

function gpuNow(gpu: NodeTotals["gpus"][number], taken: readonly Taken[]): Gpu {
  const leases = taken.flatMap((each) => each.gpus.filter(({ index }) => index === gpu.index));
  const leased = leases.reduce((sum, lease) => sum + (lease.memoryBytes ?? gpu.memoryBytes), 0);
  return { ...gpu, freeMemoryBytes: Math.max(0, gpu.memoryBytes - leased), inUse: leases.length > 0 };
}

/** Busy share of all CPUs between two looks (proc_stat(5)). */
export class CpuMeter {
  readonly #read: () => string;
  #busy = 0;
  #total = 0;

  constructor(read: () => string = () => readText("/proc/stat")) {
    this.#read = read;
    this.percent();
  }

  /** Since the last look, 0 to 100; 0 where the system does not say. */
  percent(): number {
    const fields = /^cpu +([\d ]+)/.exec(this.#read())?.[1]?.split(" ").map(Number) ?? [];
    // user nice system idle iowait irq softirq steal; guest times are in user and nice already
    const total = fields.slice(0, 8).reduce((sum, ticks) => sum + ticks, 0);
    const busy = total - (fields[3] ?? 0) - (fields[4] ?? 0);
    const passed = total - this.#total;
    const percent = passed <= 0 ? 0 : Math.round(((busy - this.#busy) * 100) / passed);
    this.#busy = busy;
    this.#total = total;
    return Math.min(100, Math.max(0, percent));
  }
}
