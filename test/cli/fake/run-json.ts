// The documented JSON of runs and tasks, for tests of what is made from it.

import { NO_OUTPUTS, type RunJson, type TaskJson } from "../../../src/sched/summary.ts";
import { STATUS, type TaskStatus } from "../../../src/sched/task-state.ts";

export const RUN_ID = "01jb0000000000000r";

export function taskJson(key: string, status: TaskStatus, more: Partial<TaskJson> = {}): TaskJson {
  const executed = status.finished === "executed";
  return {
    id: `${RUN_ID}.${key}`,
    key,
    type: "command",
    status,
    cacheKey: null,
    cacheHitFrom: status.finished === "cacheHit" ? "01ja0000000000000r" : null,
    exitCode: status.result === "succeeded" ? 0 : null,
    signal: null,
    node: executed ? "here" : null,
    asked: null,
    used: null,
    attempt: 1,
    startedAt: executed ? "2026-01-01T00:00:00.000Z" : null,
    completedAt: executed ? "2026-01-01T00:00:01.000Z" : null,
    durationMs: executed ? 1_000 : null,
    outputs: NO_OUTPUTS,
    messages: [],
    ...more,
  };
}

export function runJson(tasks: readonly TaskJson[], more: Partial<RunJson> = {}): RunJson {
  const failed = tasks.some((task) => task.status.result === "failed");
  return {
    id: RUN_ID,
    title: "tasks.yml",
    definition: "tasks.yml",
    status: { execution: "finished", result: failed ? "failed" : "succeeded" },
    startedAt: "2026-01-01T00:00:00.000Z",
    completedAt: "2026-01-01T00:00:01.200Z",
    durationMs: 1_200,
    init: {},
    targets: [],
    coordinator: "here",
    tasks,
    ...more,
  };
}

export { STATUS };
