// The tasks of a definition as the scheduler takes them.

import type { TaskNode } from "../sched/task-node.ts";
import type { Definition, Task } from "../spec/definition.ts";

const NOTHING: readonly string[] = [];

/** One node a task. `expectedMs` says how long a task took before, or null. */
export function taskNodes(definition: Definition, expectedMs: (key: string) => number | null): readonly TaskNode[] {
  return definition.tasks.map((task) => ({
    key: task.key,
    type: task.kind,
    needs: needsOf(task),
    after: task.after,
    expectedMs: expectedMs(task.key),
    retries: retriesOf(task),
  }));
}

/** What a task is called over time, whatever its content: for learnt durations and for finding its earlier results. */
export function taskIdentity(definitionPath: string, key: string): string {
  return `${definitionPath}#${key}`;
}

/** Only a plain count reaches this: the rest of `retry` is refused before anything runs. */
function retriesOf(task: Task): number {
  return task.kind === "command" && typeof task.retry?.count === "string" ? Number(task.retry.count) : 0;
}

function needsOf(task: Task): readonly string[] {
  const used = task.kind === "embedded-run" ? NOTHING : task.use;
  if (task.references.length === 0) return used;
  return [...new Set([...used, ...task.references])];
}
