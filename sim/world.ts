// Virtual time: what happens next, in an order that a seed decides. It knows no machines.

import { Heap } from "../src/sched/heap.ts";
import { SeededRandom } from "../test/fake/seeded-random.ts";

interface Happening {
  readonly atMs: number;
  /** Breaks ties by order of scheduling. */
  readonly order: number;
  readonly act: () => void;
}

export class World {
  readonly random: SeededRandom;
  /** True time, which no machine can read. */
  nowMs = 0;
  #order = 0;
  readonly #next = new Heap<Happening>((a, b) => a.atMs - b.atMs || a.order - b.order);
  readonly #tell: ((line: string) => void) | null;

  /** `tell` takes a line for each thing that happens; null when nobody reads along. */
  constructor(seed: number, tell: ((line: string) => void) | null) {
    this.random = new SeededRandom(seed);
    this.#tell = tell;
  }

  after(ms: number, act: () => void): void {
    this.#next.push({ atMs: this.nowMs + Math.max(0, ms), order: this.#order++, act });
  }

  /** Lets the next thing happen; false when there is none. */
  step(): boolean {
    const next = this.#next.pop();
    if (next === undefined) return false;
    this.nowMs = next.atMs;
    next.act();
    return true;
  }

  /** A line for who reads along; made only then. */
  note(line: () => string): void {
    this.#tell?.(`${(this.nowMs / 1000).toFixed(3).padStart(9)}  ${line()}`);
  }

  between(leastMs: number, mostMs: number): number {
    return leastMs + this.random.next() * (mostMs - leastMs);
  }
}

/** A rule of the mesh was broken. */
export class Broken extends Error {
  override readonly name = "Broken";
}

/** Throws when something that must hold does not. */
export function must(condition: boolean, message: () => string): void {
  if (!condition) throw new Broken(message());
}
