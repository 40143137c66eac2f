// How far a run is, as a watcher sees it: folded from the run's events, counted as it goes so that a redraw costs what it
// shows and not what the run holds. It decides nothing about the run and never draws.

import { unreachable } from "../../base/assert.ts";
import type { FailureReason, RunEvent, TaskOutcome } from "../../sched/run-event.ts";
import type { TaskNode } from "../../sched/task-node.ts";
import { Tail } from "./tail.ts";

export type SeenState = "waiting" | "ready" | "running" | "hit" | "succeeded" | "failed" | "skipped" | "stopped";

export interface SeenTask {
  readonly key: string;
  readonly needs: readonly string[];
  state: SeenState;
  /** Milliseconds of the watcher's clock; null when it did not start. */
  startedMs: number | null;
  durationMs: number | null;
  exitCode: number | null;
  signal: string | null;
  reason: FailureReason | null;
  message: string | null;
  /** Where it runs; null while that is not known. */
  node: string | null;
  /** While it runs and after it failed. */
  tail: Tail | null;
  /** How often it may still run again after a failure. */
  retriesLeft: number;
  /** From history; null when nothing is known. */
  readonly expectedMs: number | null;
  /** Expected milliseconds from its start to the end of the longest chain behind it; null when unknown. */
  rankMs: number | null;
}

export type Counts = Readonly<Record<SeenState, number>>;

const DONE: readonly SeenState[] = ["hit", "succeeded", "failed", "skipped", "stopped"];

export class RunProgress {
  readonly #tasks = new Map<string, SeenTask>();
  readonly #running = new Map<string, SeenTask>();
  readonly #dependents = new Map<string, string[]>();
  readonly #counts: Record<SeenState, number> = {
    waiting: 0,
    ready: 0,
    running: 0,
    hit: 0,
    succeeded: 0,
    failed: 0,
    skipped: 0,
    stopped: 0,
  };
  #executedMs = 0;
  #mostAtOnce = 1;
  /** When the run began by the watcher's clock; null before it did. */
  startedMs: number | null = null;
  runId: string | null = null;
  coordinator: string | null = null;
  cancelling = false;
  /** Longest key, for aligned columns. */
  keyWidth = 0;

  get counts(): Counts {
    return this.#counts;
  }

  get total(): number {
    return this.#tasks.size;
  }

  get done(): number {
    return DONE.reduce((sum, state) => sum + this.#counts[state], 0);
  }

  /** Running tasks, the one that started first at the top. */
  get running(): ReadonlyMap<string, SeenTask> {
    return this.#running;
  }

  task(key: string): SeenTask | null {
    return this.#tasks.get(key) ?? null;
  }

  /** Takes an event; `nowMs` is a clock that never goes back. Returns the tasks whose state is final because of it. */
  apply(event: RunEvent, nowMs: number): readonly SeenTask[] {
    switch (event.kind) {
      case "run-started":
        this.startedMs = nowMs;
        this.runId = event.run.id;
        this.coordinator = event.run.coordinator;
        this.#add(event.tasks);
        return [];
      case "tasks-added":
        this.#add(event.tasks);
        return [];
      case "task-resolved":
        if (event.outcome.kind === "hit") return this.#settle(event.key, "hit");
        if (event.outcome.kind === "skip") return this.#settle(event.key, "skipped");
        return this.#move(event.key, "ready");
      case "task-refused":
        return this.#settle(event.key, "failed", { message: event.refusal.message });
      case "task-placed": {
        const task = this.#tasks.get(event.key);
        if (task) task.node = event.node;
        return [];
      }
      case "task-started": {
        const task = this.#tasks.get(event.key);
        if (task) Object.assign(task, { startedMs: nowMs, tail: new Tail() });
        return this.#move(event.key, "running");
      }
      case "task-finished":
        return this.#finish(event.key, event.outcome);
      case "task-deferred":
      case "task-undeferred":
      case "task-lost":
      case "output-lost":
        return this.#move(event.key, "waiting");
      case "task-returned":
        return this.#move(event.key, "ready");
      case "cancel-requested":
        this.cancelling = true;
        return [];
      default:
        return unreachable(event);
    }
  }

  /** Remembers what a running task printed. */
  output(key: string, stream: "stdout" | "stderr", bytes: Uint8Array): void {
    this.#running.get(key)?.tail?.push(stream, bytes);
  }

  /**
   * Expected milliseconds to the end: the longest chain of tasks not done, or all their work over as many at once as
   * were seen, whichever is more. Null while too little is known.
   */
  remainingMs(nowMs: number): number | null {
    const executed = this.#counts.succeeded + this.#counts.failed;
    const usualMs = executed > 0 ? this.#executedMs / executed : null;
    let longest = 0;
    let work = 0;
    for (const task of this.#tasks.values()) {
      if (DONE.includes(task.state)) continue;
      const expectedMs = task.expectedMs ?? usualMs;
      if (expectedMs === null) return null;
      const spentMs =
        task.startedMs === null || task.state !== "running" ? 0 : Math.min(nowMs - task.startedMs, expectedMs);
      longest = Math.max(longest, (task.rankMs ?? expectedMs) - spentMs);
      work += expectedMs - spentMs;
    }
    return Math.max(longest, work / this.#mostAtOnce);
  }

  #add(nodes: readonly TaskNode[]): void {
    for (const { key, needs, after, expectedMs, retries } of nodes) {
      const before = after.condition === null ? [...needs, ...after.tasks] : needs;
      this.#tasks.set(key, {
        key,
        needs: before,
        state: "waiting",
        startedMs: null,
        durationMs: null,
        exitCode: null,
        signal: null,
        reason: null,
        message: null,
        node: null,
        tail: null,
        retriesLeft: retries,
        expectedMs,
        rankMs: null,
      });
      this.keyWidth = Math.max(this.keyWidth, key.length);
      for (const need of before) {
        const list = this.#dependents.get(need);
        if (list) list.push(key);
        else this.#dependents.set(need, [key]);
      }
    }
    this.#counts.waiting += nodes.length;
    if (nodes.some((node) => node.expectedMs !== null)) this.#rank(nodes);
  }

  /** Longest chains, from the ends of the graph back to its beginnings. */
  #rank(nodes: readonly TaskNode[]): void {
    const open = new Map(nodes.map(({ key }) => [key, (this.#dependents.get(key) ?? []).length]));
    const queue = nodes.filter(({ key }) => open.get(key) === 0).map(({ key }) => key);
    for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
      const task = this.#tasks.get(key);
      if (!task) continue;
      const behind = (this.#dependents.get(key) ?? []).reduce(
        (most, next) => Math.max(most, this.#tasks.get(next)?.rankMs ?? 0),
        0,
      );
      task.rankMs = behind + (task.expectedMs ?? 0);
      for (const need of task.needs) {
        const left = (open.get(need) ?? 0) - 1;
        open.set(need, left);
        if (left === 0) queue.push(need);
      }
    }
  }

  #finish(key: string, outcome: TaskOutcome): readonly SeenTask[] {
    const { exitCode, signal, reason, message, durationMs } = outcome;
    this.#executedMs += durationMs;
    const task = this.#tasks.get(key);
    if (task && outcome.result === "failed" && reason !== "cancelled" && task.retriesLeft > 0) {
      task.retriesLeft--;
      return this.#move(key, "ready");
    }
    const state = outcome.result === "succeeded" ? "succeeded" : reason === "cancelled" ? "stopped" : "failed";
    return this.#settle(key, state, { exitCode, signal, reason, message, durationMs });
  }

  #settle(key: string, state: SeenState, detail: Partial<SeenTask> = {}): readonly SeenTask[] {
    const task = this.#tasks.get(key);
    if (!task) return [];
    Object.assign(task, detail);
    if (state !== "failed") task.tail = null;
    this.#move(key, state);
    return state === "failed" || state === "stopped" || state === "skipped" ? [task, ...this.#skipBehind(key)] : [task];
  }

  /** What needs a task that did not succeed will not run; when all is being stopped, that is why. */
  #skipBehind(key: string): SeenTask[] {
    const skipped: SeenTask[] = [];
    const queue = [...(this.#dependents.get(key) ?? [])];
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const task = this.#tasks.get(next);
      if (!task || (task.state !== "waiting" && task.state !== "ready")) continue;
      this.#move(next, this.cancelling ? "stopped" : "skipped");
      skipped.push(task);
      queue.push(...(this.#dependents.get(next) ?? []));
    }
    return skipped;
  }

  #move(key: string, state: SeenState): readonly SeenTask[] {
    const task = this.#tasks.get(key);
    if (!task || task.state === state) return [];
    this.#counts[task.state]--;
    this.#counts[state]++;
    task.state = state;
    if (state === "running") this.#running.set(key, task);
    else this.#running.delete(key);
    this.#mostAtOnce = Math.max(this.#mostAtOnce, this.#running.size);
    return [];
  }
}
