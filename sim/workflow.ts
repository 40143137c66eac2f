// A workflow trace: tasks, how long each takes on a plain machine, and what each waits for. The format is that of WfCommons'
// WfInstances, reduced to what scheduling needs.

import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

export interface WorkflowTask {
  /** What kind of task it is: its name without what numbers it. */
  readonly kind: string;
  /** Seconds on a machine of speed 1. */
  readonly seconds: number;
  readonly parents: readonly number[];
  readonly children: readonly number[];
}

export interface Workflow {
  readonly name: string;
  readonly tasks: readonly WorkflowTask[];
}

/** All workflows of a folder, by name. */
export function readWorkflows(folder: string): readonly Workflow[] {
  const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
  return files.toSorted().map((file) => readWorkflow(join(folder, file)));
}

export function readWorkflow(path: string): Workflow {
  const { tasks } = JSON.parse(readFileSync(path, "utf8")) as {
    readonly tasks: readonly { readonly name: string; readonly rt: number; readonly parents: readonly number[] }[];
  };
  const children: number[][] = tasks.map(() => []);
  tasks.forEach(({ parents }, at) => {
    for (const parent of parents) children[parent]?.push(at);
  });
  return {
    name: basename(path, ".json"),
    tasks: tasks.map(({ name, rt, parents }, at) => ({
      kind: name.replace(/[_-]?(?:ID)?\d+$/, ""),
      seconds: rt,
      parents,
      children: children[at] ?? [],
    })),
  };
}

/** Order in which every task comes after its parents. */
export function inOrder({ tasks }: Workflow): readonly number[] {
  const open = tasks.map(({ parents }) => parents.length);
  const order = [...tasks.keys()].filter((task) => open[task] === 0);
  for (const task of order)
    for (const child of tasks[task]?.children ?? []) {
      open[child] = (open[child] ?? 0) - 1;
      if (open[child] === 0) order.push(child);
    }
  return order;
}

/** Seconds from each task's start to the end of the longest chain behind it, when a second of work takes `pace` seconds. */
export function ranks(workflow: Workflow, pace: number): readonly number[] {
  const rank = workflow.tasks.map(() => 0);
  for (const at of inOrder(workflow).toReversed()) {
    const task = workflow.tasks[at];
    const behind = (task?.children ?? []).reduce((most, child) => Math.max(most, rank[child] ?? 0), 0);
    rank[at] = behind + (task?.seconds ?? 0) * pace;
  }
  return rank;
}

/** No schedule ends sooner: the longest chain on the fastest machine, or all work on all machines. */
export function lowerBound(workflow: Workflow, speeds: readonly number[]): number {
  const chain = Math.max(0, ...ranks(workflow, 1 / Math.max(...speeds)));
  const work = workflow.tasks.reduce((sum, { seconds }) => sum + seconds, 0);
  return Math.max(chain, work / speeds.reduce((sum, speed) => sum + speed, 0));
}
