// One machine's capacity and the leases on it: the only place where capacity is taken and given back.
// It never books more than there is, and it never runs or kills anything.

import { assert } from "../base/assert.ts";
import type { Ask } from "./ask.ts";
import { type Amounts, fits, type Gpu, type NodeCapacity, type Reason, usableGpus } from "./fit.ts";

export interface Lease {
  /** The holder's name for it: a task's id, a session's id. At most one lease per id. */
  readonly id: string;
  /** Grows with every grant of this ledger, so that a late word about an older lease of the same id is recognised. */
  readonly generation: number;
  readonly ask: Ask;
  /** Indexes of the GPUs that the lease holds. */
  readonly gpus: readonly number[];
}

export type Grant =
  | { readonly granted: true; readonly lease: Lease }
  | { readonly granted: false; readonly ever: boolean; readonly reasons: readonly Reason[] };

/** What a machine is, without what is in use. */
export type NodeTotals = Omit<NodeCapacity, "free" | "gpus"> & {
  readonly gpus: readonly { readonly index: number; readonly memoryBytes: number }[];
};

export class CapacityLedger {
  #totals: NodeTotals;
  #generation = 0;
  /** Sums over all leases; kept, so that a grant costs the same with one lease or a thousand. */
  #cpuMilli = 0;
  #memoryBytes = 0;
  #diskBytes = 0;
  readonly #leases = new Map<string, Lease>();
  /** Bytes leased of each GPU, by index. */
  readonly #gpuBytes = new Map<number, number>();

  constructor(totals: NodeTotals) {
    this.#totals = totals;
  }

  /** Leases what an ask needs, or refuses with all reasons. Asking again under an id that holds a lease is a bug. */
  grant(id: string, ask: Ask): Grant {
    assert(!this.#leases.has(id), `lease ${id} is held already`);
    const capacity = this.capacity();
    const fit = fits(ask, capacity);
    if (!fit.fits) return { granted: false, ever: fit.ever, reasons: fit.reasons };
    const gpus = ask.gpus === 0 ? [] : usableGpus(ask, capacity.gpus).slice(0, ask.gpus);
    const lease: Lease = {
      id,
      generation: ++this.#generation,
      ask,
      gpus: gpus.map((gpu) => gpu.index).sort((a, b) => a - b),
    };
    this.#leases.set(id, lease);
    this.#book(lease, 1);
    return { granted: true, lease };
  }

  /** Gives a lease back. False when it is not held any more, or when a newer lease of the same id is. */
  release(id: string, generation: number): boolean {
    const lease = this.#leases.get(id);
    if (lease === undefined || lease.generation !== generation) return false;
    this.#leases.delete(id);
    this.#book(lease, -1);
    return true;
  }

  /** Whether exactly this lease is held. What its holder did counts only while it is. */
  holds(id: string, generation: number): boolean {
    return this.#leases.get(id)?.generation === generation;
  }

  /** Takes new totals. Leases stay; what they hold beyond the new totals shows as nothing free until they end. */
  resize(totals: NodeTotals): void {
    this.#totals = totals;
  }

  /** The machine as others may see it now. */
  capacity(): NodeCapacity {
    const total = this.#totals.total;
    const free: Amounts = {
      cpuMilli: Math.max(0, total.cpuMilli - this.#cpuMilli),
      memoryBytes: Math.max(0, total.memoryBytes - this.#memoryBytes),
      diskBytes: Math.max(0, total.diskBytes - this.#diskBytes),
    };
    return { ...this.#totals, free, gpus: this.#totals.gpus.map((gpu) => this.#gpuNow(gpu)) };
  }

  /** Leases held, in the order in which they were granted. */
  leases(): readonly Lease[] {
    return [...this.#leases.values()];
  }

  #book(lease: Lease, sign: 1 | -1): void {
    this.#cpuMilli += sign * lease.ask.cpuMilli;
    this.#memoryBytes += sign * lease.ask.memoryBytes;
    this.#diskBytes += sign * lease.ask.diskBytes;
    for (const index of lease.gpus) {
      // A whole GPU is booked beyond any size, so that it stays taken when the driver reports another size meanwhile.
      const bytes = lease.ask.gpuMemoryBytes > 0 ? lease.ask.gpuMemoryBytes : Number.MAX_SAFE_INTEGER;
      this.#gpuBytes.set(index, (this.#gpuBytes.get(index) ?? 0) + sign * bytes);
    }
  }

  #gpuNow(gpu: { readonly index: number; readonly memoryBytes: number }): Gpu {
    const booked = this.#gpuBytes.get(gpu.index) ?? 0;
    return { ...gpu, freeMemoryBytes: Math.max(0, gpu.memoryBytes - booked), inUse: booked > 0 };
  }
}
