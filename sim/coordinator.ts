// What drives one run on a simulated machine: it journals what happens and performs what the run machine wants, over a network
// that loses, delays and repeats. It decides nothing that the machines of src/sched decide.

import { LIMITS } from "../src/base/limits.ts";
import { replay } from "../src/sched/journal.ts";
import { makeAsk } from "../src/sched/ask.ts";
import type { ClaimEffect } from "../src/sched/key-claims.ts";
import { Fleet } from "../src/sched/fleet.ts";
import type { AttemptName } from "../src/sched/lease-event.ts";
import { placeOn } from "../src/sched/place.ts";
import { likelyEndMs, type PlaceNode } from "../src/sched/place-node.ts";
import type { Effect, RunEvent, TaskOutcome } from "../src/sched/run-event.ts";
import { type RunMachine } from "../src/sched/run-machine.ts";
import { likelyMs } from "../src/sched/task-node.ts";
import type { TaskView } from "../src/sched/task-state.ts";
import { CANCELLED, evaluateAfter, FAILED, HEADER, SUCCEEDED } from "../test/fake/sched-story.ts";
import type { SimDefinition } from "./definition.ts";
import type { Host } from "./host.ts";
import type { AttemptResult, InputRef, KeptResult, Message, Said, Work } from "./message.ts";

/** How long an offer waits for its answer; how long a machine that refused is left alone; how long a look-up may take. */
const OFFER_MS = 2_000;
const REFUSED_MS = 500;
const FIND_MS = 1_000;

type Untimed = RunEvent extends infer E ? (E extends RunEvent ? Omit<E, "atMs"> : never) : never;

interface Output extends Omit<InputRef, "task"> {
  readonly at: readonly string[];
}

export class Coordinator {
  machine: RunMachine;
  readonly #host: Host;
  readonly #run: string;
  readonly #definition: SimDefinition;
  readonly #journal: RunEvent[];
  readonly #effects: Effect[] = [];
  readonly #outputs = new Map<string, Output>();
  readonly #works = new Map<string, Work>();
  readonly #offers = new Map<string, { readonly node: Host; readonly attempt: number }>();
  /** Tasks that wait for an answer about their key, or have the key, by task. */
  readonly #keys = new Map<string, string>();
  readonly #waiting = new Map<
    string,
    { readonly key: string; readonly round: number; readonly phase: "claim" | "find" }
  >();
  /** Machines that refused, until when. */
  readonly #refusing = new Map<string, number>();
  #isPlacing = false;
  #isBusy = false;

  constructor(host: Host, run: string, definition: SimDefinition, journal: RunEvent[]) {
    this.#host = host;
    this.#run = run;
    this.#definition = definition;
    this.#journal = journal;
    this.machine = replay(journal, evaluateAfter);
  }

  /** Begins the run, or takes it up where its journal ends. */
  begin(): void {
    if (this.#journal.length === 0) {
      const run = { ...HEADER, id: this.#run, coordinator: this.#host.name };
      return this.#tell({ kind: "run-started", run, options: { failFast: false }, tasks: this.#definition.tasks });
    }
    this.#host.around.world.note(() => `${this.#host.name} takes up ${this.#run}`);
    if (this.machine.status.execution !== "running") return this.#close();
    for (const task of this.machine.tasks) {
      if (task.status.result === "succeeded") this.#outputs.set(task.key, this.#outputOf(task));
      else if (task.cacheKey !== null && task.shared && task.phase !== "final") this.#claim(task.key, task.cacheKey);
      if (task.ask !== null && task.phase !== "final" && task.cacheKey !== null) this.#prepare(task.key, task.cacheKey);
    }
    this.#effects.push(...this.machine.outstanding());
    this.#perform();
    for (const task of this.machine.tasks)
      if (task.phase === "deferred") this.#tell({ kind: "task-undeferred", key: task.key, round: task.round });
    this.#host.after(LIMITS.adoptMs, () => this.#loseAbsent());
  }

  /** What was under way on machines that have not been found again since the run was taken up is lost to it. */
  #loseAbsent(): void {
    const there = new Set(this.#host.believed.map(({ name }) => name));
    for (const task of this.machine.tasks)
      if (isHeld(task) && task.node !== null && !there.has(task.node))
        this.#lose(task, "its machine cannot be reached");
  }

  cancel(): void {
    this.#tell({ kind: "cancel-requested", by: "user" });
  }

  tick(): void {
    const byNode = new Map<string, string[]>();
    for (const task of this.machine.tasks) {
      if (!isHeld(task) || task.node === null || task.lease === null) continue;
      const leases = byNode.get(task.node) ?? [];
      leases.push(task.lease);
      byNode.set(task.node, leases);
    }
    for (const node of this.#host.believed) {
      const leases = byNode.get(node.name);
      if (leases !== undefined) this.#host.send(node, { kind: "renew", run: this.#run, leases });
    }
    this.#wantPlacing();
  }

  /** What ran on a machine that is gone is lost to this run. */
  membersChanged(other: Host, isUp: boolean): void {
    if (!isUp) {
      for (const [key, offer] of this.#offers) if (offer.node === other) this.#offers.delete(key);
      for (const task of this.machine.tasks) if (isHeld(task) && task.node === other.name) this.#lose(task, "gone");
    }
    this.#wantPlacing();
  }

  // What workers say

  hear(from: Host, said: Said): void {
    switch (said.kind) {
      case "granted":
        if (said.run === this.#run) this.#granted(from, said, said.lease);
        return;
      case "refused":
        if (said.run !== this.#run || this.#offers.get(said.key)?.node !== from) return;
        this.#offers.delete(said.key);
        this.#refusing.set(from.name, this.#host.monotonicMs + REFUSED_MS);
        return this.#wantPlacing();
      case "started": {
        const task = this.#taskWith(said.lease);
        if (task !== null) this.#tell({ kind: "task-started", ...refOf(task, said.lease) });
        return;
      }
      case "finished":
        if (said.run === this.#run) this.#ended(from, said, said.lease, said.result);
        return;
      case "returned": {
        const task = this.#taskWith(said.lease);
        if (task !== null) this.#tell({ kind: "task-returned", ...refOf(task, said.lease) });
        return this.#wantPlacing();
      }
      case "unknown":
        return this.#unknown(said.leases);
      case "doubt":
        return; // it goes on
      case "holdings": {
        if (said.run !== this.#run) return;
        this.#unknown(said.unknown);
        for (const held of said.held) {
          if (held.phase === "ended" && held.result !== null) this.#ended(from, held, held.lease, held.result);
          else this.#granted(from, held, held.lease);
        }
      }
    }
  }

  #granted(from: Host, { key, attempt }: AttemptName, lease: string): void {
    const offer = this.#offers.get(key);
    const task = this.machine.task(key);
    if (this.machine.holds({ key, attempt, lease })) return;
    const isWanted =
      offer?.node === from && offer.attempt === attempt && task?.phase === "ready" && task.attempt === attempt;
    if (!isWanted) return this.#host.send(from, { kind: "cancel", lease, graceful: false });
    this.#offers.delete(key);
    this.#tell({ kind: "task-placed", key, attempt, node: from.name, lease });
  }

  #unknown(leases: readonly string[]): void {
    for (const lease of leases) {
      const task = this.#taskWith(lease);
      if (task !== null) this.#lose(task, "the machine knows nothing of it");
    }
  }

  #lose(task: TaskView, reason: string): void {
    if (task.lease !== null) this.#tell({ kind: "task-lost", ...refOf(task, task.lease), reason });
  }

  #ended(from: Host, { key, attempt }: AttemptName, lease: string, result: AttemptResult): void {
    const ref = { key, attempt, lease };
    const task = this.machine.task(key);
    if (task !== null && this.machine.holds(ref)) {
      if (result.kind === "inputs-missing") this.#inputsMissing(from, task, result.tasks);
      else if (result.kind === "disk-full") this.#takeBack(from, task, "its machine's disk is full");
      else this.#finish(task, from, lease, result);
    }
    this.#host.send(from, { kind: "acknowledge", leases: [lease] });
    this.#wantPlacing();
  }

  #finish(task: TaskView, from: Host, lease: string, result: AttemptEnd): void {
    if (result.kind === "succeeded" && task.cacheKey !== null) {
      const { digest, bytes } = result;
      this.#outputs.set(task.key, { digest, bytes, at: [from.name] });
      for (const input of this.#works.get(task.key)?.inputs ?? []) this.#holds(from, input.task);
      if (task.shared) this.#host.disk.results.set(task.cacheKey, { digest, bytes, run: this.#run });
    }
    this.#tell({ kind: "task-finished", ...refOf(task, lease), outcome: outcomeOf(result) }, () => {
      if (result.kind === "succeeded") this.#host.around.rules.committed(this.#run, task);
    });
  }

  /** A machine has fetched the output of a task. */
  #holds(host: Host, task: string): void {
    const output = this.#outputs.get(task);
    if (output !== undefined && !output.at.includes(host.name))
      this.#outputs.set(task, { ...output, at: [...output.at, host.name] });
  }

  /** A worker found nobody who has an input: it is made again, unless it can be reached from here. */
  #inputsMissing(from: Host, task: TaskView, tasks: readonly string[]): void {
    for (const key of tasks) {
      const output = this.#outputs.get(key);
      if (output === undefined || this.#host.holders(output.digest).length > 0) continue;
      this.#tell({ kind: "output-lost", key, reason: "nobody has it" });
    }
    this.#takeBack(from, task, "its inputs are gone");
  }

  /** An attempt that is none: the task is offered again, for a while not to that machine. */
  #takeBack(from: Host, task: TaskView, reason: string): void {
    this.#refusing.set(from.name, this.#host.monotonicMs + REFUSED_MS * 4);
    if (task.lease === null) return;
    const ref = refOf(task, task.lease);
    if (task.phase === "placed") this.#tell({ kind: "task-returned", ...ref });
    else this.#tell({ kind: "task-lost", ...ref, reason });
  }

  // Resolving

  #resolve(key: string, round: number): void {
    const task = this.machine.task(key);
    const script = this.#definition.scripts.get(key);
    if (task === null || script === undefined) throw new Error(`Bug: no task ${key}`);
    const needs = task.graph.needs.map((index) => this.machine.tasks[index]?.key ?? "");
    const lost = needs.filter((need) => !this.#isThere(need));
    if (lost.length > 0) {
      for (const need of lost) this.#tell({ kind: "output-lost", key: need, reason: "gone" });
      return;
    }
    const inputs = needs.map((need) => this.#outputs.get(need)?.digest ?? "").sort();
    const cacheKey = Bun.hash(JSON.stringify([script.recipe, inputs])).toString(36);
    this.#prepare(key, cacheKey);
    if (!script.shared) return this.#miss(key, round, cacheKey);
    const known = this.#host.disk.results.get(cacheKey);
    if (known !== undefined && this.#host.holders(known.digest).length > 0)
      return this.#hitHere(key, round, cacheKey, known);
    this.#waiting.set(key, { key: cacheKey, round, phase: "claim" });
    this.#claim(key, cacheKey);
  }

  #isThere(key: string): boolean {
    const output = this.#outputs.get(key);
    return output !== undefined && this.#host.holders(output.digest).length > 0;
  }

  #prepare(key: string, cacheKey: string): void {
    const script = this.#definition.scripts.get(key);
    const task = this.machine.task(key);
    if (script === undefined || task === null) return;
    const inputs = task.graph.needs.flatMap((index): readonly InputRef[] => {
      const need = this.machine.tasks[index]?.key ?? "";
      const output = this.#outputs.get(need);
      return output === undefined ? [] : [{ task: need, ...output }];
    });
    const { shared, workMs, fails, outputBytes } = script;
    this.#works.set(key, { cacheKey, shared, inputs, workMs, fails, outputBytes });
  }

  #claim(task: string, key: string, anew = false): void {
    const before = this.#keys.get(task);
    if (before !== undefined && before !== key) this.#giveBack(task, []);
    this.#keys.set(task, key);
    this.#host.tellClaims({ kind: "want", wanted: [{ key, run: this.#run, anew }] });
  }

  claimAnswered(effect: Exclude<ClaimEffect, { readonly kind: "send" }>): void {
    if (effect.kind === "freed") {
      for (const task of this.machine.tasks)
        if (task.phase === "deferred" && this.#keys.get(task.key) === effect.key)
          this.#tell({ kind: "task-undeferred", key: task.key, round: task.round });
      return;
    }
    this.#keyOfReadyTask(effect);
    for (const [key, waiting] of this.#waiting) {
      if (waiting.key !== effect.key || waiting.phase !== "claim") continue;
      this.#waiting.delete(key);
      if (effect.kind === "granted") this.#miss(key, waiting.round, effect.key);
      else if (effect.kind === "busy")
        this.#tell({ kind: "task-deferred", key, round: waiting.round, elsewhere: effect.elsewhere });
      else this.#find(key, waiting.round, effect);
    }
  }

  /** A run that was taken up has tasks that are ready, and whose keys may have gone to others meanwhile. */
  #keyOfReadyTask(effect: Exclude<ClaimEffect, { readonly kind: "send" | "freed" }>): void {
    for (const { key, phase, round } of this.machine.tasks) {
      if (phase !== "ready" || this.#keys.get(key) !== effect.key || this.#offers.has(key)) continue;
      if (effect.kind === "granted") this.#wantPlacing();
      else {
        this.#tell({ kind: "task-deferred", key, round, elsewhere: effect.kind === "busy" ? effect.elsewhere : "" });
        if (effect.kind === "result") this.#tell({ kind: "task-undeferred", key, round });
      }
    }
  }

  #find(task: string, round: number, { key, at }: Extract<ClaimEffect, { readonly kind: "result" }>): void {
    this.#waiting.set(task, { key, round, phase: "find" });
    for (const peer of at) this.#host.sendTo(peer, { kind: "find", key, run: this.#run, task, round });
    this.#host.after(FIND_MS, () => {
      const waiting = this.#waiting.get(task);
      if (waiting?.phase !== "find" || waiting.round !== round) return;
      this.#waiting.set(task, { key, round, phase: "claim" });
      this.#claim(task, key, true);
    });
  }

  found(from: Host, { task, round, result }: Extract<Message, { readonly kind: "found" }>): void {
    const waiting = this.#waiting.get(task);
    if (waiting?.phase !== "find" || waiting.round !== round || result === null) return;
    this.#waiting.delete(task);
    this.#host.disk.results.set(waiting.key, result);
    this.#outputs.set(task, { digest: result.digest, bytes: result.bytes, at: [from.name] });
    this.#hit(task, round, waiting.key, result);
  }

  #hitHere(key: string, round: number, cacheKey: string, { digest, bytes, run }: KeptResult): void {
    const at = this.#host.holders(digest).map(({ name }) => name);
    this.#outputs.set(key, { digest, bytes, at });
    this.#hit(key, round, cacheKey, { digest, bytes, run });
  }

  #hit(key: string, round: number, cacheKey: string, kept: KeptResult): void {
    this.#tell({ kind: "task-resolved", key, round, outcome: { kind: "hit", cacheKey, hitFrom: kept.run } });
  }

  #miss(key: string, round: number, cacheKey: string): void {
    const script = this.#definition.scripts.get(key);
    const ask = makeAsk({ cpuMilli: script?.cpuMilli ?? 0 });
    this.#tell({
      kind: "task-resolved",
      key,
      round,
      outcome: { kind: "miss", cacheKey, ask, shared: script?.shared ?? false },
    });
  }

  #giveBack(task: string, at: readonly string[]): void {
    const key = this.#keys.get(task);
    if (key === undefined) return;
    this.#keys.delete(task);
    if ([...this.#keys.values()].includes(key)) return;
    const peers = this.#host.believed.filter(({ name }) => at.includes(name)).map(({ id }) => id);
    this.#host.tellClaims({ kind: "give-back", key, run: this.#run, at: peers });
  }

  // Placing

  #wantPlacing(): void {
    if (this.#isPlacing || this.machine.ready.size === 0) return;
    this.#isPlacing = true;
    this.#host.after(1, () => {
      this.#isPlacing = false;
      this.#place();
    });
  }

  #place(): void {
    const nowMs = this.#host.wallMs;
    const placing = placeOn(new Fleet(this.#nodes(nowMs)), {
      lanes: this.machine.ready.lanes(),
      inputOf: (key) => {
        const inputs = this.#works.get(key)?.inputs ?? [];
        if (inputs.length === 0) return null;
        const present = new Map<string, number>();
        for (const { at, bytes } of inputs) for (const name of at) present.set(name, (present.get(name) ?? 0) + bytes);
        return { bytes: inputs.reduce((sum, { bytes }) => sum + bytes, 0), present };
      },
      offered: this.#notToOffer(),
      most: 100,
      nowMs,
      reserveAfterMs: 30_000,
    });
    for (const { key, attempt, node } of placing.assignments) this.#offer(key, attempt, node);
    if (placing.againAtMs !== null) this.#host.after(Math.max(1, placing.againAtMs - nowMs), () => this.#wantPlacing());
  }

  /** Tasks that are offered, and those whose key the run does not have: for them it is asked again. */
  #notToOffer(): ReadonlySet<string> {
    const keys = new Set(this.#offers.keys());
    const isOpen = ({ phase, shared, cacheKey }: TaskView) =>
      phase === "ready" && shared && cacheKey !== null && this.#host.claims?.holds(cacheKey, this.#run) !== true;
    for (const { key, cacheKey } of this.machine.tasks.filter(isOpen)) {
      keys.add(key);
      this.#claim(key, cacheKey ?? "");
    }
    return keys;
  }

  #nodes(nowMs: number): readonly PlaceNode[] {
    const nodes: PlaceNode[] = [];
    for (const host of this.#host.believed) {
      const capacity = host.snapshot;
      if (capacity === null || (this.#refusing.get(host.name) ?? 0) > this.#host.monotonicMs) continue;
      const running = this.machine.tasks
        .filter((task) => isHeld(task) && task.node === host.name && task.ask !== null)
        .map((task) => ({
          amounts: task.ask ?? capacity.free,
          endsAtMs: likelyEndMs(
            {
              startedAtMs: task.startedAtMs ?? nowMs,
              likelyMs: likelyMs(task.graph.node),
              speedPercent: host.speedPercent,
            },
            nowMs,
          ),
        }));
      const offeredMilli = [...this.#offers]
        .filter(([, offer]) => offer.node === host)
        .reduce((sum, [key]) => sum + (this.machine.task(key)?.ask?.cpuMilli ?? 0), 0);
      const free = { ...capacity.free, cpuMilli: Math.max(0, capacity.free.cpuMilli - offeredMilli) };
      nodes.push({ capacity: { ...capacity, free }, speedPercent: host.speedPercent, bytesPerMs: 100_000, running });
    }
    return nodes;
  }

  #offer(key: string, attempt: number, name: string): void {
    const node = this.#host.believed.find((host) => host.name === name);
    const task = this.machine.task(key);
    const prepared = this.#works.get(key);
    if (node === undefined || task === null || task.ask === null || prepared === undefined) return;
    const inputs = prepared.inputs.map((input) => ({ ...input, at: this.#outputs.get(input.task)?.at ?? input.at }));
    const work = { ...prepared, inputs };
    const offer = { node, attempt };
    this.#offers.set(key, offer);
    this.#host.send(node, { kind: "offer", run: this.#run, key, attempt, ask: task.ask, work });
    this.#host.after(OFFER_MS, () => {
      if (this.#offers.get(key) !== offer) return;
      this.#offers.delete(key);
      this.#wantPlacing();
    });
  }

  // The run machine

  /** `written` is called once the event is in the journal. */
  #tell(event: Untimed, written: () => void = () => undefined): void {
    const timed = { ...event, atMs: this.#host.wallMs } as RunEvent;
    const effects = this.machine.step(timed);
    this.#journal.push(timed);
    written();
    this.#host.wroteEntry();
    this.#effects.push(...effects);
    this.#perform();
  }

  /** What follows from an effect is performed in the same loop, never by recursion. */
  #perform(): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let effect = this.#effects.shift(); effect !== undefined; effect = this.#effects.shift())
      this.#performOne(effect);
    this.#isBusy = false;
  }

  #performOne(effect: Effect): void {
    switch (effect.kind) {
      case "resolve":
        return this.#resolve(effect.key, effect.round);
      case "place":
        return this.#wantPlacing();
      case "start": {
        const node = this.#nodeNamed(effect.node);
        if (node !== null) this.#host.send(node, { kind: "start", lease: effect.lease });
        return;
      }
      case "cancel-task": {
        const node = this.#nodeNamed(effect.node);
        if (node !== null) this.#host.send(node, { kind: "cancel", lease: effect.lease, graceful: effect.graceful });
        return;
      }
      case "task-settled": {
        const task = this.machine.task(effect.key);
        if (task !== null) this.#host.around.rules.settled(this.#run, task);
        const output = task?.status.result === "succeeded" ? this.#outputs.get(effect.key) : undefined;
        this.#waiting.delete(effect.key);
        return this.#giveBack(effect.key, output?.at ?? []);
      }
      case "finish-run":
        return this.#close();
    }
  }

  #close(): void {
    const { execution, result } = this.machine.status;
    this.#host.around.rules.finished(this.#run, `${execution} ${result}`);
    for (const task of this.#keys.keys()) this.#giveBack(task, []);
    this.#host.drop(this.#run);
  }

  #nodeNamed(name: string): Host | null {
    return [...this.#host.around.byId.values()].find((host) => host.name === name) ?? null;
  }

  #taskWith(lease: string): TaskView | null {
    return this.machine.tasks.find((task) => isHeld(task) && task.lease === lease) ?? null;
  }

  #outputOf(task: TaskView): Output {
    const digest = `out(${task.cacheKey ?? ""})`;
    const bytes = this.#definition.scripts.get(task.key)?.outputBytes ?? 0;
    return { digest, bytes, at: task.node === null ? [] : [task.node] };
  }
}

function refOf(
  task: TaskView,
  lease: string,
): { readonly key: string; readonly attempt: number; readonly lease: string } {
  return { key: task.key, attempt: task.attempt, lease };
}

function isHeld(task: TaskView): boolean {
  return task.phase === "placed" || task.phase === "running";
}

/** How an attempt ended that was one. */
type AttemptEnd = Exclude<AttemptResult, { readonly kind: "inputs-missing" | "disk-full" }>;

function outcomeOf(result: AttemptEnd): TaskOutcome {
  switch (result.kind) {
    case "succeeded":
      return { ...SUCCEEDED, durationMs: result.durationMs };
    case "failed":
      return FAILED;
    case "cancelled":
      return CANCELLED;
  }
}
