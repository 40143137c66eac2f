// The records of a run and the elementary moves of a task through its phases. Every move keeps the ready queue, the key
// owners, the counts and the effects in step. It never decides which move comes next: run-machine.ts does.

import { assert } from "../base/assert.ts";
import { fail } from "../base/errors.ts";
import { TaskGraph } from "./graph.ts";
import { findKnot } from "./growth-check.ts";
import { KeyOwners } from "./key-owners.ts";
import { ReadyQueue } from "./ready-queue.ts";
import type { AttemptRef, Effect, Refusal } from "./run-event.ts";
import type { TaskNode } from "./task-node.ts";
import { newTaskState, type SkipReason, STATUS, type TaskState, type TaskStatus } from "./task-state.ts";

export class RunBook {
  readonly graph = new TaskGraph();
  readonly tasks: TaskState[] = [];
  readonly ready = new ReadyQueue();
  readonly owners = new KeyOwners();
  /** Tasks that are not final. */
  openTasks = 0;
  /** The first task that failed for good. */
  firstFailure: TaskState | null = null;
  /** Time of the event that is being applied. */
  atMs = 0;
  #effects: Effect[] = [];
  #settled: TaskState[] = [];

  /** Adds tasks, all of them waiting for nothing yet. Throws `definition.invalid` before anything changes. */
  add(nodes: readonly TaskNode[], parent: TaskState | null): readonly TaskState[] {
    const knot = parent === null ? null : findKnot(nodes, parent, this.tasks, (key) => this.graph.indexOf(key));
    if (knot !== null) {
      const [task, by, waitsFor] = [knot.task, knot.by, knot.waitsFor].map((key) => JSON.stringify(key));
      fail(
        "definition.invalid",
        `Cannot add the task ${task} to ${by}: it waits for ${waitsFor}, which waits for ${by}`,
      );
    }
    const raised = this.graph.add(nodes, (index) => this.at(index).phase === "final");
    for (const task of raised) this.ready.rerank(task.index, task.rankMs);
    const first = this.tasks.length;
    for (let index = first; index < this.graph.size; index++) {
      const entry = this.graph.tasks[index];
      if (entry !== undefined) this.tasks.push(newTaskState(entry, parent?.graph.index ?? null));
      parent?.children.push(index);
    }
    this.openTasks += nodes.length;
    if (parent !== null) parent.openChildren += nodes.length;
    return this.tasks.slice(first);
  }

  at(index: number): TaskState {
    const task = this.tasks[index];
    assert(task !== undefined, `no task ${index}`);
    return task;
  }

  named(key: string): TaskState {
    const index = this.graph.indexOf(key);
    return index === null
      ? fail("task.not-found", `Cannot find the task ${JSON.stringify(key)} in the run`)
      : this.at(index);
  }

  /** The task, when exactly this attempt holds its lease; else null. */
  holder(ref: AttemptRef): TaskState | null {
    const task = this.named(ref.key);
    const live = task.phase === "placed" || task.phase === "running";
    return live && task.attempt === ref.attempt && task.lease === ref.lease ? task : null;
  }

  /** Effects since the last call, in order. */
  takeEffects(): readonly Effect[] {
    if (this.#effects.length === 0) return NO_EFFECTS;
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Tasks that became final since the last call, in order. */
  takeSettled(): readonly TaskState[] {
    if (this.#settled.length === 0) return NO_TASKS;
    const settled = this.#settled;
    this.#settled = [];
    return settled;
  }

  emit(effect: Effect): void {
    this.#effects.push(effect);
  }

  // Moves of a task that no machine has

  resolve(task: TaskState): void {
    task.phase = "resolving";
    task.status = STATUS.waiting;
    task.deferredTo = null;
    task.round++;
    this.emit({ kind: "resolve", key: task.key, round: task.round });
  }

  defer(task: TaskState, elsewhere: string): void {
    this.#leaveQueue(task);
    task.phase = "deferred";
    task.status = STATUS.waiting;
    task.deferredTo = elsewhere;
  }

  /** Back to waiting, since something it needs has to be made again. */
  block(task: TaskState): void {
    this.#leaveQueue(task);
    task.phase = "waiting";
    task.status = STATUS.waiting;
    task.node = null;
    task.lease = null;
    this.letKeyGo(task);
    task.cacheKey = null;
  }

  offer(task: TaskState): void {
    assert(task.ask !== null, `${task.key} is ready and asks for nothing`);
    task.phase = "ready";
    task.status = STATUS.ready;
    task.readyAtMs = this.atMs;
    task.node = null;
    task.lease = null;
    const { index, rankMs, node } = task.graph;
    const { key, attempt } = task;
    this.ready.add({ key, index, attempt, rankMs, expectedMs: node.expectedMs, readyAtMs: this.atMs }, task.ask);
    this.emit({ kind: "place", key, attempt });
  }

  place(task: TaskState, node: string, lease: string): void {
    this.#leaveQueue(task);
    task.phase = "placed";
    task.node = node;
    task.lease = lease;
    this.emit({ kind: "start", ...attemptOf(task) });
  }

  // Cache keys

  /** Sets a task's cache key; if it owned another one, that one goes to whoever waits for it. */
  takeKey(task: TaskState, cacheKey: string): void {
    if (task.cacheKey !== null && task.cacheKey !== cacheKey) this.letKeyGo(task);
    task.cacheKey = cacheKey;
  }

  /** Makes a task the runner of its key. False when another task is; then it waits for that one. */
  claimKey(task: TaskState, cacheKey: string): boolean {
    const { index } = task.graph;
    if (this.owners.claim(cacheKey, index) === index) return true;
    task.phase = "twin";
    return false;
  }

  /** The next task that waits for this one's key looks the key up again. */
  letKeyGo(owner: TaskState): void {
    if (owner.cacheKey === null) return;
    const heir = this.owners.handOver(owner.cacheKey, owner.graph.index, (index) =>
      isTwin(this.at(index), owner.cacheKey),
    );
    if (heir !== null) this.resolve(this.at(heir));
  }

  /** All tasks that wait for this one's key look the key up again: its result is there. */
  shareKey(owner: TaskState): void {
    if (owner.cacheKey === null) return;
    for (const index of this.owners.dissolve(owner.cacheKey, owner.graph.index)) {
      const twin = this.at(index);
      if (isTwin(twin, owner.cacheKey)) this.resolve(twin);
    }
  }

  // Ends

  skip(task: TaskState, reason: SkipReason): void {
    task.skip = reason;
    this.settle(task, STATUS.skipped);
  }

  refuse(task: TaskState, refusal: Refusal): void {
    task.refusal = refusal;
    this.settle(task, STATUS.refused);
  }

  settle(task: TaskState, status: TaskStatus): void {
    assert(task.phase !== "final", `${task.key} ends twice`);
    this.#leaveQueue(task);
    task.phase = "final";
    task.status = status;
    task.completedAtMs = this.atMs;
    this.openTasks--;
    if (status.result === "failed") this.firstFailure ??= task;
    this.#settled.push(task);
    this.emit({ kind: "task-settled", key: task.key });
  }

  /** Makes a final task wait again. */
  revive(task: TaskState): void {
    task.phase = "waiting";
    task.status = STATUS.waiting;
    task.hitFrom = null;
    task.completedAtMs = null;
    this.openTasks++;
    if (task.parent !== null) this.at(task.parent).openChildren++;
  }

  #leaveQueue(task: TaskState): void {
    if (task.phase === "ready") this.ready.remove(task.graph.index);
  }
}

const NO_EFFECTS: readonly Effect[] = [];
const NO_TASKS: readonly TaskState[] = [];

/** Which attempt holds a placed or running task, and where. */
export function attemptOf(task: TaskState): AttemptRef & { readonly node: string } {
  assert(task.lease !== null && task.node !== null, `${task.key} holds no lease`);
  return { key: task.key, attempt: task.attempt, lease: task.lease, node: task.node };
}

/** Whether a task waits for this key, and for nothing else. */
function isTwin(task: TaskState, cacheKey: string | null): boolean {
  return task.phase === "twin" && task.cacheKey === cacheKey && task.open === 0;
}
