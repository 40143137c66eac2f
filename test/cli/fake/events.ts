// Run events for tests of the views: short ways to say what happened.

import type { RunEvent, TaskOutcome } from "../../../src/sched/run-event.ts";
import type { TaskNode } from "../../../src/sched/task-node.ts";

export function node(key: string, needs: readonly string[] = [], expectedMs: number | null = null): TaskNode {
  return { key, type: "command", needs, after: { tasks: [], condition: null }, expectedMs, retries: 0 };
}

export function runStarted(tasks: readonly TaskNode[], atMs = 0): RunEvent {
  return {
    kind: "run-started",
    atMs,
    run: {
      id: "01jb0000000000000r",
      title: "tasks.yml",
      definition: "tasks.yml",
      init: {},
      targets: [],
      coordinator: "here",
    },
    options: { failFast: false },
    tasks,
  };
}

export function hit(key: string, atMs = 0): RunEvent {
  return {
    kind: "task-resolved",
    key,
    round: 1,
    atMs,
    outcome: { kind: "hit", cacheKey: "sha256:0", hitFrom: "01ja0000000000000r" },
  };
}

export function started(key: string, atMs = 0): RunEvent {
  return { kind: "task-started", key, attempt: 1, lease: key, atMs };
}

export function finished(key: string, outcome: Partial<TaskOutcome> = {}, atMs = 0): RunEvent {
  return {
    kind: "task-finished",
    key,
    attempt: 1,
    lease: key,
    atMs,
    outcome: {
      result: "succeeded",
      exitCode: 0,
      signal: null,
      reason: null,
      durationMs: 1_000,
      used: null,
      message: null,
      ...outcome,
    },
  };
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
