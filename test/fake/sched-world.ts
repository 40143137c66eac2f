// A simulated mesh for the run machine: a random definition, machines with ledgers, and a shell that performs effects in
// any order and meets every kind of misfortune, all from one seed. It checks what must hold at every step.

import { makeAsk } from "../../src/sched/ask.ts";
import type { NodeCapacity } from "../../src/sched/fit.ts";
import { CapacityLedger } from "../../src/sched/ledger.ts";
import { place } from "../../src/sched/place.ts";
import type { AttemptRef, Effect, RunEvent, TaskOutcome } from "../../src/sched/run-event.ts";
import { RunMachine } from "../../src/sched/run-machine.ts";
import type { TaskNode } from "../../src/sched/task-node.ts";
import type { TaskView } from "../../src/sched/task-state.ts";
import { both, CANCELLED, evaluateAfter, FAILED, HEADER, state, SUCCEEDED, task } from "./sched-story.ts";
import type { SeededRandom } from "./seeded-random.ts";

const MOST_STEPS = 20_000;

/** Something the shell has yet to do. */
type Pending =
  | Exclude<Effect, { readonly kind: "place" | "task-settled" | "finish-run" }>
  | { readonly kind: "undefer"; readonly key: string; readonly round: number }
  | ({ readonly kind: "end" } & Running);

interface Running extends AttemptRef {
  readonly node: string;
  readonly generation: number;
}

export class SchedWorld {
  readonly machine = new RunMachine(evaluateAfter);
  readonly journal: RunEvent[] = [];
  readonly effects: Effect[] = [];
  readonly #random: SeededRandom;
  readonly #ledgers: ReadonlyMap<string, CapacityLedger>;
  readonly #pending: Pending[] = [];
  readonly #generations = new Map<string, number>();
  /** Keys whose result is in the cache. */
  readonly #cached = new Set<string>();
  #finished = false;
  #leases = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
    const nodes = Array.from({ length: 1 + random.below(3) }, (_, index) =>
      capacityOf(`n${index}`, 1_000 * (1 + random.below(4))),
    );
    this.#ledgers = new Map(nodes.map((node) => [node.name, new CapacityLedger({ ...node, gpus: [] })]));
  }

  /** Runs a random definition to its end. Throws when something that must hold does not. */
  run(): void {
    const tasks = randomTasks(this.#random, 1 + this.#random.below(40));
    const failFast = this.#random.chance(0.15);
    this.#tell({ kind: "run-started", atMs: 0, run: HEADER, options: { failFast }, tasks });
    for (let step = 0; !this.#finished; step++) {
      if (step > MOST_STEPS) throw new Error(`The run does not end: ${this.#open()}`);
      this.#mishap();
      if (this.#random.chance(0.5)) this.#placeRound();
      if (this.#pending.length === 0) this.#placeRound();
      const next = this.#pending.splice(this.#random.below(this.#pending.length), 1)[0];
      if (next !== undefined) this.#perform(next);
      else if (!this.#finished && this.#random.chance(0.01))
        throw new Error(`Nothing is under way, and the run has not ended: ${this.#open()}`);
    }
    for (const { key, phase } of this.machine.tasks) must(phase === "final", `${key} is ${phase} after the run ended`);
  }

  #tell(event: RunEvent): void {
    const effects = this.machine.step(event);
    this.journal.push(event);
    this.effects.push(...effects);
    for (const effect of effects) this.#meet(effect);
    this.#check();
  }

  #meet(effect: Effect): void {
    must(!this.#finished, `${effect.kind} after the run had finished`);
    if (effect.kind === "resolve" || effect.kind === "place") this.#checkNeeds(effect.key);
    if (effect.kind === "finish-run") this.#finished = true;
    else if (effect.kind !== "place" && effect.kind !== "task-settled") this.#pending.push(effect);
  }

  #perform(pending: Pending): void {
    const atMs = this.journal.length;
    switch (pending.kind) {
      case "resolve":
        return this.#resolve(pending.key, pending.round);
      case "undefer":
        return this.#tell({ ...pending, kind: "task-undeferred", atMs });
      case "start": {
        const { key, attempt, lease, node } = pending;
        const generation = this.#generations.get(lease) ?? 0;
        if (this.#random.chance(0.1)) {
          this.#ledgers.get(node)?.release(lease, generation);
          return this.#tell({ kind: "task-returned", key, attempt, lease, atMs });
        }
        this.#tell({ kind: "task-started", key, attempt, lease, atMs });
        this.#pending.push({ kind: "end", key, attempt, lease, node, generation });
        return;
      }
      case "end":
        return this.#end(pending, this.#random.chance(0.85) ? SUCCEEDED : FAILED);
      case "cancel-task": {
        const at = this.#pending.findIndex((other) => other.kind === "end" && other.lease === pending.lease);
        const running = at < 0 ? undefined : this.#pending.splice(at, 1)[0];
        if (running?.kind === "end") this.#end(running, CANCELLED);
        return;
      }
    }
  }

  #resolve(key: string, round: number): void {
    const atMs = this.journal.length;
    const cacheKey = `key${key.length > 3 ? key : this.#hash(key)}`;
    const chance = this.#random.next();
    if (chance < 0.05) return this.#tell({ kind: "task-resolved", key, round, atMs, outcome: { kind: "skip" } });
    if (chance < 0.1) {
      this.#pending.push({ kind: "undefer", key, round });
      return this.#tell({ kind: "task-deferred", key, round, atMs, elsewhere: "run9" });
    }
    if (chance < 0.12) {
      return this.#tell({
        kind: "task-refused",
        key,
        round,
        atMs,
        refusal: { code: "expression.invalid", message: "no", line: 1 },
      });
    }
    if (this.#cached.has(cacheKey))
      return this.#tell({
        kind: "task-resolved",
        key,
        round,
        atMs,
        outcome: { kind: "hit", cacheKey, hitFrom: "run0" },
      });
    const ask = makeAsk({ cpuMilli: 500 * (1 + this.#random.below(2)), memoryBytes: this.#random.below(50) });
    this.#tell({
      kind: "task-resolved",
      key,
      round,
      atMs,
      outcome: { kind: "miss", cacheKey, ask, shared: this.#hash(key) % 5 !== 0 },
    });
  }

  /** Few keys for many tasks: many of them are equal. */
  #hash(key: string): number {
    let sum = 7;
    for (let at = 0; at < key.length; at++) sum = (sum * 31 + key.charCodeAt(at)) % 17;
    return sum;
  }

  #end(running: Running, outcome: TaskOutcome): void {
    const { key, attempt, lease, node, generation } = running;
    this.#ledgers.get(node)?.release(lease, generation);
    const atMs = this.journal.length;
    if (this.#random.chance(0.1)) return this.#tell({ kind: "task-lost", key, attempt, lease, reason: "lost", atMs });
    const holds = this.machine.holds({ key, attempt, lease });
    if (holds && outcome.result === "succeeded" && this.#random.chance(0.15)) this.#grow(key);
    const cacheKey = this.machine.task(key)?.cacheKey ?? null;
    if (holds && outcome.result === "succeeded" && cacheKey !== null) this.#cached.add(cacheKey);
    this.#tell({ kind: "task-finished", key, attempt, lease, outcome, atMs });
    // Word of an end may arrive twice.
    if (this.#random.chance(0.1)) this.#tell({ kind: "task-finished", key, attempt, lease, outcome: FAILED, atMs });
  }

  #grow(by: string): void {
    if (by.length > 12) return;
    const known = this.machine.tasks.map(({ key }) => key);
    const tasks = Array.from({ length: 1 + this.#random.below(3) }, (_, index): TaskNode => {
      const needs = [by, ...(index > 0 ? [`${by}.g${index - 1}`] : []), this.#random.pick(known)].filter(() =>
        this.#random.chance(0.5),
      );
      return task(`${by}.g${index}`, needs);
    });
    try {
      this.#tell({ kind: "tasks-added", by, tasks, atMs: this.journal.length });
    } catch (error) {
      // A knot is refused, and nothing has changed.
      if (!String(error).includes("which waits for")) throw error;
    }
  }

  #mishap(): void {
    const atMs = this.journal.length;
    if (this.#random.chance(0.002)) this.#tell({ kind: "cancel-requested", by: "user", atMs });
    if (this.#finished || !this.#random.chance(0.02)) return;
    const { key, cacheKey } = this.#random.pick(this.machine.tasks);
    if (cacheKey !== null) this.#cached.delete(cacheKey);
    this.#tell({ kind: "output-lost", key, reason: "gone", atMs });
  }

  #placeRound(): void {
    const nodes = [...this.#ledgers.values()].map((ledger) => ({
      capacity: ledger.capacity(),
      speedPercent: 100,
      bytesPerMs: 1_000,
      running: [],
    }));
    const assignments = place({
      lanes: this.machine.ready.lanes(),
      nodes,
      inputOf: () => null,
      offered: new Set(),
      most: 1 + this.#random.below(5),
      nowMs: this.journal.length,
      reserveAfterMs: 20,
    });
    for (const { key, attempt, node } of assignments) {
      const lease = `l${++this.#leases}`;
      const ask = this.machine.task(key)?.ask;
      const grant = ask ? this.#ledgers.get(node)?.grant(lease, ask) : undefined;
      must(grant?.granted === true, `${node} refused ${key}, which was placed there`);
      if (grant?.granted === true) this.#generations.set(lease, grant.lease.generation);
      this.#tell({ kind: "task-placed", key, attempt, node, lease, atMs: this.journal.length });
    }
  }

  // What must hold

  #checkNeeds(key: string): void {
    const task = this.machine.task(key);
    for (const index of task?.graph.needs ?? []) {
      const need = this.machine.tasks[index];
      const met = need?.status.result === "succeeded" || need?.phase === "settling";
      must(met, `${key} goes ahead while ${need?.key} is ${need?.phase} ${need?.status.result}`);
    }
  }

  #check(): void {
    const running = new Map<string, string>();
    for (const task of this.machine.tasks) {
      if (!isHeld(task) || !task.shared || task.cacheKey === null) continue;
      must(!running.has(task.cacheKey), `${task.key} and ${running.get(task.cacheKey)} run the same key at once`);
      running.set(task.cacheKey, task.key);
    }
    for (const [node, ledger] of this.#ledgers) {
      const cpuMilli = ledger.leases().reduce((sum, lease) => sum + lease.ask.cpuMilli, 0);
      must(cpuMilli <= ledger.capacity().total.cpuMilli, `${node} is overbooked with ${cpuMilli}`);
    }
  }

  #open(): string {
    return this.machine.tasks
      .filter(({ phase }) => phase !== "final")
      .map(({ key, phase, open }) => `${key} ${phase} ${open}`)
      .join(", ");
  }
}

function randomTasks(random: SeededRandom, count: number): readonly TaskNode[] {
  return Array.from({ length: count }, (_, index): TaskNode => {
    const earlier = Array.from({ length: index }, (_unused, at) => `t${at}`);
    const some = (most: number) =>
      earlier.length === 0 ? [] : Array.from({ length: random.below(most + 1) }, () => random.pick(earlier));
    const before = some(2);
    const [first, second] = before;
    const condition =
      first !== undefined && second !== undefined && random.chance(0.4)
        ? both(
            random.pick(["&&", "||"]),
            state(first, random.pick(["failed", "succeeded", "skipped"])),
            state(second, "succeeded"),
          )
        : null;
    const expectedMs = random.chance(0.5) ? random.below(1_000) : null;
    return task(`t${index}`, some(3), { after: { tasks: before, condition }, expectedMs, retries: random.below(2) });
  });
}

function capacityOf(name: string, cpuMilli: number): NodeCapacity {
  const total = { cpuMilli, memoryBytes: 200, diskBytes: 0 };
  return { name, os: "linux", arch: "x64", labels: [], baseKeys: [], total, free: total, gpus: [] };
}

function isHeld(task: TaskView): boolean {
  return task.phase === "placed" || task.phase === "running";
}

function must(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}
