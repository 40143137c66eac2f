// A machine as a coordinator that places tasks sees it, and when what runs on it is likely to end. It decides nothing.

import type { Amounts, NodeCapacity } from "./fit.ts";

export interface PlaceNode {
  readonly capacity: NodeCapacity;
  /** Speed in percent of a plain machine, learnt from history; 100 where nothing is known. Integer > 0. */
  readonly speedPercent: number;
  /** What can be moved to it. Integer > 0. */
  readonly bytesPerMs: number;
  /** What runs there and is known to this coordinator. What others run there is only missing from what is free. */
  readonly running: readonly Running[];
}

/** What will be free again, and when that is expected. */
export interface Running {
  readonly amounts: Amounts;
  /** Unix time. */
  readonly endsAtMs: number;
}

/**
 * When a task is likely to end. One that takes longer than it should is taken to be half way: the longer it has kept others
 * waiting, the longer it will, so that nobody waits for it for ever.
 */
export function likelyEndMs(
  task: { readonly startedAtMs: number; readonly likelyMs: number; readonly speedPercent: number },
  nowMs: number,
): number {
  const endsAtMs = task.startedAtMs + Math.ceil((task.likelyMs * 100) / task.speedPercent);
  return endsAtMs > nowMs ? endsAtMs : nowMs + Math.max(1, nowMs - endsAtMs);
}
