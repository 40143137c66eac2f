// When a run that ends its node each time it is taken up is left alone, and how it looks then. It reads and writes nothing.

import { LIMITS } from "../base/limits.ts";
import type { RunJson, TaskJson } from "../sched/summary.ts";
import { STATUS } from "../sched/task-state.ts";
import type { JournalEntry } from "./run-record.ts";

/** Whether a run was taken up so often in a row, without a task of it ending, that the next time would be in vain too. */
export function isInVain(entries: readonly JournalEntry[], nowMs: number): boolean {
  let times = 0;
  let firstMs = 0;
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const entry of entries) {
    if (entry.kind === "event" && entry.event.kind === "task-finished") times = 0;
    if (entry.kind !== "taken-up") continue;
    times = entry.atMs - lastMs < LIMITS.runTakeUpGapMs ? times + 1 : 1;
    if (times === 1) firstMs = entry.atMs;
    lastMs = entry.atMs;
  }
  const isRow = times >= LIMITS.runTakeUps && nowMs - lastMs < LIMITS.runTakeUpGapMs;
  return isRow && nowMs - firstMs >= LIMITS.runTakeUpRowMs;
}

/** A run that is given up: failed, with the reason at every task that has no end. */
export function givenUp(run: RunJson, nowMs: number): RunJson {
  const text = `Given up: the node ended at least ${LIMITS.runTakeUps} times in a row while it drove this run, and no task ended meanwhile. \`mesh retry\` runs it anew.`;
  const message = { level: "error", text, file: null, line: null } as const;
  return {
    ...run,
    status: { execution: "aborted", result: "failed" },
    completedAt: new Date(nowMs).toISOString(),
    tasks: run.tasks.map((task): TaskJson => {
      const { execution } = task.status;
      if (execution !== "waiting" && execution !== "ready" && execution !== "running") return task;
      const status = execution === "waiting" ? STATUS.skipped : STATUS.lost;
      return { ...task, status, messages: [...task.messages, message] };
    }),
  };
}
