// The tasks of a run and who waits for whom, as numbered records, with the critical path from each task to the end.
// It grows while the run goes on and never shrinks; it knows nothing of states (run-machine.ts does).

import { fail } from "../base/errors.ts";
import { checkGraph, describeFault } from "./graph-check.ts";
import { likelyMs, type TaskNode } from "./task-node.ts";

/** A task inside the graph. Numbers are indexes of other tasks. */
export interface GraphTask {
  /** Position in definition order, then in order of arrival. */
  readonly index: number;
  readonly node: TaskNode;
  readonly needs: readonly number[];
  readonly after: readonly number[];
  readonly neededBy: readonly number[];
  readonly followedBy: readonly number[];
  /** Expected milliseconds from this task's start to the end of the longest chain behind it. */
  readonly rankMs: number;
}

interface MutableTask extends GraphTask {
  readonly neededBy: number[];
  readonly followedBy: number[];
  rankMs: number;
}

export class TaskGraph {
  readonly #tasks: MutableTask[] = [];
  readonly #indexes = new Map<string, number>();

  get size(): number {
    return this.#tasks.length;
  }

  get tasks(): readonly GraphTask[] {
    return this.#tasks;
  }

  indexOf(key: string): number | null {
    return this.#indexes.get(key) ?? null;
  }

  /**
   * Adds tasks that may wait for each other and for those that are here already; nothing here can wait for them.
   * Returns the tasks from before whose critical path grew; the ones for which `settled` holds are left as they are.
   * Throws `definition.invalid` and changes nothing when a name is unknown or given twice, or when there is a cycle.
   */
  add(nodes: readonly TaskNode[], settled: (index: number) => boolean = () => false): readonly GraphTask[] {
    const { faults, order } = checkGraph(nodes, this.#indexes);
    if (faults.length > 0) fail("definition.invalid", faults.map(describeFault).join("\n"));
    const first = this.#tasks.length;
    nodes.forEach((node, position) => this.#indexes.set(node.key, first + position));
    for (const node of nodes) this.#append(node);
    for (const task of this.#tasks.slice(first)) this.#connect(task);
    for (let at = order.length - 1; at >= 0; at--) {
      const task = this.#tasks[first + (order[at] ?? 0)];
      if (task !== undefined) task.rankMs = this.#rank(task);
    }
    return this.#raise(first, settled);
  }

  #append(node: TaskNode): void {
    this.#tasks.push({
      index: this.#tasks.length,
      node,
      needs: this.#indexesOf(node.needs),
      after: this.#indexesOf(node.after.tasks),
      neededBy: [],
      followedBy: [],
      rankMs: 0,
    });
  }

  #indexesOf(keys: readonly string[]): readonly number[] {
    if (keys.length === 0) return NONE;
    const found = keys.map((key) => this.#indexes.get(key) ?? 0);
    return found.length === 1 ? found : [...new Set(found)];
  }

  #connect(task: MutableTask): void {
    for (const need of task.needs) this.#tasks[need]?.neededBy.push(task.index);
    for (const before of task.after) this.#tasks[before]?.followedBy.push(task.index);
  }

  #rank(task: GraphTask): number {
    let behind = 0;
    for (const next of task.neededBy) behind = Math.max(behind, this.#tasks[next]?.rankMs ?? 0);
    for (const next of task.followedBy) behind = Math.max(behind, this.#tasks[next]?.rankMs ?? 0);
    return behind + likelyMs(task.node);
  }

  /** Carries the ranks of tasks from `first` on up to older ones. What has settled waits for no order any more. */
  #raise(first: number, settled: (index: number) => boolean): readonly GraphTask[] {
    const raised = new Set<GraphTask>();
    const queue = first === 0 ? [] : this.#tasks.slice(first);
    for (let task = queue.pop(); task !== undefined; task = queue.pop()) {
      for (const earlier of [...task.needs, ...task.after]) {
        const before = this.#tasks[earlier];
        if (before === undefined || earlier >= first || settled(earlier)) continue;
        const rankMs = task.rankMs + likelyMs(before.node);
        if (rankMs <= before.rankMs) continue;
        before.rankMs = rankMs;
        raised.add(before);
        queue.push(before);
      }
    }
    return [...raised];
  }
}

const NONE: readonly number[] = [];

/**
 * The tasks that a run of `targets` has: they, and all they wait for, in definition order.
 * Throws `task.not-found` when a target does not exist.
 */
export function subsetFor(nodes: readonly TaskNode[], targets: readonly string[]): readonly TaskNode[] {
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  const wanted = new Set<string>();
  const queue = [...targets];
  for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
    if (wanted.has(key)) continue;
    const node =
      byKey.get(key) ??
      fail("task.not-found", `Cannot run the target ${JSON.stringify(key)}: the definition has no such task`);
    wanted.add(key);
    for (const name of node.needs) queue.push(name);
    for (const name of node.after.tasks) queue.push(name);
  }
  return nodes.filter((node) => wanted.has(node.key));
}
