// Limits where no cgroup holds them: looks at a context's processes now and then, and ends the context when they are over.

import { availableParallelism } from "node:os";
import { readFileSync } from "node:fs";
import type { ContextLimits } from "../runtime/context-spec.ts";
import { descendants, memoryOf } from "./processes.ts";

/** What the watchdog saw of one context. */
export interface Watch {
  readonly outOfMemory: boolean;
  readonly peakMemoryBytes: number | null;
  stop(): void;
}

/** How often a context is looked at. A task can be over its limit for this long. */
const PERIOD_MS = 50;

/** Watches memory and the number of processes below `pid`; `kill` is called once when one of them is over. */
export function watch(pid: number, limits: ContextLimits, kill: () => void): Watch {
  let outOfMemory = false;
  let peakMemoryBytes: number | null = null;
  const look = () => {
    const inside = descendants(pid, limits.pids + 1);
    const memory = memoryOf(inside, limits.memoryBytes ?? Number.MAX_SAFE_INTEGER);
    peakMemoryBytes = Math.max(peakMemoryBytes ?? 0, memory);
    outOfMemory = limits.memoryBytes !== null && memory > limits.memoryBytes;
    if (!outOfMemory && inside.length <= limits.pids) return;
    clearInterval(timer);
    kill();
  };
  const timer = setInterval(look, PERIOD_MS);
  timer.unref();
  return {
    get outOfMemory() {
      return outOfMemory;
    },
    get peakMemoryBytes() {
      return peakMemoryBytes;
    },
    stop: () => clearInterval(timer),
  };
}

/** Gives contexts without a CPU cgroup whole CPUs of this process's, in turn. */
export class CpuRotation {
  readonly #cpus = allowedCpus();
  #next = 0;

  /** Bits for sched_setaffinity(2); null when the limit takes all CPUs in. */
  take(cpuMilli: number | null): Uint8Array | null {
    const count = cpuMilli === null ? this.#cpus.length : Math.ceil(cpuMilli / 1000);
    if (count >= this.#cpus.length) return null;
    const mask = new Uint8Array(Math.ceil((Math.max(...this.#cpus) + 1) / 64) * 8);
    for (let taken = 0; taken < count; taken++) {
      const cpu = this.#cpus[this.#next++ % this.#cpus.length] ?? 0;
      mask[cpu >> 3] = (mask[cpu >> 3] ?? 0) | (1 << (cpu & 7));
    }
    return mask;
  }
}

/** CPU numbers from "Cpus_allowed_list: 0-3,8". */
function allowedCpus(): readonly number[] {
  const match = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync("/proc/self/status", "utf8"));
  const cpus = (match?.[1] ?? "").split(",").flatMap((part) => {
    const [first = 0, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  return cpus.length > 0 ? cpus : Array.from({ length: availableParallelism() }, (_, index) => index);
}
