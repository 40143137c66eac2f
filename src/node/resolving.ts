// What becomes of a task whose needs are met: skipped, answered by a result that is known here or anywhere in the mesh, to be
// executed, or refused. It places nothing.

import type { Digest } from "../base/digest.ts";
import { MeshError } from "../base/errors.ts";
import type { RunEvent } from "../sched/run-event.ts";
import type { RunMachine } from "../sched/run-machine.ts";
import type { Task } from "../spec/definition.ts";
import type { StoredResult } from "../store/io/results.ts";
import type { TaskResult } from "../store/result.ts";
import type { Executor } from "./executor.ts";
import { faultText } from "./fault-text.ts";
import type { Foundations } from "./foundations.ts";
import { type Handover, exportsOf } from "./handover.ts";
import type { FoundResult } from "./remote/result-finder.ts";
import type { RunMesh } from "./remote/run-mesh.ts";
import { resolveTask } from "./resolve.ts";
import type { ResolveContext } from "./resolve-context.ts";
import type { RunJournal } from "./run-journal.ts";
import type { Resolution, TaskWork } from "./work.ts";

export interface ResolvingOptions {
  readonly machine: RunMachine;
  readonly executor: Executor;
  readonly tasks: ReadonlyMap<string, Task>;
  readonly context: ResolveContext;
  readonly handover: Handover;
  readonly foundations: Foundations;
  readonly journal: RunJournal;
  /** Goes on once the mesh is open, or is known not to be there. */
  readonly withMesh: (act: (mesh: RunMesh | null) => void) => void;
  /** Why no machine could ever run it. */
  readonly neverFits: (work: TaskWork) => MeshError | null;
  readonly setWork: (key: string, work: TaskWork) => void;
  readonly apply: (event: RunEvent) => void;
  readonly notice: (text: string) => void;
  readonly onFault: (error: unknown) => void;
}

/** A task and the round of it that is to be answered. */
interface Asked {
  readonly key: string;
  readonly round: number;
}

export class Resolving {
  readonly #options: ResolvingOptions;
  /** Results of other machines that this store does not keep under their keys, since their layers are there. */
  readonly #made = new Map<Digest, TaskResult>();

  constructor(options: ResolvingOptions) {
    this.#options = options;
  }

  resolve(key: string, round: number): void {
    const { tasks, machine, context } = this.#options;
    const asked = { key, round };
    const task = tasks.get(key);
    if (task === undefined) throw new Error(`Bug: no task ${key} to resolve`);
    try {
      const resolution = resolveTask(task, machine.task(key)?.attempt ?? 1, context);
      if (!(resolution instanceof Promise)) return this.#resolved(asked, resolution);
      resolution
        .then((resolved) => this.#resolved(asked, resolved))
        .catch((error: unknown) => this.#refused(asked, error));
    } catch (error) {
      this.#refused(asked, error);
    }
  }

  /** Another machine has made this for the run: the next task of the same key is answered by it. */
  made(work: TaskWork, result: TaskResult): void {
    if (!work.isCached) return;
    this.#options.withMesh((mesh) => {
      if (mesh?.hasAllOf(result) === true) this.#options.executor.keep(work, result);
      else if (work.shared) this.#made.set(work.key, result);
    });
  }

  #resolved(asked: Asked, resolution: Resolution): void {
    const { apply, notice, executor, context } = this.#options;
    const atMs = Date.now();
    if (resolution.kind === "skip") return apply({ kind: "task-resolved", ...asked, atMs, outcome: { kind: "skip" } });
    const { work } = resolution;
    for (const text of work.warnings) notice(`${asked.key}: ${text}`);
    if (work.shared) {
      const fresh = executor.fresh(work.key);
      if (fresh !== null) return this.#hit(asked, work, fresh);
      const { results } = context.store;
      const hit = results.get(work.key, atMs, work.ttlMs);
      if (hit !== null) {
        if (results.untrusted(hit).length === 0) return this.#hit(asked, work, hit.result);
        return this.#hitIfSound(asked, work, hit);
      }
    }
    this.#lookElsewhere(asked, work);
  }

  /** What another machine has made is a hit as well; its files stay there until they are needed. */
  #lookElsewhere(asked: Asked, work: TaskWork): void {
    this.#options.withMesh((mesh) => {
      const made = work.shared ? this.#made.get(work.key) : undefined;
      if (made !== undefined && mesh?.isWhole(made) === true) return this.#hit(asked, work, made, "found");
      this.#made.delete(work.key);
      const finding = work.shared ? (mesh?.find(work) ?? null) : null;
      if (mesh === null || finding === null) return this.#missed(asked, work);
      this.#searched(asked, work, { mesh, finding, anew: false }).catch((error: unknown) =>
        this.#refused(asked, error),
      );
    });
  }

  async #searched(asked: Asked, work: TaskWork, search: Search): Promise<void> {
    const { mesh, finding, anew } = search;
    // what is built in runs here alone; all else is claimed at the same time, and given back when there is a result
    const claim = work.kind === "command" ? mesh.claim(work.key, anew) : null;
    const found = await finding;
    if (found !== null) {
      mesh.giveBack(work.key, found.at);
      return this.#hitElsewhere(asked, work, mesh, found);
    }
    const answer = claim === null ? null : await claim;
    if (this.#options.context.signal.aborted) return;
    if (answer === null || answer.kind === "granted") return this.#missed(asked, work);
    if (answer.kind === "result") {
      const again = anew ? null : mesh.find(work);
      return again === null
        ? this.#missed(asked, work)
        : this.#searched(asked, work, { mesh, finding: again, anew: true });
    }
    const { apply, context } = this.#options;
    apply({ kind: "task-deferred", ...asked, atMs: Date.now(), elsewhere: answer.elsewhere });
    await answer.freed;
    if (!context.signal.aborted) apply({ kind: "task-undeferred", ...asked, atMs: Date.now() });
  }

  #hitElsewhere(asked: Asked, work: TaskWork, mesh: RunMesh, { result, ageMs }: FoundResult): void {
    const isKept = mesh.hasAllOf(result) && work.isCached;
    if (isKept) this.#options.executor.keep(work, result, ageMs);
    this.#hit(asked, work, result, isKept ? "hit" : "found");
  }

  #hit(asked: Asked, work: TaskWork, result: TaskResult, how: "hit" | "found" = "hit"): void {
    const { journal, handover, apply } = this.#options;
    journal.keep({ task: asked.key, result, exports: exportsOf(work) }, how);
    handover.take(asked.key, work, result);
    const outcome = { kind: "hit", cacheKey: work.key, hitFrom: result.run } as const;
    apply({ kind: "task-resolved", ...asked, atMs: Date.now(), outcome });
  }

  /** What was written before the machine last started is read again before it is built on. */
  #hitIfSound(asked: Asked, work: TaskWork, hit: StoredResult): void {
    const { store, signal } = this.#options.context;
    store
      .trust(hit, signal)
      .then((sound) => (sound ? this.#hit(asked, work, hit.result) : this.#lookElsewhere(asked, work)))
      .catch((error: unknown) => this.#refused(asked, error));
  }

  #missed(asked: Asked, work: TaskWork): void {
    const { neverFits, setWork, apply } = this.#options;
    const refusal = neverFits(work);
    if (refusal !== null) return this.#refused(asked, refusal);
    setWork(asked.key, work);
    const outcome = { kind: "miss", cacheKey: work.key, ask: work.ask, shared: work.shared } as const;
    apply({ kind: "task-resolved", ...asked, atMs: Date.now(), outcome });
  }

  #refused(asked: Asked, error: unknown): void {
    const { context, onFault, apply } = this.#options;
    if (context.signal.aborted) return;
    if (!(error instanceof MeshError)) return onFault(error);
    if ((error.code === "blob.missing" || error.code === "blob.corrupt") && this.#remakeUnder(asked.key)) return;
    const refusal = { code: error.code, message: faultText(error), line: error.place?.line ?? null };
    apply({ kind: "task-refused", ...asked, atMs: Date.now(), refusal });
  }

  /** Has the layers made again that a task was to be resolved over and that are gone; false when none is. */
  #remakeUnder(key: string): boolean {
    const { tasks, context, foundations, apply } = this.#options;
    const task = tasks.get(key);
    if (task === undefined || task.kind === "embedded-run") return false;
    const lost = foundations.lostUnder(task.use.map((used) => context.finished(used).stack));
    for (const maker of lost)
      apply({ kind: "output-lost", key: maker, reason: "What it left is gone from the store", atMs: Date.now() });
    return lost.size > 0;
  }
}

interface Search {
  readonly mesh: RunMesh;
  readonly finding: Promise<FoundResult | null>;
  /** Whether the key is to be had although its result was pointed at. */
  readonly anew: boolean;
}
