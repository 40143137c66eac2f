// What one machine can give and what is taken of it: the arithmetic of the claims ledger, as a pure decision. Two amounts and
// GPUs only: the scheduler (src/sched/fit.ts, a floor above) has already judged what kind of machine a task needs and keeps this
// process's own leases; claims hold back what the other processes of the machine use, inside one transaction of the index.

/** What this machine gives to tasks. CPU in thousandths, memory in bytes. */
export interface Capacity {
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  readonly gpus: readonly GpuCapacity[];
}

export interface GpuCapacity {
  readonly index: number;
  readonly memoryBytes: number;
}

/** What one task asks for. `gpus` of them, each whole when `gpuMemoryBytes` is null, else shared by that amount of memory. */
export interface Demand {
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  readonly gpus: number;
  readonly gpuMemoryBytes: number | null;
}

/** A GPU in use: whole, or that much of its memory. */
export interface GpuLease {
  readonly index: number;
  readonly memoryBytes: number | null;
}

/** What is taken by one granted claim. */
export interface Taken {
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  readonly gpus: readonly GpuLease[];
}

export type Fit =
  | { readonly fits: true; readonly gpus: readonly GpuLease[] }
  | { readonly fits: false; readonly reasons: readonly Shortage[] };

export type Shortage =
  | { readonly kind: "cpu"; readonly askedMilli: number; readonly freeMilli: number }
  | { readonly kind: "memory"; readonly askedBytes: number; readonly freeBytes: number }
  | { readonly kind: "gpu"; readonly asked: number; readonly free: number };

/** Whether a demand fits beside what is taken, and which GPUs it gets (lowest index first). */
export function fitDemand(capacity: Capacity, taken: readonly Taken[], demand: Demand): Fit {
  const freeMilli = capacity.cpuMilli - sum(taken, (claim) => claim.cpuMilli);
  const freeBytes = capacity.memoryBytes - sum(taken, (claim) => claim.memoryBytes);
  const gpus = freeGpus(capacity, taken, demand.gpuMemoryBytes);
  const reasons: Shortage[] = [];
  if (demand.cpuMilli > freeMilli) reasons.push({ kind: "cpu", askedMilli: demand.cpuMilli, freeMilli });
  if (demand.memoryBytes > freeBytes) reasons.push({ kind: "memory", askedBytes: demand.memoryBytes, freeBytes });
  if (demand.gpus > gpus.length) reasons.push({ kind: "gpu", asked: demand.gpus, free: gpus.length });
  if (reasons.length > 0) return { fits: false, reasons };
  return {
    fits: true,
    gpus: gpus.slice(0, demand.gpus).map((index) => ({ index, memoryBytes: demand.gpuMemoryBytes })),
  };
}

function freeGpus(capacity: Capacity, taken: readonly Taken[], memoryBytes: number | null): readonly number[] {
  const leases = taken.flatMap((claim) => claim.gpus);
  return capacity.gpus
    .filter((gpu) => {
      const here = leases.filter((lease) => lease.index === gpu.index);
      if (memoryBytes === null) return here.length === 0;
      const free = gpu.memoryBytes - sum(here, (lease) => lease.memoryBytes ?? gpu.memoryBytes);
      return memoryBytes <= free;
    })
    .map((gpu) => gpu.index)
    .toSorted((a, b) => a - b);
}

function sum<T>(items: readonly T[], amount: (item: T) => number): number {
  return items.reduce((total, item) => total + amount(item), 0);
}
