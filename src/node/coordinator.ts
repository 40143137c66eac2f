// Drives one run: feeds the run machine with what happens and performs what it wants done. It decides nothing that the
// machine, the placing, the ledger or the store decides.

import { MeshError } from "../base/errors.ts";
import type { RunId } from "../base/ids.ts";
import { place } from "../sched/place.ts";
import type { Effect, RunEvent, RunStatus } from "../sched/run-event.ts";
import { RunMachine } from "../sched/run-machine.ts";
import type { Definition, Task } from "../spec/definition.ts";
import type { StoredResult } from "../store/io/results.ts";
import type { TaskResult } from "../store/result.ts";
import { evaluateAfter } from "./after.ts";
import { type ExecutionMachine, Executor } from "./executor.ts";
import { Elsewhere } from "./elsewhere.ts";
import { Foundations } from "./foundations.ts";
import { Handover } from "./handover.ts";
import { InputViews } from "./inputs.ts";
import { neverFits } from "./never-fits.ts";
import type { RunObserver } from "./observer.ts";
import { resolveTask } from "./resolve.ts";
import type { ResolveContext } from "./resolve-context.ts";
import { runDirectoryLayer } from "./run-directory.ts";
import type { RunJournal } from "./run-journal.ts";
import type { RunScope } from "./scope.ts";
import { Timers } from "./timers.ts";
import type { Resolution, TaskWork } from "./work.ts";
import { faultText } from "./fault-text.ts";

export interface CoordinatorOptions {
  readonly machine: ExecutionMachine;
  readonly runId: RunId;
  readonly title: string;
  readonly definition: Definition;
  readonly definitionDirectory: string;
  /** What a task is called over time. */
  readonly identityOf: (task: string) => string;
  readonly scope: Omit<RunScope, "outputsOf">;
  readonly baseKey: string;
  readonly cache: boolean;
  /** Most tasks at once; null for as many as fit. */
  readonly jobs: number | null;
  readonly observer: RunObserver;
  readonly journal: RunJournal;
}

/** How often what waits for room that another process has tries again. */
const POLL_MS = 50;

/** How often another process's wish to cancel is looked for. */
const CANCEL_POLL_MS = 250;

/** How long a task may be passed over by smaller ones before room is kept free for it. */
const RESERVE_AFTER_MS = 30_000;

const NONE_OFFERED: ReadonlySet<string> = new Set();

export class Coordinator {
  readonly machine = new RunMachine(evaluateAfter);
  readonly #options: CoordinatorOptions;
  readonly #executor: Executor;
  readonly #tasks: ReadonlyMap<string, Task>;
  readonly #context: ResolveContext;
  readonly #handover = new Handover();
  readonly #work = new Map<string, TaskWork>();
  readonly #effects: Effect[] = [];
  readonly #end = Promise.withResolvers<RunStatus>();
  readonly #timers = new Timers((error) => this.#break(error));
  readonly #stop = new AbortController();
  readonly #elsewhere: Elsewhere;
  readonly #foundations: Foundations;
  /** Tasks without an end, give or take those that lose theirs again. */
  #unsettled = 0;
  #busy = false;
  /** Set when the machinery has failed: nothing more is begun. */
  #isBroken = false;
  #placeWanted = false;
  #waitsForRoom = false;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    const { machine, runId, title, definition, definitionDirectory, observer } = options;
    this.#tasks = new Map(definition.tasks.map((task) => [task.key, task]));
    this.#executor = new Executor({
      machine,
      runId,
      title,
      holds: (ref) => this.machine.holds(ref),
      onOutput: (task, stream, bytes) => observer.output?.(task, stream, bytes),
      onResult: (key, work, result, succeeded) => {
        options.journal.keep(key, result, "executed");
        if (succeeded) this.#handover.take(key, work, result);
      },
      onEvent: (event) => {
        if (event.kind === "task-finished") this.#placeWanted = true;
        this.#apply(event);
      },
      upcoming: () => Math.max(0, this.#unsettled - this.#executor.size),
      onFault: (error) => this.#break(error),
    });
    this.#context = {
      store: machine.store,
      backend: machine.backend,
      run: { ...options.scope, outputsOf: (task) => this.#handover.outputs.get(task) ?? null },
      baseKey: options.baseKey,
      definitionDirectory,
      runDirectory: (filter) => runDirectoryLayer(definitionDirectory, filter, machine.store),
      identityOf: options.identityOf,
      views: new InputViews(machine.store),
      cache: options.cache,
      finished: (task) => this.#handover.finished(task),
      signal: this.#stop.signal,
    };
    this.#foundations = new Foundations(machine.store, options.journal, this.#handover.outputs);
    this.#elsewhere = new Elsewhere(machine.store.claims, this.#timers, (key, round) =>
      this.#apply({ kind: "task-undeferred", key, round, atMs: Date.now() }),
    );
  }

  /** Runs to the end. Rejects only when the machinery itself failed. Either way nothing of the run is left running. */
  async run(started: RunEvent & { kind: "run-started" }): Promise<RunStatus> {
    try {
      this.#apply(started);
      this.#watchForCancel();
      return await this.#end.promise;
    } finally {
      this.#stop.abort();
      this.#timers[Symbol.dispose]();
      await this.#executor.close();
    }
  }

  /** Asks the run to stop: the first time gracefully, then at once. */
  cancel(by: string): void {
    if (this.machine.status.execution === "running") this.#apply({ kind: "cancel-requested", by, atMs: Date.now() });
  }

  #apply(event: RunEvent): void {
    try {
      for (const effect of this.machine.step(event)) this.#effects.push(effect);
      if (event.kind === "run-started" || event.kind === "tasks-added") this.#unsettled += event.tasks.length;
      this.#options.journal.append(event);
      this.#options.observer.event?.(event);
    } catch (error) {
      return this.#break(error);
    }
    this.#drain();
  }

  /** Ends the run for what is no task's fault. What was wanted and not begun is dropped; `run` stops what runs. */
  #break(error: unknown): void {
    this.#isBroken = true;
    this.#effects.length = 0;
    this.#end.reject(error);
  }

  /** Performs what is wanted; what that brings about is performed in the same loop, never by recursion. */
  #drain(): void {
    if (this.#busy || this.#isBroken) return;
    this.#busy = true;
    try {
      this.#perform();
    } catch (error) {
      this.#break(error);
    } finally {
      this.#busy = false;
    }
  }

  #perform(): void {
    for (let at = 0; ;) {
      if (this.#isBroken) return;
      const effect = this.#effects[at++];
      if (effect !== undefined) {
        this.#performOne(effect);
        continue;
      }
      this.#effects.length = 0;
      at = 0;
      if (!this.#placeWanted) return;
      this.#placeWanted = false;
      this.#place();
    }
  }

  #performOne(effect: Effect): void {
    switch (effect.kind) {
      case "resolve":
        return this.#resolve(effect.key, effect.round);
      case "place":
        this.#placeWanted = true;
        return;
      case "start":
        return this.#executor.start(
          { key: effect.key, attempt: effect.attempt, lease: effect.lease },
          this.#workOf(effect.key),
        );
      case "cancel-task":
        return this.#executor.cancel(effect.key, effect.graceful);
      case "task-settled":
        this.#unsettled--;
        this.#work.delete(effect.key);
        return;
      case "finish-run":
        return this.#end.resolve(effect.status);
    }
  }

  // Resolving

  #resolve(key: string, round: number): void {
    const task = this.#tasks.get(key);
    if (task === undefined) throw new Error(`Bug: no task ${key} to resolve`);
    try {
      const resolution = resolveTask(task, this.machine.task(key)?.attempt ?? 1, this.#context);
      if (!(resolution instanceof Promise)) return this.#resolved(key, round, resolution);
      resolution
        .then((resolved) => this.#resolved(key, round, resolved))
        .catch((error: unknown) => this.#refused(key, round, error));
    } catch (error) {
      this.#refused(key, round, error);
    }
  }

  #resolved(key: string, round: number, resolution: Resolution): void {
    const atMs = Date.now();
    if (resolution.kind === "skip")
      return this.#apply({ kind: "task-resolved", key, round, atMs, outcome: { kind: "skip" } });
    const { work } = resolution;
    for (const text of work.warnings) this.#options.observer.notice?.("warning", `${key}: ${text}`);
    if (work.shared) {
      const fresh = this.#executor.fresh(work.key);
      if (fresh !== null) return this.#hit(key, round, work, fresh);
      const { results } = this.#options.machine.store;
      const hit = results.get(work.key, atMs, work.ttlMs);
      if (hit !== null) {
        if (results.untrusted(hit).length === 0) return this.#hit(key, round, work, hit.result);
        return this.#hitIfSound(key, round, work, hit);
      }
    }
    this.#missed(key, round, work);
  }

  #hit(key: string, round: number, work: TaskWork, result: TaskResult): void {
    this.#options.journal.keep(key, result, "hit");
    this.#handover.take(key, work, result);
    this.#apply({
      kind: "task-resolved",
      key,
      round,
      atMs: Date.now(),
      outcome: { kind: "hit", cacheKey: work.key, hitFrom: result.run },
    });
  }

  /** What was written before the machine last started is read again before it is built on. */
  #hitIfSound(key: string, round: number, work: TaskWork, hit: StoredResult): void {
    this.#options.machine.store
      .trust(hit, this.#stop.signal)
      .then((sound) => (sound ? this.#hit(key, round, work, hit.result) : this.#missed(key, round, work)))
      .catch((error: unknown) => this.#refused(key, round, error));
  }

  #missed(key: string, round: number, work: TaskWork): void {
    const refusal = neverFits(work.ask, this.#options.machine.ledger.capacity());
    if (refusal !== null) return this.#refused(key, round, refusal);
    this.#work.set(key, work);
    this.#apply({
      kind: "task-resolved",
      key,
      round,
      atMs: Date.now(),
      outcome: { kind: "miss", cacheKey: work.key, ask: work.ask, shared: work.shared },
    });
  }

  #refused(key: string, round: number, error: unknown): void {
    if (this.#stop.signal.aborted) return;
    if (!(error instanceof MeshError)) return this.#break(error);
    if ((error.code === "blob.missing" || error.code === "blob.corrupt") && this.#remakeUnder(key)) return;
    const message = faultText(error);
    this.#apply({
      kind: "task-refused",
      key,
      round,
      atMs: Date.now(),
      refusal: { code: error.code, message, line: error.place?.line ?? null },
    });
  }

  // Placing

  #place(): void {
    const { ledger, name } = this.#options.machine;
    const most = (this.#options.jobs ?? Number.POSITIVE_INFINITY) - this.#executor.size;
    if (this.machine.ready.size === 0 || most <= 0) return;
    const assignments = place({
      lanes: this.machine.ready.lanes(),
      nodes: [{ capacity: ledger.capacity(), speedPercent: 100, bytesPerMs: 1, running: [] }],
      inputOf: () => null,
      offered: NONE_OFFERED,
      most,
      nowMs: Date.now(),
      reserveAfterMs: RESERVE_AFTER_MS,
    });
    for (const { key, attempt } of assignments) if (!this.#placeOne(key, attempt, name)) return;
  }

  /** False when this machine has no room because of what another process runs on it. */
  #placeOne(key: string, attempt: number, node: string): boolean {
    const work = this.#workOf(key);
    if (this.#hasLost(work)) return true;
    const round = this.machine.task(key)?.round ?? 0;
    const room = this.#executor.take(key, attempt, work);
    const atMs = Date.now();
    switch (room.kind) {
      case "taken":
        this.#apply({ kind: "task-placed", ...room.ref, node, atMs });
        return true;
      case "answered":
        this.#apply({ kind: "task-deferred", key, round, atMs, elsewhere: "" });
        this.#timers.later(0, () => this.#apply({ kind: "task-undeferred", key, round, atMs: Date.now() }));
        return true;
      case "elsewhere":
        this.#apply({ kind: "task-deferred", key, round, atMs, elsewhere: room.by });
        this.#elsewhere.wait(key, round, work.key);
        // the room that it was to have is another's
        this.#placeWanted = true;
        return true;
      case "full":
        this.#placeLater();
        return false;
    }
  }

  /** Protects what a task builds on; what of it was pruned or lost meanwhile is made again first. */
  #hasLost(work: TaskWork): boolean {
    this.#options.journal.open();
    return this.#lose(this.#foundations.lostBy(work));
  }

  /** Has the layers made again that a task was to be resolved over and that are gone; false when none is. */
  #remakeUnder(key: string): boolean {
    const task = this.#tasks.get(key);
    if (task === undefined || task.kind === "embedded-run") return false;
    return this.#lose(this.#foundations.lostUnder(task.use.map((used) => this.#context.finished(used).stack)));
  }

  #lose(keys: ReadonlySet<string>): boolean {
    for (const key of keys)
      this.#apply({ kind: "output-lost", key, reason: "What it left is gone from the store", atMs: Date.now() });
    return keys.size > 0;
  }

  /** Another process has the room: nobody tells this one when it is free. */
  #placeLater(): void {
    if (this.#waitsForRoom) return;
    this.#waitsForRoom = true;
    this.#timers.later(POLL_MS, () => {
      this.#waitsForRoom = false;
      this.#placeWanted = true;
      this.#drain();
    });
  }

  #workOf(key: string): TaskWork {
    const work = this.#work.get(key);
    if (work === undefined) throw new Error(`Bug: no work for ${key}`);
    return work;
  }

  #watchForCancel(): void {
    if (this.machine.status.execution !== "running") return;
    this.#timers.later(CANCEL_POLL_MS, () => {
      for (const by of this.#cancelRequests()) this.cancel(by);
      this.#watchForCancel();
    });
  }

  /** A store that cannot answer at the moment (a full disk, a long lock) is asked again. */
  #cancelRequests(): readonly string[] {
    try {
      return this.#options.journal.cancelRequests();
    } catch (error) {
      if (error instanceof MeshError) return [];
      throw error;
    }
  }
}
