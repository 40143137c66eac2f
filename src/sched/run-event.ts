// What happens to a run (events, which its journal keeps) and what the run wants done (effects). Plain JSON, types only.

import type { ErrorCode } from "../base/errors.ts";
import type { Ask } from "./ask.ts";
import type { TaskNode } from "./task-node.ts";

/** What a run is called and where it came from; carried in its journal, never judged. */
export interface RunHeader {
  readonly id: string;
  readonly title: string;
  /** Path of the definition as the user gave it. */
  readonly definition: string;
  readonly init: Readonly<Record<string, string>>;
  readonly targets: readonly string[];
  /** Name of the machine that coordinates. */
  readonly coordinator: string;
}

export interface RunOptions {
  /** Stop everything at the first task that fails for good. */
  readonly failFast: boolean;
}

/** Which attempt an event speaks of. It counts only while that attempt holds its lease. */
export interface AttemptRef {
  readonly key: string;
  readonly attempt: number;
  readonly lease: string;
}

/** `atMs` is Unix time at the coordinator: shown and recorded, never compared. Durations come measured. */
export type RunEvent = { readonly atMs: number } & (
  | {
      readonly kind: "run-started";
      readonly run: RunHeader;
      readonly options: RunOptions;
      readonly tasks: readonly TaskNode[];
    }
  /** The task `by` added tasks. It is not final until they are. Comes before `by` is resolved as a hit, or finishes. */
  | { readonly kind: "tasks-added"; readonly by: string; readonly tasks: readonly TaskNode[] }
  /** The answer to the effect "resolve" of the same round. */
  | { readonly kind: "task-resolved"; readonly key: string; readonly round: number; readonly outcome: ResolveOutcome }
  /** The task cannot run anywhere or means nothing: a fault of its definition that showed only when it was resolved. */
  | { readonly kind: "task-refused"; readonly key: string; readonly round: number; readonly refusal: Refusal }
  /** The same cache key runs elsewhere, in the run `elsewhere`; wait until it has ended. */
  | { readonly kind: "task-deferred"; readonly key: string; readonly round: number; readonly elsewhere: string }
  /** What it was deferred for has ended. */
  | { readonly kind: "task-undeferred"; readonly key: string; readonly round: number }
  /** A machine granted a lease for this attempt. */
  | ({ readonly kind: "task-placed"; readonly node: string } & AttemptRef)
  /** The lease went back before the task started; no attempt was used up. */
  | ({ readonly kind: "task-returned" } & AttemptRef)
  | ({ readonly kind: "task-started" } & AttemptRef)
  | ({ readonly kind: "task-finished"; readonly outcome: TaskOutcome } & AttemptRef)
  /** The machine died or its lease ran out: nobody knows how far the task came. Offered again, a bounded number of times. */
  | ({ readonly kind: "task-lost"; readonly reason: string } & AttemptRef)
  /** The result of a task that had succeeded cannot be read any more: it runs again if somebody still needs it. */
  | { readonly kind: "output-lost"; readonly key: string; readonly reason: string }
  /** The first asks everything to stop within its grace period, the next one at once. */
  | { readonly kind: "cancel-requested"; readonly by: string }
);

export type RunEventKind = RunEvent["kind"];

export type ResolveOutcome =
  | {
      readonly kind: "hit";
      readonly cacheKey: string;
      /** Id of the run that made the result. */ readonly hitFrom: string;
    }
  /** `shared` false (`cache: false`): runs whatever others with the same key do. */
  | { readonly kind: "miss"; readonly cacheKey: string; readonly ask: Ask; readonly shared: boolean }
  /** Its `if` was false. */
  | { readonly kind: "skip" };

export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly line: number | null;
}

/** Why an execution failed beyond its exit code. */
export type FailureReason =
  | "timed-out"
  | "out-of-memory"
  | "disk-full"
  | "too-many-processes"
  | "cancelled"
  | "context-failed"
  | "output-invalid"
  | "subtask-failed";

export interface TaskOutcome {
  readonly result: "succeeded" | "failed";
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly reason: FailureReason | null;
  /** Measured by a clock that never goes back. */
  readonly durationMs: number;
  readonly used: Usage | null;
  readonly message: string | null;
}

export interface Usage {
  readonly cpuMs: number | null;
  readonly memoryBytesMax: number | null;
}

/** What the shell does for a run, in order. */
export type Effect =
  /** Evaluate `if`, compute the cache key, look it up; answer with task-resolved, task-refused or task-deferred of this round. */
  | { readonly kind: "resolve"; readonly key: string; readonly round: number }
  /** The task stands in the ready queue; place it when a machine has room (place.ts), answer with task-placed. */
  | { readonly kind: "place"; readonly key: string; readonly attempt: number }
  | ({ readonly kind: "start"; readonly node: string } & AttemptRef)
  /** Stop it: gracefully within its grace period, or at once. Answered with task-finished, or task-lost, or task-returned. */
  | ({ readonly kind: "cancel-task"; readonly node: string; readonly graceful: boolean } & AttemptRef)
  /** The task is final: store, show and forget it. */
  | { readonly kind: "task-settled"; readonly key: string }
  /** The last effect of a run. */
  | { readonly kind: "finish-run"; readonly status: RunStatus };

export interface RunStatus {
  readonly execution: "waiting" | "running" | "finished" | "aborted";
  readonly result: "succeeded" | "failed" | "none";
}
