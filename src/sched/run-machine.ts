// One run, decided: takes events, answers with effects. The same events give the same state and the same effects on
// every machine, so a run's journal is its state. It never reads a clock, places a task or touches the world.

import { assert, unreachable } from "../base/assert.ts";
import { LIMITS } from "../base/limits.ts";
import { afterAllows, type AfterEvaluator } from "./after.ts";
import { isDescendant } from "./growth-check.ts";
import type { ReadyQueue } from "./ready-queue.ts";
import { attemptOf, RunBook } from "./run-book.ts";
import type { AttemptRef, Effect, ResolveOutcome, RunEvent, RunHeader, RunStatus, TaskOutcome } from "./run-event.ts";
import { type SkipReason, STATUS, type TaskState, type TaskStatus, type TaskView, unsuccessful } from "./task-state.ts";

export class RunMachine {
  readonly #evaluateAfter: AfterEvaluator;
  readonly #book = new RunBook();
  #header: RunHeader | null = null;
  #failFast = false;
  #status: RunStatus = { execution: "waiting", result: "none" };
  #startedAtMs: number | null = null;
  #completedAtMs: number | null = null;
  /** Set once the run stops before its end. */
  #stop: "cancelled" | "terminated" | null = null;
  /** Whether what runs is to be stopped without a grace period. */
  #forced = false;

  constructor(evaluateAfter: AfterEvaluator) {
    this.#evaluateAfter = evaluateAfter;
  }

  /**
   * Takes one event; returns what is to be done because of it, in order. Events of an older round, attempt or lease, and
   * those that repeat what is known, change nothing. Costs a constant, plus the tasks that move.
   * Throws, before anything changes: `definition.invalid` when added tasks don't form a graph, `task.not-found` for an unknown key.
   */
  step(event: RunEvent): readonly Effect[] {
    this.#book.atMs = event.atMs;
    this.#apply(event);
    this.#carryEnds();
    return this.#book.takeEffects();
  }

  /** What must be under way for the run to move on: what a coordinator does first after it replayed a journal. */
  outstanding(): readonly Effect[] {
    const effects: Effect[] = [];
    for (const task of this.#book.tasks) {
      if (task.phase === "resolving") effects.push({ kind: "resolve", key: task.key, round: task.round });
      else if (task.phase === "ready") effects.push({ kind: "place", key: task.key, attempt: task.attempt });
      else if (!isHeld(task)) continue;
      else if (task.stopping !== null)
        effects.push({ kind: "cancel-task", ...attemptOf(task), graceful: !this.#forced });
      else if (task.phase === "placed") effects.push({ kind: "start", ...attemptOf(task) });
    }
    return effects;
  }

  /** Null until the run has started. */
  get header(): RunHeader | null {
    return this.#header;
  }

  get status(): RunStatus {
    return this.#status;
  }

  get startedAtMs(): number | null {
    return this.#startedAtMs;
  }

  get completedAtMs(): number | null {
    return this.#completedAtMs;
  }

  /** All tasks, in definition order, then in order of arrival. */
  get tasks(): readonly TaskView[] {
    return this.#book.tasks;
  }

  /** Tasks that wait for a machine. */
  get ready(): Pick<ReadyQueue, "size" | "lanes"> {
    return this.#book.ready;
  }

  /** Null when the run has no such task. */
  task(key: string): TaskView | null {
    const index = this.#book.graph.indexOf(key);
    return index === null ? null : this.#book.at(index);
  }

  /** The other task of this run with the same cache key for whose end a task waits; null when it waits for none. */
  twinOf(task: TaskView): TaskView | null {
    const owner = task.phase === "twin" && task.cacheKey !== null ? this.#book.owners.ownerOf(task.cacheKey) : null;
    return owner === null ? null : this.#book.at(owner);
  }

  /** Whether an attempt still holds its lease, so that what it did may be committed. */
  holds(attempt: AttemptRef): boolean {
    return this.#book.holder(attempt) !== null;
  }

  #apply(event: RunEvent): void {
    const book = this.#book;
    switch (event.kind) {
      case "run-started":
        return this.#start(event);
      case "tasks-added":
        return this.#grow(event);
      case "task-resolved": {
        const task = book.named(event.key);
        if (task.phase === "resolving" && task.round === event.round) this.#resolved(task, event.outcome);
        return;
      }
      case "task-refused": {
        const task = book.named(event.key);
        if (isOpenToAnswers(task) && task.round === event.round) book.refuse(task, event.refusal);
        return;
      }
      case "task-deferred": {
        const task = book.named(event.key);
        if (isOpenToAnswers(task) && task.round === event.round) book.defer(task, event.elsewhere);
        return;
      }
      case "task-undeferred": {
        const task = book.named(event.key);
        if (task.phase === "deferred" && task.round === event.round) book.resolve(task);
        return;
      }
      case "task-placed": {
        const task = book.named(event.key);
        if (task.phase === "ready" && task.attempt === event.attempt) book.place(task, event.node, event.lease);
        return;
      }
      case "task-returned": {
        const task = book.holder(event);
        if (task?.phase === "placed") this.#offerAgain(task);
        return;
      }
      case "task-started": {
        const task = book.holder(event);
        if (task?.phase !== "placed") return;
        task.phase = "running";
        task.status = STATUS.running;
        task.startedAtMs = event.atMs;
        return;
      }
      case "task-finished": {
        const task = book.holder(event);
        if (task !== null) this.#executed(task, event.outcome);
        return;
      }
      case "task-lost": {
        const task = book.holder(event);
        if (task !== null) this.#lost(task, event.reason);
        return;
      }
      case "output-lost":
        return this.#remake(book.named(event.key), event.reason);
      case "cancel-requested":
        return this.#cancel();
      default:
        return unreachable(event);
    }
  }

  // Tasks come in

  #start(event: RunEvent & { readonly kind: "run-started" }): void {
    assert(this.#header === null, "a run starts once");
    const tasks = this.#book.add(event.tasks, null);
    this.#header = event.run;
    this.#failFast = event.options.failFast;
    this.#startedAtMs = event.atMs;
    this.#status = { execution: "running", result: "none" };
    this.#begin(tasks);
  }

  #grow(event: RunEvent & { readonly kind: "tasks-added" }): void {
    const parent = this.#book.named(event.by);
    const mayAdd = parent.phase === "resolving" || isHeld(parent);
    // A task that runs again adds its tasks again: the first time counts. A run that stops takes none.
    if (!mayAdd || parent.children.length > 0 || parent.reopened > 0 || this.#stop !== null) return;
    this.#begin(this.#book.add(event.tasks, parent));
  }

  /** Counts for all new tasks what they wait for, and only then moves the first: no end is missed or counted twice. */
  #begin(tasks: readonly TaskState[]): void {
    const skips = tasks.map((task) => this.#countDependencies(task));
    tasks.forEach((task, position) => {
      const skip = skips[position] ?? null;
      if (skip !== null) this.#book.skip(task, skip);
      else if (task.open === 0) this.#unblocked(task);
    });
  }

  /** Returns why the task is skipped when something ended badly before the task came. */
  #countDependencies(task: TaskState): SkipReason | null {
    for (const index of task.graph.needs) {
      const need = this.#book.at(index);
      if (need.phase !== "final") task.open += this.#waitsFor(task, need) ? 1 : 0;
      else if (need.status.result !== "succeeded") return { kind: "need", task: need.key, was: unsuccessful(need) };
    }
    for (const index of task.graph.after) {
      const before = this.#book.at(index);
      if (before.phase !== "final") task.open += this.#waitsFor(task, before) ? 1 : 0;
      else if (before.status.result !== "succeeded" && task.graph.node.after.condition === null) {
        return { kind: "after", task: before.key, was: unsuccessful(before) };
      }
    }
    return null;
  }

  /** A dependency holds a task back until it is final; what added the task, only until it has done its own part. */
  #waitsFor(task: TaskState, dependency: TaskState): boolean {
    if (dependency.phase === "final") return false;
    return dependency.phase !== "settling" || !isDescendant(task, dependency.graph.index, this.#book.tasks);
  }

  /** All that a task waited for is final, and nothing of it skipped the task. */
  #unblocked(task: TaskState): void {
    if (this.#stops()) return;
    const { condition, tasks } = task.graph.node.after;
    // A task that was let go once was let go for good: what it came after cannot change.
    if (condition === null || task.round > 0) return this.#book.resolve(task);
    const before = task.graph.after.map((index) => this.#book.at(index));
    const allowed = afterAllows(condition, before, this.#evaluateAfter);
    if (allowed === true) this.#book.resolve(task);
    else if (allowed === false) this.#book.skip(task, { kind: "after-condition", tasks });
    else this.#book.refuse(task, { code: allowed.code, message: allowed.message, line: condition.at.line });
  }

  // A task moves

  #resolved(task: TaskState, outcome: ResolveOutcome): void {
    switch (outcome.kind) {
      case "skip":
        return this.#book.skip(task, { kind: "if" });
      case "hit":
        this.#book.takeKey(task, outcome.cacheKey);
        task.hitFrom = outcome.hitFrom;
        return this.#endWell(task, STATUS.hit);
      case "miss":
        this.#book.takeKey(task, outcome.cacheKey);
        task.ask = outcome.ask;
        task.shared = outcome.shared;
        if (!outcome.shared || this.#book.claimKey(task, outcome.cacheKey)) this.#book.offer(task);
        return;
      default:
        return unreachable(outcome);
    }
  }

  #executed(task: TaskState, outcome: TaskOutcome): void {
    task.exitCode = outcome.exitCode;
    task.signal = outcome.signal;
    task.reason = outcome.reason;
    task.message = outcome.message;
    task.used = outcome.used;
    task.durationMs = outcome.durationMs;
    if (outcome.result === "succeeded") return this.#endWell(task, STATUS.succeeded);
    if (outcome.reason === "cancelled") return this.#book.settle(task, STATUS[task.stopping ?? "cancelled"]);
    if (task.stopping === null && task.retriesUsed < task.graph.node.retries) {
      task.retriesUsed++;
      task.attempt++;
      return this.#offerAgain(task);
    }
    this.#book.settle(task, outcome.reason === "timed-out" ? STATUS.timedOut : STATUS.failed);
  }

  #lost(task: TaskState, reason: string): void {
    // What is lost on the coordinator's own machine went with the process that drove the run; who takes runs up bounds that.
    if (task.node !== this.#header?.coordinator) task.losses++;
    task.message = reason;
    if (task.losses > LIMITS.taskLosses && task.stopping === null) return this.#book.settle(task, STATUS.lost);
    task.attempt++;
    this.#offerAgain(task);
  }

  /** An attempt is over without an end: the task stops, waits for inputs that were lost meanwhile, or queues again. */
  #offerAgain(task: TaskState): void {
    if (task.stopping !== null) this.#book.settle(task, STATUS[task.stopping]);
    else if (task.doomed !== null) this.#book.skip(task, task.doomed);
    else if (task.open > 0) this.#book.block(task);
    else this.#book.offer(task);
  }

  /** A task did its own part well; it is final once the tasks that it added are. One made again has been final before. */
  #endWell(task: TaskState, status: TaskStatus): void {
    if (task.openChildren === 0 || task.reopened > 0) return this.#book.settle(task, status);
    task.phase = "settling";
    task.status = STATUS.running;
    // Its own result is there. Who waits for its key may be what its subtasks wait for: it cannot wait for them in turn.
    this.#passKeyOn(task);
    // Its children may use it before it is final.
    const { index, neededBy, followedBy } = task.graph;
    for (const waiter of neededBy)
      if (this.#book.at(waiter).parent === index) this.#dependencyMet(this.#book.at(waiter));
    for (const waiter of followedBy)
      if (this.#book.at(waiter).parent === index) this.#dependencyMet(this.#book.at(waiter));
  }

  /** What becomes of a settling task when the last task it added is final. */
  #settleParent(parent: TaskState): void {
    const children = parent.children.map((index) => this.#book.at(index));
    const failed = children.find((child) => child.status.result === "failed");
    if (failed !== undefined) {
      parent.reason = "subtask-failed";
      parent.message = failed.key;
      return this.#book.settle(parent, STATUS.failed);
    }
    const stopped = children.some((child) => child.status.execution === "aborted" || child.skip?.kind === "fail-fast");
    if (stopped) return this.#book.settle(parent, STATUS[this.#stop ?? "cancelled"]);
    this.#book.settle(parent, parent.hitFrom === null ? STATUS.succeeded : STATUS.hit);
  }

  // Ends are carried on

  /** Tells all that waited for tasks which became final. A loop: a chain of 50,000 skips needs no stack. */
  #carryEnds(): void {
    const book = this.#book;
    for (;;) {
      for (let settled = book.takeSettled(); settled.length > 0; settled = book.takeSettled()) {
        for (const task of settled) this.#carryEnd(task);
      }
      const failed = book.firstFailure;
      if (failed === null || !this.#stops() || this.#stop !== null || book.openTasks === 0) break;
      this.#stopAll("terminated", (task) => book.skip(task, { kind: "fail-fast", task: failed.key }));
    }
    if (book.openTasks === 0 && this.#status.execution === "running") this.#finish();
  }

  #carryEnd(task: TaskState): void {
    const succeeded = task.status.result === "succeeded";
    const was = succeeded ? null : unsuccessful(task);
    this.#passKeyOn(task);
    for (const index of task.graph.neededBy) {
      const waiter = this.#book.at(index);
      if (was === null) this.#dependencyMet(waiter);
      else this.#needFailed(waiter, { kind: "need", task: task.key, was });
    }
    // What comes after it, without need, was let go or skipped when it first ended.
    for (const index of task.reopened === 0 ? task.graph.followedBy : []) {
      const follower = this.#book.at(index);
      if (was === null || follower.graph.node.after.condition !== null) this.#dependencyMet(follower);
      else if (follower.phase === "waiting") this.#book.skip(follower, { kind: "after", task: task.key, was });
    }
    if (task.parent === null) return;
    const parent = this.#book.at(task.parent);
    parent.openChildren--;
    if (parent.openChildren === 0 && parent.phase === "settling") this.#settleParent(parent);
  }

  /** After a hit, all that wait for the key look it up again; after an execution one does, since a failure is no hit. */
  #passKeyOn(task: TaskState): void {
    if (this.#stops()) return;
    if (task.hitFrom === null) this.#book.letKeyGo(task);
    else this.#book.shareKey(task);
  }

  #dependencyMet(task: TaskState): void {
    if (task.phase === "final") return;
    task.open--;
    if (task.open === 0 && task.phase === "waiting") this.#unblocked(task);
  }

  #needFailed(task: TaskState, reason: SkipReason): void {
    if (task.phase === "final") return;
    if (isHeld(task) || task.phase === "settling") task.doomed ??= reason;
    else this.#book.skip(task, reason);
  }

  /** Whether the run stops, or will once all that waits for the task that failed knows of it. */
  #stops(): boolean {
    return this.#stop !== null || (this.#failFast && this.#book.firstFailure !== null);
  }

  #finish(): void {
    const cancelled = this.#stop === "cancelled";
    const result = this.#book.firstFailure !== null ? "failed" : cancelled ? "none" : "succeeded";
    this.#status = { execution: cancelled ? "aborted" : "finished", result };
    this.#completedAtMs = this.#book.atMs;
    this.#book.emit({ kind: "finish-run", status: this.#status });
  }

  // The run stops, or goes back

  #cancel(): void {
    if (this.#status.execution !== "running" || this.#forced) return;
    this.#forced = this.#stop === "cancelled";
    this.#stopAll("cancelled", (task) => this.#book.settle(task, STATUS.cancelled));
  }

  #stopAll(kind: "cancelled" | "terminated", end: (task: TaskState) => void): void {
    this.#stop = kind;
    for (const task of this.#book.tasks) {
      if (task.phase === "final" || task.phase === "settling") continue;
      if (!isHeld(task)) end(task);
      else {
        task.stopping ??= kind;
        this.#book.emit({ kind: "cancel-task", ...attemptOf(task), graceful: !this.#forced });
      }
    }
  }

  /** Runs a task again whose output is gone, when a task that is not final needs it (lineage). */
  #remake(task: TaskState, reason: string): void {
    if (this.#stop !== null || task.phase !== "final" || task.status.result !== "succeeded") return;
    const needers = task.graph.neededBy
      .map((index) => this.#book.at(index))
      .filter((needer) => needer.phase !== "final");
    if (needers.length === 0) return;
    // All are held back before the first lets its cache key go: the key must not fall to another of them.
    for (const needer of needers) needer.open++;
    for (const needer of needers) if (!isHeld(needer) && needer.phase !== "settling") this.#book.block(needer);
    this.#book.revive(task);
    task.message = reason;
    const needs = task.graph.needs.map((index) => this.#book.at(index));
    const hopeless = needs.some((need) => need.phase === "final" && need.status.result !== "succeeded");
    if (hopeless || task.reopened >= LIMITS.taskLosses) return this.#book.settle(task, STATUS.lost);
    task.reopened++;
    task.attempt++;
    task.open = needs.filter((need) => this.#waitsFor(task, need)).length;
    if (task.open === 0) this.#book.resolve(task);
  }
}

/** Whether a machine holds capacity for the task. */
function isHeld(task: TaskState): boolean {
  return task.phase === "placed" || task.phase === "running";
}

/** Whether the shell may still say that a task cannot run, or runs elsewhere. */
function isOpenToAnswers(task: TaskState): boolean {
  return task.phase === "resolving" || task.phase === "ready" || task.phase === "deferred";
}
