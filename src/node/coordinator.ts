// Drives one run: feeds the run machine with what happens and performs what it wants done. It decides nothing that the
// machine, the placing, the ledger or the store decides.

import { MeshError } from "../base/errors.ts";
import type { RunId } from "../base/ids.ts";
import type { AttemptRef, Effect, RunEvent, RunStatus } from "../sched/run-event.ts";
import { RunMachine } from "../sched/run-machine.ts";
import type { Definition, Task } from "../spec/definition.ts";
import { evaluateAfter } from "./after.ts";
import { type ExecutionMachine, Executor } from "./executor.ts";
import { Elsewhere } from "./elsewhere.ts";
import { Foundations } from "./foundations.ts";
import { Handover, exportsOf } from "./handover.ts";
import { InputViews } from "./inputs.ts";
import type { RunObserver } from "./observer.ts";
import { type Allowed, Placing } from "./placing.ts";
import type { MeshSide } from "./remote/mesh-side.ts";
import type { RunMesh } from "./remote/run-mesh.ts";
import type { ResolveContext } from "./resolve-context.ts";
import { Resolving } from "./resolving.ts";
import { runDirectoryLayer } from "./run-directory.ts";
import type { RunJournal } from "./run-journal.ts";
import type { JournalEntry } from "./run-record.ts";
import type { RunScope } from "./scope.ts";
import type { RemoteSite, SiteReports } from "./site.ts";
import { TakingUp } from "./taking-up.ts";
import { Timers } from "./timers.ts";
import type { TaskWork } from "./work.ts";

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
  readonly allowed: Allowed;
  /** How long a ready task waits for a machine that could run it to come back. */
  readonly patienceMs: number;
  /** Who had the run started. */
  readonly actor: string;
  /** Opens the mesh, when something has to be executed; null where there is none, or the run must stay here. */
  readonly mesh: (() => Promise<MeshSide | null>) | null;
  readonly observer: RunObserver;
  readonly journal: RunJournal;
}

/** How often another process's wish to cancel is looked for. */
const CANCEL_POLL_MS = 250;

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
  readonly #resolving: Resolving;
  readonly #placing: Placing;
  /** Not asked for yet; null once it is known that there is none. */
  #mesh: RunMesh | null | undefined;
  readonly #waitsForMesh: ((mesh: RunMesh | null) => void)[] = [];

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    const { machine, runId, title, definition, definitionDirectory } = options;
    this.#tasks = new Map(definition.tasks.map((task) => [task.key, task]));
    this.#executor = new Executor({
      machine,
      runId,
      title,
      actor: options.actor,
      ...this.#reports(),
      prepare: (_ref, work, signal) => this.#prepareHere(work, signal),
      onReturned: (ref, cause) => {
        const missing = this.#mesh?.lackedBy(this.#workOf(ref.key)).map(({ digest }) => digest) ?? [];
        this.#placing.returned(ref, machine.name, cause, missing);
      },
      upcoming: () => Math.max(0, this.#unsettled - this.#executor.size),
    });
    this.#context = {
      store: machine.store,
      backend: machine.backend,
      run: { ...options.scope, outputsOf: (task) => this.#handover.outputs.get(task) ?? null },
      baseKey: options.baseKey,
      definitionDirectory,
      runDirectory: (filter) => runDirectoryLayer(definitionDirectory, filter, machine.store),
      identityOf: options.identityOf,
      nodeName: machine.name,
      views: new InputViews(machine.store),
      cache: options.cache,
      finished: (task) => this.#handover.finished(task),
      signal: this.#stop.signal,
    };
    this.#foundations = new Foundations(machine.store, options.journal, this.#handover.outputs);
    this.#elsewhere = new Elsewhere(machine.store.claims, this.#timers, (key, round) =>
      this.#apply({ kind: "task-undeferred", key, round, atMs: Date.now() }),
    );
    this.#resolving = new Resolving({
      machine: this.machine,
      executor: this.#executor,
      tasks: this.#tasks,
      context: this.#context,
      handover: this.#handover,
      foundations: this.#foundations,
      journal: options.journal,
      withMesh: (act) => this.#withMesh(act),
      neverFits: (work) => this.#placing.neverFits(work),
      setWork: (key, work) => this.#work.set(key, work),
      apply: (event) => this.#apply(event),
      notice: (text) => options.observer.notice?.("warning", text),
      onFault: (error) => this.#break(error),
    });
    this.#placing = new Placing({
      machine: this.machine,
      executor: this.#executor,
      ledger: machine.ledger,
      name: machine.name,
      ownSpeedPercent: machine.speedPercent,
      jobs: options.jobs,
      allowed: options.allowed,
      patienceMs: options.patienceMs,
      timers: this.#timers,
      elsewhere: this.#elsewhere,
      foundations: this.#foundations,
      workOf: (key) => this.#workOf(key),
      apply: (event) => this.#apply(event),
      again: () => this.#placeAgain(),
      onFault: (error) => this.#break(error),
    });
  }

  /** Runs to the end. Rejects only when the machinery itself failed. Either way nothing of the run is left running. */
  async run(started: RunEvent & { kind: "run-started" }): Promise<RunStatus> {
    try {
      this.#apply(started);
      this.#watchForCancel();
      return await this.#end.promise;
    } finally {
      await this.#close();
    }
  }

  /** Goes on with a run whose driver is gone, and ends like `run`. */
  async resume(entries: readonly JournalEntry[]): Promise<RunStatus> {
    const { machine, journal, observer } = this.#options;
    const takingUp = new TakingUp({
      machine: this.machine,
      tasks: this.#tasks,
      results: machine.store.results,
      handover: this.#handover,
      journal,
      context: this.#context,
      name: machine.name,
      apply: (event) => this.#apply(event),
      setWork: (key, work) => this.#work.set(key, work),
    });
    try {
      takingUp.replay(entries, (event, effects) => {
        this.#count(event, effects);
        observer.replayed?.(event);
      });
      if (this.machine.status.execution !== "running") return this.machine.status;
      const outstanding = this.machine.outstanding();
      // nothing is performed before all is known
      this.#busy = true;
      const mesh = await new Promise<RunMesh | null>((resolve) => this.#withMesh(resolve));
      await takingUp.settle(mesh);
      this.#busy = false;
      this.#effects.push(...outstanding.filter(({ kind }) => kind === "resolve" || kind === "cancel-task"));
      this.#placeAgain();
      this.#watchForCancel();
      return await this.#end.promise;
    } finally {
      await this.#close();
    }
  }

  /** Asks the run to stop: the first time gracefully, then at once. */
  cancel(by: string): void {
    if (this.machine.status.execution === "running") this.#apply({ kind: "cancel-requested", by, atMs: Date.now() });
  }

  async #close(): Promise<void> {
    this.#stop.abort();
    this.#timers[Symbol.dispose]();
    const written = this.#executor.close();
    await (this.#mesh?.close(written) ?? written);
  }

  /** Keeps count of tasks without an end, as far as events of before say. */
  #count(event: RunEvent, effects: readonly Effect[]): void {
    if (event.kind === "run-started" || event.kind === "tasks-added") this.#unsettled += event.tasks.length;
    for (const { kind } of effects) if (kind === "task-settled") this.#unsettled--;
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
      this.#placing.round();
    }
  }

  #performOne(effect: Effect): void {
    switch (effect.kind) {
      case "resolve":
        return this.#resolving.resolve(effect.key, effect.round);
      case "place":
        this.#placeWanted = true;
        return;
      case "start":
        return this.#start(effect);
      case "cancel-task":
        return (this.#siteOf(effect.node) ?? this.#executor).cancel(refOf(effect), effect.graceful);
      case "task-settled":
        this.#unsettled--;
        this.#letGo(effect.key);
        this.#work.delete(effect.key);
        return;
      case "finish-run":
        return this.#end.resolve(effect.status);
    }
  }

  /** Others may have the key of a task that is final, and should know who has its result. */
  #letGo(key: string): void {
    const mesh = this.#mesh;
    const work = this.#work.get(key);
    if (!mesh || work === undefined) return;
    const task = this.machine.task(key);
    const at = task?.status.result === "succeeded" && task.node !== null ? mesh.idOf(task.node) : null;
    mesh.giveBack(work.key, at);
  }

  // Where tasks run

  #reports(): SiteReports {
    const { journal, observer } = this.#options;
    return {
      holds: (ref) => this.machine.holds(ref),
      onOutput: ({ key }, stream, bytes) => observer.output?.(key, stream, bytes),
      onResult: ({ key }, work, result, succeeded) => {
        const kept = { task: key, result, exports: exportsOf(work) };
        journal.keep(kept, "executed", this.#placing.speedPercentOf(result.node));
        if (succeeded) this.#handover.take(key, work, result);
        if (succeeded && result.node !== this.#options.machine.name) this.#resolving.made(work, result);
      },
      onEvent: (event) => {
        if (event.kind === "task-finished" || event.kind === "task-lost") this.#placeWanted = true;
        this.#apply(event);
      },
      onReturned: (ref, node, cause, missing) => this.#placing.returned(ref, node, cause, missing),
      onceWritten: (act) => journal.onceWritten(act),
      notice: (text) => observer.notice?.("warning", text),
      onFault: (error) => this.#break(error),
    };
  }

  #start(effect: AttemptRef & { readonly node: string }): void {
    (this.#siteOf(effect.node) ?? this.#executor).start(refOf(effect), this.#workOf(effect.key));
  }

  /** Null for this machine. */
  #siteOf(node: string): RemoteSite | null {
    if (node === this.#options.machine.name) return null;
    return this.#mesh?.sites().find((site) => site.node === node) ?? null;
  }

  /** What a task of this machine builds on is brought here before it starts. */
  #prepareHere(work: TaskWork, signal: () => AbortSignal): TaskWork | Promise<TaskWork> {
    const lacked = this.#mesh?.lackedBy(work) ?? [];
    if (lacked.length === 0 || !this.#mesh) return work;
    return this.#mesh.fetch(lacked, signal()).then(() => work);
  }

  #placeAgain(): void {
    this.#placeWanted = true;
    this.#drain();
  }

  /** Goes on once the mesh is open, or is known not to be there. Nothing is opened for a run that executes nothing. */
  #withMesh(act: (mesh: RunMesh | null) => void): void {
    const { mesh } = this.#options;
    if (mesh === null || this.#mesh !== undefined) return act(this.#mesh ?? null);
    this.#waitsForMesh.push(act);
    if (this.#waitsForMesh.length > 1) return;
    mesh()
      .catch((error: unknown) => {
        if (!(error instanceof MeshError)) throw error;
        this.#options.observer.notice?.("warning", `The run stays on this machine: ${error.message}`);
        return null;
      })
      .then((side) => this.#opened(side))
      .catch((error: unknown) => this.#break(error));
  }

  #opened(side: MeshSide | null): void {
    if (this.#stop.signal.aborted) return;
    const { runId: run, title, actor } = this.#options;
    this.#mesh =
      side?.join({
        run,
        title,
        actor,
        reports: this.#reports(),
        fresh: (key) => this.#executor.fresh(key),
        onRoom: () => this.#placeAgain(),
      }) ?? null;
    if (this.#mesh !== null) this.#placing.use(this.#mesh);
    for (const act of this.#waitsForMesh.splice(0)) act(this.#mesh);
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

function refOf({ key, attempt, lease }: AttemptRef): AttemptRef {
  return { key, attempt, lease };
}
