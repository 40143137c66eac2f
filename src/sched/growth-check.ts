// Whether tasks that a running task adds could ever end: that task is not final before they are, so none of them may
// wait for something that waits for it. It changes nothing.

import type { TaskNode } from "./task-node.ts";
import type { TaskView } from "./task-state.ts";

/** A knot that would never come loose: `task`, added by `by`, waits for `waitsFor`, which does not end before `by` does. */
export interface Knot {
  readonly task: string;
  readonly by: string;
  readonly waitsFor: string;
}

/** Finds a knot, or null. Walks only tasks that are not final and that the new ones wait for. */
export function findKnot(
  nodes: readonly TaskNode[],
  parent: TaskView,
  tasks: readonly TaskView[],
  indexOf: (key: string) => number | null,
): Knot | null {
  const ancestors = new Set<number>();
  for (
    let at: TaskView | undefined = parent;
    at !== undefined;
    at = at.parent === null ? undefined : tasks[at.parent]
  ) {
    ancestors.add(at.graph.index);
  }
  const cleared = new Set<number>();
  for (const node of nodes) {
    for (const names of [node.needs, node.after.tasks]) {
      for (const name of names) {
        const index = indexOf(name);
        // What added a task has done its own part when the task begins.
        if (index === null || ancestors.has(index)) continue;
        if (reaches(index, ancestors, tasks, cleared)) return { task: node.key, by: parent.key, waitsFor: name };
      }
    }
  }
  return null;
}

/** Whether `task` was added by `ancestor`, or by a task that was, and so on. */
export function isDescendant(task: TaskView, ancestor: number, tasks: readonly TaskView[]): boolean {
  for (let at = task.parent; at !== null; at = tasks[at]?.parent ?? null) if (at === ancestor) return true;
  return false;
}

/** `cleared` collects what was walked without a find. */
function reaches(from: number, goals: ReadonlySet<number>, tasks: readonly TaskView[], cleared: Set<number>): boolean {
  const queue = [from];
  for (let index = queue.pop(); index !== undefined; index = queue.pop()) {
    if (goals.has(index)) return true;
    const task = tasks[index];
    if (task === undefined || task.phase === "final" || cleared.has(index)) continue;
    cleared.add(index);
    for (const list of [task.graph.needs, task.graph.after]) {
      for (const next of list) if (!isDescendant(task, next, tasks)) queue.push(next);
    }
    queue.push(...task.children);
  }
  return false;
}
