// One workflow run by the run machine and the placing of the mesh, on machines that do nothing else: how long it takes.

import { makeAsk } from "../src/sched/ask.ts";
import { Fleet } from "../src/sched/fleet.ts";
import { Heap } from "../src/sched/heap.ts";
import { placeOn } from "../src/sched/place.ts";
import { likelyEndMs, type PlaceNode } from "../src/sched/place-node.ts";
import type { Effect } from "../src/sched/run-event.ts";
import { RunMachine } from "../src/sched/run-machine.ts";
import { likelyMs } from "../src/sched/task-node.ts";
import { evaluateAfter, HEADER, SUCCEEDED, task } from "../test/fake/sched-story.ts";
import type { Workflow } from "./workflow.ts";

const ASK = makeAsk({ cpuMilli: 1_000 });
const WHOLE = { cpuMilli: 1_000, memoryBytes: 0, diskBytes: 0 };
const NOTHING = { ...WHOLE, cpuMilli: 0 };

interface Running {
  readonly key: string;
  readonly node: number;
  readonly startedAtMs: number;
  readonly endsAtMs: number;
  readonly lease: string;
}

/** `expectedMs` is what is believed of each task's duration on a plain machine, null where nothing is. Makespan in seconds. */
export function scheduledMakespan(
  workflow: Workflow,
  speeds: readonly number[],
  expectedMs: readonly (number | null)[],
): number {
  return new Schedule(workflow, speeds, expectedMs).run() / 1_000;
}

class Schedule {
  readonly #machine = new RunMachine(evaluateAfter);
  readonly #workflow: Workflow;
  readonly #speeds: readonly number[];
  readonly #expectedMs: readonly (number | null)[];
  readonly #fleet = new Fleet();
  readonly #running = new Map<number, Running>();
  readonly #ends = new Heap<Running>((a, b) => a.endsAtMs - b.endsAtMs || a.node - b.node);
  #nowMs = 0;

  constructor(workflow: Workflow, speeds: readonly number[], expectedMs: readonly (number | null)[]) {
    this.#workflow = workflow;
    this.#speeds = speeds;
    this.#expectedMs = expectedMs;
  }

  run(): number {
    const tasks = this.#workflow.tasks.map(({ parents }, at) =>
      task(
        `t${at}`,
        parents.map((parent) => `t${parent}`),
        { expectedMs: this.#expectedMs[at] ?? null },
      ),
    );
    this.#perform(
      this.#machine.step({ kind: "run-started", atMs: 0, run: HEADER, options: { failFast: false }, tasks }),
    );
    while (this.#machine.status.execution === "running") {
      const againAtMs = this.#place();
      const next = this.#ends.pop();
      if (next === undefined) throw new Error(`${this.#workflow.name} stands still`);
      if (againAtMs !== null && againAtMs < next.endsAtMs) {
        this.#ends.push(next);
        this.#nowMs = Math.max(againAtMs, this.#nowMs + 1);
      } else this.#end(next);
    }
    return this.#nowMs;
  }

  #place(): number | null {
    this.#speeds.forEach((_, node) => this.#fleet.set(this.#nodeOf(node)));
    const { assignments, againAtMs } = placeOn(this.#fleet, {
      lanes: this.#machine.ready.lanes(),
      inputOf: () => null,
      offered: new Set(),
      most: 10_000,
      nowMs: this.#nowMs,
      reserveAfterMs: Number.POSITIVE_INFINITY,
    });
    for (const { key, attempt, node } of assignments) {
      const lease = `${key}.${attempt}`;
      this.#perform(this.#machine.step({ kind: "task-placed", atMs: this.#nowMs, key, attempt, node, lease }));
      const at = Number(node.slice(1));
      const seconds = this.#workflow.tasks[Number(key.slice(1))]?.seconds ?? 0;
      const endsAtMs = this.#nowMs + (seconds * 1_000) / (this.#speeds[at] ?? 1);
      const running = { key, node: at, startedAtMs: this.#nowMs, endsAtMs, lease };
      this.#running.set(at, running);
      this.#ends.push(running);
    }
    return againAtMs;
  }

  #nodeOf(at: number): PlaceNode {
    const running = this.#running.get(at);
    const speedPercent = Math.round((this.#speeds[at] ?? 1) * 100);
    const free = running === undefined ? WHOLE : NOTHING;
    const machine = { name: `n${at}`, os: "linux", arch: "x64", labels: [], baseKeys: [], gpus: [] };
    const capacity = { ...machine, total: WHOLE, free };
    if (running === undefined) return { capacity, speedPercent, bytesPerMs: 1, running: [] };
    const expectedMs = this.#expectedMs[Number(running.key.slice(1))] ?? null;
    const { startedAtMs } = running;
    const endsAtMs = likelyEndMs({ startedAtMs, likelyMs: likelyMs({ expectedMs }), speedPercent }, this.#nowMs);
    return { capacity, speedPercent, bytesPerMs: 1, running: [{ amounts: WHOLE, endsAtMs }] };
  }

  #end({ key, node, lease, endsAtMs }: Running): void {
    this.#nowMs = endsAtMs;
    this.#running.delete(node);
    const attempt = this.#machine.task(key)?.attempt ?? 0;
    const atMs = this.#nowMs;
    this.#perform(this.#machine.step({ kind: "task-finished", atMs, key, attempt, lease, outcome: SUCCEEDED }));
  }

  #perform(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind !== "resolve") continue;
      const { key, round } = effect;
      const outcome = { kind: "miss", cacheKey: key, ask: ASK, shared: false } as const;
      this.#perform(this.#machine.step({ kind: "task-resolved", atMs: this.#nowMs, key, round, outcome }));
    }
  }
}
