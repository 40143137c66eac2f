// Short ways to tell a run machine a story: tasks, events, and a shell that answers effects with what the test decides.

import type { AfterEvaluator } from "../../src/sched/after.ts";
import { type Ask, makeAsk } from "../../src/sched/ask.ts";
import type { Effect, ResolveOutcome, RunEvent, RunHeader, TaskOutcome } from "../../src/sched/run-event.ts";
import { RunMachine } from "../../src/sched/run-machine.ts";
import type { TaskNode } from "../../src/sched/task-node.ts";
import type { Expression } from "../../src/spec/expression/syntax.ts";

export const HEADER: RunHeader = {
  id: "run1",
  title: "story",
  definition: "tasks.yml",
  init: {},
  targets: [],
  coordinator: "here",
};

export function task(key: string, needs: readonly string[] = [], more: Partial<TaskNode> = {}): TaskNode {
  return { key, type: "command", needs, after: { tasks: [], condition: null }, expectedMs: null, retries: 0, ...more };
}

export function after(tasks: readonly string[], condition: Expression | null = null): Partial<TaskNode> {
  return { after: { tasks, condition } };
}

const AT = { line: 1, column: 1 };

/** `${{ task.state }}` */
export function state(of: string, name: "succeeded" | "failed" | "skipped"): Expression {
  return { kind: "member", of: { kind: "name", name: of, at: AT }, name, optional: false, at: AT };
}

export function both(operator: "&&" | "||", left: Expression, right: Expression): Expression {
  return { kind: "binary", operator, left, right, at: AT };
}

/** Evaluates what `state` and `both` build. */
export const evaluateAfter: AfterEvaluator = (condition, states) => {
  if (condition.kind === "member" && condition.of.kind === "name") {
    return states[condition.of.name]?.[condition.name as "succeeded" | "failed" | "skipped"] ?? false;
  }
  if (condition.kind !== "binary") throw new Error(`The story has no ${condition.kind}`);
  const left = evaluateAfter(condition.left, states);
  const right = evaluateAfter(condition.right, states);
  return condition.operator === "&&" ? left && right : left || right;
};

export const SUCCEEDED: TaskOutcome = {
  result: "succeeded",
  exitCode: 0,
  signal: null,
  reason: null,
  durationMs: 5,
  used: null,
  message: null,
};
export const FAILED: TaskOutcome = { ...SUCCEEDED, result: "failed", exitCode: 1 };
export const CANCELLED: TaskOutcome = {
  ...SUCCEEDED,
  result: "failed",
  exitCode: null,
  signal: "SIGTERM",
  reason: "cancelled",
};

/** An event without its time. */
type Untimed = RunEvent extends infer E ? (E extends RunEvent ? Omit<E, "atMs"> : never) : never;

/** A run that a test drives by hand: it keeps the journal, the last effects, and counts the time. */
export class Story {
  readonly machine = new RunMachine(evaluateAfter);
  readonly journal: RunEvent[] = [];
  effects: readonly Effect[] = [];
  #leases = 0;

  static of(tasks: readonly TaskNode[], failFast = false): Story {
    const story = new Story();
    story.tell({ kind: "run-started", run: HEADER, options: { failFast }, tasks });
    return story;
  }

  tell(event: Untimed): readonly Effect[] {
    const timed = { ...event, atMs: 1_000 + this.journal.length } as RunEvent;
    this.effects = this.machine.step(timed);
    this.journal.push(timed);
    return this.effects;
  }

  resolve(key: string, outcome: ResolveOutcome): readonly Effect[] {
    return this.tell({ kind: "task-resolved", key, round: this.machine.task(key)?.round ?? 0, outcome });
  }

  hit(key: string, cacheKey = `key-${key}`): readonly Effect[] {
    return this.resolve(key, { kind: "hit", cacheKey, hitFrom: "run0" });
  }

  miss(
    key: string,
    cacheKey = `key-${key}`,
    ask: Ask = makeAsk({ cpuMilli: 1_000 }),
    shared = true,
  ): readonly Effect[] {
    return this.resolve(key, { kind: "miss", cacheKey, ask, shared });
  }

  /** Places and starts a ready task; returns its lease. */
  start(key: string, node = "here"): string {
    const lease = `lease-${++this.#leases}`;
    const attempt = this.machine.task(key)?.attempt ?? 0;
    this.tell({ kind: "task-placed", key, attempt, node, lease });
    this.tell({ kind: "task-started", key, attempt, lease });
    return lease;
  }

  finish(key: string, outcome: TaskOutcome = SUCCEEDED): readonly Effect[] {
    const { attempt, lease } = this.machine.task(key) ?? { attempt: 0, lease: "" };
    return this.tell({ kind: "task-finished", key, attempt, lease: lease ?? "", outcome });
  }

  lose(key: string): readonly Effect[] {
    const { attempt, lease } = this.machine.task(key) ?? { attempt: 0, lease: "" };
    return this.tell({ kind: "task-lost", key, attempt, lease: lease ?? "", reason: "the machine there was lost" });
  }

  /** Resolves as a miss, places, starts and finishes. */
  run(key: string, outcome: TaskOutcome = SUCCEEDED): readonly Effect[] {
    this.miss(key);
    this.start(key);
    return this.finish(key, outcome);
  }

  /** "finished succeeded executed" and the like. */
  stateOf(key: string): string {
    const { execution, result, finished, aborted } = this.machine.task(key)?.status ?? {};
    return [execution, result === "none" ? null : result, finished, aborted].filter((word) => word !== null).join(" ");
  }
}
