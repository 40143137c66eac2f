// A run's state as the documented JSON of runs and tasks (`--json`, the local API), and its counts.
// It knows what the run machine knows; outputs and files are the shell's to add.

import { makeTaskId, type RunId } from "../base/ids.ts";
import { describeSkip } from "./explain.ts";
import type { RunStatus } from "./run-event.ts";
import type { RunMachine } from "./run-machine.ts";
import { type TaskStatus, type TaskView } from "./task-state.ts";

/** The documented `run` object. Times are ISO 8601 in UTC, durations in milliseconds, null where unknown. */
export interface RunJson {
  readonly id: string;
  readonly title: string;
  readonly definition: string;
  readonly status: RunStatus;
  readonly startedAt: string | null;
  readonly completedAt: string | null;
  readonly durationMs: number | null;
  readonly init: Readonly<Record<string, string>>;
  readonly targets: readonly string[];
  readonly coordinator: string;
  readonly tasks: readonly TaskJson[];
}

/** The documented `task` object. */
export interface TaskJson {
  readonly id: string;
  readonly key: string;
  readonly type: string;
  readonly status: TaskStatus;
  readonly cacheKey: string | null;
  /** Id of the run that made the result. */
  readonly cacheHitFrom: string | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly node: string | null;
  readonly asked: { readonly cpuMilli: number; readonly memoryBytes: number; readonly gpus: number } | null;
  readonly used: { readonly cpuMs: number | null; readonly memoryBytesMax: number | null } | null;
  readonly attempt: number;
  readonly startedAt: string | null;
  readonly completedAt: string | null;
  readonly durationMs: number | null;
  readonly outputs: TaskOutputsJson;
  readonly messages: readonly MessageJson[];
}

export interface TaskOutputsJson {
  readonly values: Readonly<Record<string, string>>;
  readonly artifacts: readonly {
    readonly key: string;
    readonly digest: string;
    readonly sizeBytes: number;
    readonly path: string;
  }[];
  readonly links: Readonly<Record<string, string>>;
  readonly testResults: readonly unknown[];
  readonly problems: readonly unknown[];
}

export interface MessageJson {
  readonly level: "error" | "warning" | "info";
  readonly text: string;
  readonly file: string | null;
  readonly line: number | null;
}

export interface RunCounts {
  readonly total: number;
  readonly waiting: number;
  readonly ready: number;
  readonly running: number;
  readonly executed: number;
  readonly cacheHits: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly skipped: number;
  readonly aborted: number;
}

export const NO_OUTPUTS: TaskOutputsJson = { values: {}, artifacts: [], links: {}, testResults: [], problems: [] };

/** Folds a run. `outputsOf` gives what the store knows of a task's outputs. Null before the run has started. */
export function runJson(
  machine: RunMachine,
  outputsOf: (task: TaskView) => TaskOutputsJson = () => NO_OUTPUTS,
): RunJson | null {
  const { header, startedAtMs, completedAtMs } = machine;
  if (header === null) return null;
  return {
    id: header.id,
    title: header.title,
    definition: header.definition,
    status: machine.status,
    startedAt: isoTime(startedAtMs),
    completedAt: isoTime(completedAtMs),
    durationMs: startedAtMs === null || completedAtMs === null ? null : Math.max(0, completedAtMs - startedAtMs),
    init: header.init,
    targets: header.targets,
    coordinator: header.coordinator,
    tasks: machine.tasks.map((task) => taskJson(header.id, task, outputsOf(task))),
  };
}

/** One task of the run `run`. */
export function taskJson(run: string, task: TaskView, outputs: TaskOutputsJson = NO_OUTPUTS): TaskJson {
  const { ask } = task;
  return {
    id: makeTaskId(run as RunId, task.key),
    key: task.key,
    type: task.graph.node.type,
    status: task.status,
    cacheKey: task.cacheKey,
    cacheHitFrom: task.hitFrom,
    exitCode: task.exitCode,
    signal: task.signal,
    node: task.node,
    asked: ask === null ? null : { cpuMilli: ask.cpuMilli, memoryBytes: ask.memoryBytes, gpus: ask.gpus },
    used: task.used,
    attempt: task.attempt,
    startedAt: isoTime(task.startedAtMs),
    completedAt: isoTime(task.completedAtMs),
    durationMs: task.durationMs,
    outputs,
    messages: messagesOf(task),
  };
}

/** Counts tasks by state. `executed` and `cacheHits` are ways to finish; `failed` includes what was aborted as a failure. */
export function countTasks(tasks: readonly { readonly status: TaskStatus }[]): RunCounts {
  const counts = {
    total: tasks.length,
    waiting: 0,
    ready: 0,
    running: 0,
    executed: 0,
    cacheHits: 0,
    succeeded: 0,
    failed: 0,
    skipped: 0,
    aborted: 0,
  };
  for (const { status } of tasks) {
    if (status.execution !== "finished") counts[status.execution]++;
    if (status.finished === "executed") counts.executed++;
    if (status.finished === "cacheHit") counts.cacheHits++;
    if (status.result !== "none") counts[status.result]++;
  }
  return counts;
}

function messagesOf(task: TaskView): readonly MessageJson[] {
  const { refusal, skip, status } = task;
  if (refusal !== null) return [{ level: "error", text: refusal.message, file: null, line: refusal.line }];
  if (skip !== null) return [{ level: "info", text: `Skipped: ${describeSkip(skip)}`, file: null, line: null }];
  if (task.message === null) return [];
  return [{ level: status.result === "failed" ? "error" : "info", text: task.message, file: null, line: null }];
}

function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
