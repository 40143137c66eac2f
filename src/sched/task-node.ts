// A task as the scheduler is given it: who it waits for, and what is known about how long it takes. Plain JSON.

import type { After } from "../spec/definition.ts";

export interface TaskNode {
  /** Unique in the run; `parent.child` for a task that another one added. */
  readonly key: string;
  /** What it is for people: "command", "package", ... */
  readonly type: string;
  /** Tasks that must have succeeded: those it uses and those its expressions refer to. */
  readonly needs: readonly string[];
  /** Order without data. `tasks` holds every task that the condition names. */
  readonly after: After;
  /** How long it is likely to take, from history; null when nothing is known. Integer >= 0. */
  readonly expectedMs: number | null;
  /** How many times it may run again after a failure. */
  readonly retries: number;
}

/** Weight of a task of which nothing is known: all such tasks are alike, and the longest chain of them goes first. */
const UNKNOWN_TASK_MS = 1_000;

/** Milliseconds that a task is likely to take, for comparing with others. */
export function likelyMs(task: Pick<TaskNode, "expectedMs">): number {
  return task.expectedMs ?? UNKNOWN_TASK_MS;
}
