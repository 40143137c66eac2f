// The state of one task inside a run, and how it shows to the outside. It decides nothing: run-machine.ts does.

import type { Ask } from "./ask.ts";
import type { GraphTask } from "./graph.ts";
import type { FailureReason, Refusal, Usage } from "./run-event.ts";

/**
 * Where a task stands inside the machine:
 * - waiting: for other tasks; resolving: for the shell's answer; deferred: for another run with the same key;
 *   twin: for another task of this run with the same key;
 * - ready: for a machine; placed: a machine granted a lease; running: it started;
 * - settling: it has ended well, the tasks it added have not;
 * - final: nothing more can happen to it (unless its output is lost).
 */
export type Phase =
  | "waiting"
  | "resolving"
  | "deferred"
  | "twin"
  | "ready"
  | "placed"
  | "running"
  | "settling"
  | "final";

export type Execution = "waiting" | "ready" | "running" | "finished" | "aborted" | "skipped";
export type Result = "succeeded" | "failed" | "none";
/** How an aborted task came to its end. `terminated`: stopped because another one failed (fail-fast). */
export type Aborted = "cancelled" | "terminated" | "timed-out" | "refused" | "lost";

export interface TaskStatus {
  readonly execution: Execution;
  readonly result: Result;
  readonly finished: "executed" | "cacheHit" | null;
  readonly aborted: Aborted | null;
}

/** Why a task was skipped, with the task that caused it. */
export type SkipReason =
  /** A task it uses or refers to did not succeed. */
  | { readonly kind: "need"; readonly task: string; readonly was: Unsuccessful }
  /** A task it comes after did not succeed. */
  | { readonly kind: "after"; readonly task: string; readonly was: Unsuccessful }
  /** The condition of its `after` was false over these tasks. */
  | { readonly kind: "after-condition"; readonly tasks: readonly string[] }
  | { readonly kind: "if" }
  /** Not reached: the run stopped because this task failed. */
  | { readonly kind: "fail-fast"; readonly task: string };

export type Unsuccessful = "failed" | "aborted" | "skipped";

export interface TaskState {
  readonly graph: GraphTask;
  readonly key: string;
  phase: Phase;
  status: TaskStatus;
  /** Dependencies that are not final yet. */
  open: number;
  /** Counts the resolve effects, so that an answer to an older one is recognised. */
  round: number;
  /** From 1; grows when the task is offered again. */
  attempt: number;
  losses: number;
  retriesUsed: number;
  /** Times it ran again because its output was lost. */
  reopened: number;
  cacheKey: string | null;
  hitFrom: string | null;
  ask: Ask | null;
  shared: boolean;
  deferredTo: string | null;
  node: string | null;
  lease: string | null;
  /** Set while it is being stopped. */
  stopping: "cancelled" | "terminated" | null;
  /** It runs although a task it needs has failed since; it is not offered again. */
  doomed: SkipReason | null;
  skip: SkipReason | null;
  refusal: Refusal | null;
  exitCode: number | null;
  signal: string | null;
  reason: FailureReason | null;
  message: string | null;
  used: Usage | null;
  readyAtMs: number | null;
  startedAtMs: number | null;
  completedAtMs: number | null;
  durationMs: number | null;
  /** Index of the task that added it. */
  readonly parent: number | null;
  /** Indexes of the tasks it added, and how many of them are not final. */
  children: number[];
  openChildren: number;
}

/** What others may read of a task. */
export type TaskView = Readonly<TaskState>;

export function newTaskState(graph: GraphTask, parent: number | null): TaskState {
  return {
    graph,
    key: graph.node.key,
    phase: "waiting",
    status: STATUS.waiting,
    open: 0,
    round: 0,
    attempt: 1,
    losses: 0,
    retriesUsed: 0,
    reopened: 0,
    cacheKey: null,
    hitFrom: null,
    ask: null,
    shared: true,
    deferredTo: null,
    node: null,
    lease: null,
    stopping: null,
    doomed: null,
    skip: null,
    refusal: null,
    exitCode: null,
    signal: null,
    reason: null,
    message: null,
    used: null,
    readyAtMs: null,
    startedAtMs: null,
    completedAtMs: null,
    durationMs: null,
    parent,
    children: [],
    openChildren: 0,
  };
}

/** Every status a task can have. Shared values: a run of 50,000 tasks makes none. */
export const STATUS = {
  waiting: status("waiting", "none"),
  ready: status("ready", "none"),
  running: status("running", "none"),
  succeeded: status("finished", "succeeded", "executed"),
  failed: status("finished", "failed", "executed"),
  hit: status("finished", "succeeded", "cacheHit"),
  skipped: status("skipped", "none"),
  cancelled: status("aborted", "none", null, "cancelled"),
  terminated: status("aborted", "none", null, "terminated"),
  timedOut: status("aborted", "failed", null, "timed-out"),
  refused: status("aborted", "failed", null, "refused"),
  lost: status("aborted", "failed", null, "lost"),
} as const;

/** How a task that has no success looks to those that wait for it. */
export function unsuccessful(task: TaskView): Unsuccessful {
  if (task.status.result === "failed") return "failed";
  return task.status.execution === "skipped" ? "skipped" : "aborted";
}

function status(
  execution: Execution,
  result: Result,
  finished: TaskStatus["finished"] = null,
  aborted: TaskStatus["aborted"] = null,
): TaskStatus {
  return { execution, result, finished, aborted };
}
