// The room on one machine during a round of placing: what is free now, less what the round has given away, and what will be
// free once what runs there has ended, less what the round has promised. It takes nothing from the machine itself.

import type { Ask } from "./ask.ts";
import { type Gpu, hasTraits, usableGpus } from "./fit.ts";
import type { PlaceNode } from "./place-node.ts";

/** A change of what is free, at a time that is to come. */
interface Change {
  readonly atMs: number;
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

export class Room {
  readonly slot: number;
  readonly name: string;
  node: PlaceNode;
  /** Its place among the machines of its fleet, by name. */
  rank = 0;
  /** Grows with every change that its fleet knows of. */
  version = 0;
  /** Kept out of this round for a task that has waited too long. */
  isKept = false;
  #cpuMilli = 0;
  #memoryBytes = 0;
  #diskBytes = 0;
  #gpus: readonly Gpu[] = [];
  /** What the round adds to what `node.running` says. */
  #later: Change[] = [];
  /** All changes by time; null until somebody asks. */
  #changes: Change[] | null = null;
  #hasPromises = false;

  constructor(slot: number, node: PlaceNode) {
    this.slot = slot;
    this.name = node.capacity.name;
    this.node = node;
    this.reset();
  }

  /** Forgets what rounds gave away and promised. */
  reset(): void {
    const { free, gpus } = this.node.capacity;
    this.#cpuMilli = free.cpuMilli;
    this.#memoryBytes = free.memoryBytes;
    this.#diskBytes = free.diskBytes;
    this.#gpus = gpus;
    this.#later = [];
    this.#changes = null;
    this.#hasPromises = false;
    this.isKept = false;
  }

  /** Milliseconds here for one of a plain machine. */
  get pace(): number {
    return 100 / this.node.speedPercent;
  }

  /** Whether an ask has room now without taking what is promised. */
  fits(ask: Ask): boolean {
    if (this.isKept || !hasTraits(ask, this.node.capacity)) return false;
    if (ask.cpuMilli > this.#cpuMilli || ask.memoryBytes > this.#memoryBytes || ask.diskBytes > this.#diskBytes)
      return false;
    if (ask.gpus > 0 && usableGpus(ask, this.#gpus).length < ask.gpus) return false;
    return !this.#hasPromises || this.#fitsForGood(ask) === Number.NEGATIVE_INFINITY;
  }

  /** Whether an ask would fit if the machine were idle. */
  couldEverFit(ask: Ask): boolean {
    const { capacity } = this.node;
    const { total } = capacity;
    if (!hasTraits(ask, capacity)) return false;
    if (ask.cpuMilli > total.cpuMilli || ask.memoryBytes > total.memoryBytes || ask.diskBytes > total.diskBytes)
      return false;
    return ask.gpus === 0 || capacity.gpus.filter((gpu) => gpu.memoryBytes >= ask.gpuMemoryBytes).length >= ask.gpus;
  }

  /** When an ask is expected to have room for good; infinite when what is known of the machine does not tell. */
  freeAtMs(ask: Ask): number {
    if (this.isKept || ask.gpus > 0 || !this.couldEverFit(ask)) return Number.POSITIVE_INFINITY;
    return this.#fitsForGood(ask);
  }

  /** What a millisecond of work for an ask costs here: pace, load, and waste. */
  cost(ask: Ask): number {
    return this.pace * (1 + this.load + this.waste(ask));
  }

  /** A fully busy machine shares caches and memory bandwidth: worth a quarter of the running time. */
  get load(): number {
    const { cpuMilli } = this.node.capacity.total;
    return cpuMilli === 0 ? 0 : (cpuMilli - this.#cpuMilli) / cpuMilli / 4;
  }

  /** A task that asks for no GPU keeps others from those of the machine; a machine left lopsided is of little use to the next. */
  waste(ask: Ask): number {
    const { total, gpus } = this.node.capacity;
    const idleGpus = ask.gpus === 0 && gpus.length > 0 ? 1 : 0;
    const cpuLeft = shareOf(this.#cpuMilli - ask.cpuMilli, total.cpuMilli);
    const memoryLeft = shareOf(this.#memoryBytes - ask.memoryBytes, total.memoryBytes);
    return idleGpus + Math.abs(cpuLeft - memoryLeft) / 10;
  }

  get freeCpuMilli(): number {
    return this.#cpuMilli;
  }

  /** Takes room until `endsAtMs`. */
  take(ask: Ask, endsAtMs: number): void {
    this.#cpuMilli -= ask.cpuMilli;
    this.#memoryBytes -= ask.memoryBytes;
    this.#diskBytes -= ask.diskBytes;
    if (ask.gpus > 0) this.#takeGpus(ask);
    this.#note(ask, endsAtMs, 1);
  }

  /** Promises room from `fromMs` on, when it is expected to be free, until `endsAtMs`. */
  promise(ask: Ask, fromMs: number, endsAtMs: number): void {
    this.#note(ask, fromMs, -1);
    this.#note(ask, endsAtMs, 1);
    this.#hasPromises = true;
  }

  #takeGpus(ask: Ask): void {
    const taken = new Set(usableGpus(ask, this.#gpus).slice(0, ask.gpus));
    this.#gpus = this.#gpus.map((gpu) => {
      if (!taken.has(gpu)) return gpu;
      const freeMemoryBytes = ask.gpuMemoryBytes > 0 ? gpu.freeMemoryBytes - ask.gpuMemoryBytes : 0;
      return { ...gpu, freeMemoryBytes, inUse: true };
    });
  }

  #note(ask: Ask, atMs: number, sign: 1 | -1): void {
    const { cpuMilli, memoryBytes, diskBytes } = ask;
    const change = {
      atMs,
      cpuMilli: sign * cpuMilli,
      memoryBytes: sign * memoryBytes,
      diskBytes: sign * diskBytes,
    };
    this.#later.push(change);
    if (this.#changes !== null) insert(this.#changes, change);
  }

  /** From when on an ask has room whatever is promised later: minus infinity for now, infinity for never. */
  #fitsForGood(ask: Ask): number {
    let cpuMilli = this.#cpuMilli - ask.cpuMilli;
    let memoryBytes = this.#memoryBytes - ask.memoryBytes;
    let diskBytes = this.#diskBytes - ask.diskBytes;
    const room = () => cpuMilli >= 0 && memoryBytes >= 0 && diskBytes >= 0;
    let fromMs = room() ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
    for (const change of this.#timeline()) {
      cpuMilli += change.cpuMilli;
      memoryBytes += change.memoryBytes;
      diskBytes += change.diskBytes;
      if (!room()) fromMs = Number.POSITIVE_INFINITY;
      else if (fromMs === Number.POSITIVE_INFINITY) fromMs = change.atMs;
    }
    return fromMs;
  }

  #timeline(): readonly Change[] {
    if (this.#changes === null) {
      const ends = this.node.running.map(({ amounts, endsAtMs }): Change => ({ ...amounts, atMs: endsAtMs }));
      this.#changes = [...ends, ...this.#later].sort(compareChanges);
    }
    return this.#changes;
  }
}

/** What is free again at a moment comes before what is promised from that moment on. */
function compareChanges(a: Change, b: Change): number {
  return a.atMs - b.atMs || b.cpuMilli - a.cpuMilli;
}

/** Puts a change where it belongs among those in order: a round notes many, and reads them after each. */
function insert(changes: Change[], change: Change): void {
  let [from, to] = [0, changes.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (compareChanges(changes[middle] as Change, change) <= 0) from = middle + 1;
    else to = middle;
  }
  changes.splice(from, 0, change);
}

function shareOf(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
