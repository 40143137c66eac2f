// Claims: one key runs once on this machine, and no more runs at once than fits, across all processes that share the store. All
// of it is decided in one transaction. A claim whose process is gone counts no more.

import type { Digest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import { type Capacity, type Demand, fitDemand, type GpuLease, type Shortage, type Taken } from "../capacity.ts";
import type { Owner } from "../owner.ts";
import type { Index } from "./index-db.ts";
import { currentOwner, isAlive } from "./liveness.ts";
import type { Results, StoredResult } from "./results.ts";

/** The process that holds a claim, and what it says of itself. */
export interface ClaimOwner extends Owner {
  readonly run: string;
  readonly task: string;
}

export interface ClaimOptions extends Demand {
  /** null for a task that is not cached. */
  readonly key: Digest | null;
  /** Age at which the result of the key is too old for this task; null for none. */
  readonly maxAgeMs?: number | null | undefined;
  readonly owner: ClaimOwner;
  /** All that this machine gives; the same in every process, or the smallest counts for who says it. */
  readonly capacity: Capacity;
  readonly nowMs: number;
  /** Claims of this process whose tasks are over and whose results are about to be written: they hold their keys and no room. */
  readonly ended?: readonly number[] | undefined;
}

export type Claim =
  | { readonly kind: "granted"; readonly id: number; readonly gpus: readonly GpuLease[] }
  | { readonly kind: "hit"; readonly result: StoredResult }
  | { readonly kind: "busy"; readonly by: ClaimOwner }
  | { readonly kind: "full"; readonly reasons: readonly Shortage[]; readonly by: readonly ClaimOwner[] };

interface ClaimRow {
  readonly id: number;
  readonly key: string | null;
  readonly owner: string;
  readonly cpu_milli: number;
  readonly memory_bytes: number;
  readonly gpus: string;
}

type Held = Taken & { readonly id: number; readonly key: Digest | null; readonly owner: ClaimOwner };

export class Claims {
  readonly #index: Index;
  readonly #results: Results;
  /** Claims that are over, and whose rows could not be removed yet. They count no more for this process. */
  readonly #owed = new Set<number>();
  readonly #watchers = new Set<() => void>();

  constructor(index: Index, results: Results) {
    this.#index = index;
    this.#results = results;
  }

  /** This process as the owner of a claim. */
  owner(run: string, task: string): ClaimOwner {
    return { ...currentOwner(), run, task };
  }

  /** Claims a key and room for its task; or says that its result is there, that it runs elsewhere, or what is short. */
  claim(options: ClaimOptions): Claim {
    this.#removeOwed();
    return this.#index.transaction((): Claim => {
      if (options.key !== null) {
        const result = this.#results.get(options.key, options.nowMs, options.maxAgeMs);
        if (result) return { kind: "hit", result };
      }
      const { living: held, dead } = this.#read();
      const same = options.key === null ? undefined : held.find((claim) => claim.key === options.key);
      if (same) return { kind: "busy", by: same.owner };
      const ended = options.ended ?? [];
      const taking = ended.length === 0 ? held : held.filter((claim) => !ended.includes(claim.id));
      const fit = fitDemand(options.capacity, taking, options);
      if (!fit.fits) return { kind: "full", reasons: fit.reasons, by: held.map((claim) => claim.owner) };
      for (const id of dead) this.release(id);
      this.#index.run(
        "INSERT INTO claims (key, owner, cpu_milli, memory_bytes, gpus) VALUES (?, ?, ?, ?, ?)",
        options.key,
        JSON.stringify(options.owner),
        options.cpuMilli,
        options.memoryBytes,
        JSON.stringify(fit.gpus),
      );
      return { kind: "granted", id: this.#index.lastId, gpus: fit.gpus };
    });
  }

  /** Gives a claim back. One that is gone already is no error. */
  release(id: number): void {
    this.#index.run("DELETE FROM claims WHERE id = ?", id);
    for (const watcher of this.#watchers) watcher();
  }

  /** Calls back when this process gives a claim back, before that is known to be written. */
  watch(watcher: () => void): Disposable {
    this.#watchers.add(watcher);
    return { [Symbol.dispose]: () => this.#watchers.delete(watcher) };
  }

  /** Gives claims back as soon as that can be written: the disk may be full, and a process that lives on must not hold them for ever. */
  releaseLater(ids: readonly number[]): void {
    for (const id of ids) this.#owed.add(id);
  }

  /** Claims of processes that live. */
  list(): readonly Held[] {
    this.#removeOwed();
    return this.#read().living;
  }

  #removeOwed(): void {
    try {
      for (const id of this.#owed) {
        this.release(id);
        this.#owed.delete(id);
      }
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
    }
  }

  /** Each process is looked at once. `dead`: claims of those that are gone. */
  #read(): { readonly living: readonly Held[]; readonly dead: readonly number[] } {
    const alive = new Map<string, boolean>();
    const living: Held[] = [];
    const dead: number[] = [];
    for (const row of this.#index.all<ClaimRow>("SELECT * FROM claims ORDER BY id")) {
      if (this.#owed.has(row.id)) continue;
      const owner = JSON.parse(row.owner) as ClaimOwner;
      const process = `${owner.pid} ${owner.startTicks} ${owner.bootId} ${owner.pidNamespace}`;
      let lives = alive.get(process);
      if (lives === undefined) {
        lives = isAlive(owner);
        alive.set(process, lives);
      }
      if (lives)
        living.push({
          id: row.id,
          key: row.key as Digest | null,
          owner,
          cpuMilli: row.cpu_milli,
          memoryBytes: row.memory_bytes,
          gpus: JSON.parse(row.gpus) as readonly GpuLease[],
        });
      else dead.push(row.id);
    }
    return { living, dead };
  }
}
