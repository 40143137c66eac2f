// Attempts on this machine: takes room for them, runs them, keeps their results and says how they ended. It never
// chooses a task; the run machine and the placing do.

import { availableParallelism } from "node:os";
import { type Digest, hexOf } from "../base/digest.ts";
import { MeshError } from "../base/errors.ts";
import type { RunId } from "../base/ids.ts";
import type { Backend, Scratch } from "../exec/backend.ts";
import type { Ask } from "../sched/ask.ts";
import type { CapacityLedger } from "../sched/ledger.ts";
import type { AttemptRef, FailureReason, RunEvent, TaskOutcome } from "../sched/run-event.ts";
import { storeFailure } from "../store/io/failures.ts";
import type { Store } from "../store/io/store.ts";
import { EMPTY_TREE } from "../store/layer.ts";
import type { TaskResult } from "../store/result.ts";
import type { Attempted } from "./attempt.ts";
import type { GpuDevice } from "./gpus.ts";
import { ResultBuffer } from "./result-buffer.ts";
import type { Room, Taken } from "./site.ts";
import type { ScratchPool } from "./scratch.ts";
import type { TaskWork } from "./work.ts";
import { faultText } from "./fault-text.ts";

/** What executing needs of the machine. */
export interface ExecutionMachine {
  readonly name: string;
  readonly store: Store;
  readonly backend: Backend;
  readonly scratch: ScratchPool;
  readonly ledger: CapacityLedger;
  /** All that this machine has; the ledger knows which are free. */
  readonly gpus: readonly GpuDevice[];
  /** How fast one core is (speed.ts); measured when it is first asked for. */
  readonly speedPercent: () => number;
}

export interface ExecutorOptions {
  readonly machine: ExecutionMachine;
  readonly runId: RunId;
  readonly title: string;
  /** Who had the run started, for the task's own variables. */
  readonly actor: string;
  /**
   * Brings here what the work builds on, before it starts; answers at once when all is here. What it throws as `MeshError` sends
   * the attempt back.
   */
  readonly prepare: (ref: AttemptRef, work: TaskWork, signal: () => AbortSignal) => TaskWork | Promise<TaskWork>;
  /** An attempt could not be prepared: it has not started, and its room is free again. */
  readonly onReturned: (ref: AttemptRef, cause: MeshError) => void;
  /** Whether an attempt still holds its lease, so that its result may be kept. */
  readonly holds: (ref: AttemptRef) => boolean;
  readonly onOutput: (ref: AttemptRef, stream: "stdout" | "stderr", bytes: Uint8Array) => void;
  /** A result is there: called before the event that says so. */
  readonly onResult: (ref: AttemptRef, work: TaskWork, result: TaskResult, succeeded: boolean) => void;
  readonly onEvent: (event: RunEvent) => void;
  /** Tasks that may still have to be executed, besides those that are. */
  readonly upcoming: () => number;
  /** Something failed that is no task's fault. */
  readonly onFault: (error: unknown) => void;
}

/** Contexts that wait for tasks: as many as can begin at once. */
const MOST_PREPARED = availableParallelism();

/** This machine refuses no task that fits. */
export type LocalRoom = Exclude<Room, { readonly kind: "refused" }>;

/** Expired before it is stored. */
const NEVER_SERVED = 0;

interface Running {
  readonly ref: AttemptRef;
  readonly ask: Ask;
  /** Gives the room in this process's ledger back. */
  readonly leave: () => void;
  readonly claim: number;
  /** Asks to end; `kill` ends. */
  readonly cancel: AbortController;
  readonly kill: AbortController;
  readonly gpus: readonly GpuDevice[];
}

export class Executor {
  readonly #options: ExecutorOptions;
  /** By lease. */
  readonly #running = new Map<string, Running>();
  readonly #results: ResultBuffer;
  readonly #ends = new Set<Promise<void>>();

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#results = new ResultBuffer(options.machine.store);
  }

  /** A result that this run has made and not written yet. */
  fresh(key: Digest): TaskResult | null {
    const result = this.#results.get(key);
    const isThere =
      result?.layer === null || this.#options.machine.store.layers.has(result?.layer.digest ?? EMPTY_TREE);
    return isThere ? result : null;
  }

  /** Keeps a result that another machine has made, and of which all is here, `ageMs` ago. */
  keep(work: TaskWork, result: TaskResult, ageMs = 0): void {
    const expiresAtMs = work.ttlMs === null ? null : Date.now() + Math.max(0, work.ttlMs - ageMs);
    this.#results.keep(result, work.parts, expiresAtMs);
  }

  /** Attempts that hold room. */
  get size(): number {
    return this.#running.size;
  }

  /** What they hold. */
  *taken(): Generator<Taken> {
    for (const { ref, ask } of this.#running.values()) yield { key: ref.key, ask };
  }

  /** Takes room for an attempt: this process's share of the machine, and the key among all processes. */
  take(key: string, attemptNumber: number, work: TaskWork): LocalRoom {
    const { machine } = this.#options;
    const { ledger } = machine;
    const leaseId = `${this.#options.runId}.${key}`;
    const grant = ledger.grant(leaseId, work.ask);
    if (!grant.granted) return { kind: "full" };
    const { generation } = grant.lease;
    const ref: AttemptRef = { key, attempt: attemptNumber, lease: `${leaseId}#${generation}` };
    const leave = () => void ledger.release(leaseId, generation);
    const room = this.admit(ref, work, leave);
    if (room.kind !== "taken") leave();
    return room;
  }

  /** The same for an attempt that has its share of this process already; `leave` gives that back when the attempt is over. */
  admit(ref: AttemptRef, work: TaskWork, leave: () => void): LocalRoom {
    const { machine, runId } = this.#options;
    const { store, ledger } = machine;
    const { cpuMilli, memoryBytes } = work.ask;
    const claim = store.claims.claim({
      key: work.shared ? work.key : null,
      maxAgeMs: work.ttlMs,
      owner: store.claims.owner(runId, ref.key),
      cpuMilli,
      memoryBytes,
      gpus: work.ask.gpus,
      gpuMemoryBytes: work.ask.gpuMemoryBytes === 0 ? null : work.ask.gpuMemoryBytes,
      capacity: { ...ledger.capacity().total, gpus: ledger.capacity().gpus },
      nowMs: Date.now(),
      ended: this.#results.ended,
    });
    if (claim.kind !== "granted") {
      if (claim.kind === "hit") return { kind: "answered" };
      return claim.kind === "busy" ? { kind: "elsewhere", by: claim.by.run } : { kind: "full" };
    }
    this.#running.set(ref.lease, {
      ref,
      ask: work.ask,
      leave,
      claim: claim.id,
      gpus: machine.gpus.filter(({ index }) => claim.gpus.some((lease) => lease.index === index)),
      cancel: new AbortController(),
      kill: new AbortController(),
    });
    return { kind: "taken", ref };
  }

  /** Runs an attempt that has room; how it ended comes as an event. */
  start(ref: AttemptRef, work: TaskWork): void {
    this.#expect(this.#run(ref, work).catch((error: unknown) => this.#options.onFault(error)));
  }

  /** Closing waits for it. */
  #expect(end: Promise<void>): void {
    this.#ends.add(end);
    void end.then(() => this.#ends.delete(end));
  }

  /** Stops an attempt: within its grace period, or at once. */
  cancel({ lease }: AttemptRef, graceful: boolean): void {
    const running = this.#running.get(lease);
    if (graceful) running?.cancel.abort();
    else running?.kill.abort();
  }

  /** Stops all at once, waits until nothing runs, and gives back what never started. */
  async close(): Promise<void> {
    for (const running of this.#running.values()) running.kill.abort();
    while (this.#ends.size > 0) await Promise.all(this.#ends);
    for (const running of this.#running.values()) this.#release(running);
    this.#results.close();
  }

  async #run(ref: AttemptRef, work: TaskWork): Promise<void> {
    const running = this.#running.get(ref.lease);
    if (running === undefined) throw new Error(`Bug: ${ref.key} starts without a lease`);
    const prepared = this.#prepare(running, work);
    const ready = prepared instanceof Promise ? await prepared : prepared;
    if (ready !== null) await this.#attempt(running, ready);
  }

  /** The work with all that it builds on here; null when that could not be brought. */
  #prepare(running: Running, work: TaskWork): TaskWork | null | Promise<TaskWork | null> {
    const goBack = (error: unknown): null => {
      if (!(error instanceof MeshError) && !running.kill.signal.aborted && !running.cancel.signal.aborted) throw error;
      this.#release(running);
      const cause = error instanceof MeshError ? error : new MeshError("run.interrupted", "Stopped before it began");
      this.#options.onReturned(running.ref, cause);
      return null;
    };
    try {
      const signal = () => AbortSignal.any([running.kill.signal, running.cancel.signal]);
      const prepared = this.#options.prepare(running.ref, work, signal);
      return prepared instanceof Promise ? prepared.catch(goBack) : prepared;
    } catch (error) {
      return goBack(error);
    }
  }

  async #attempt(running: Running, work: TaskWork): Promise<void> {
    const { machine, runId, title, onEvent, onOutput, actor } = this.#options;
    const { ref } = running;
    onEvent({ kind: "task-started", ...ref, atMs: Date.now() });
    const started = performance.now();
    let scratch: Scratch | null = null;
    let outcome: TaskOutcome;
    let clean = false;
    let gone = Promise.resolve();
    let given = gone;
    try {
      // what executes is loaded with the first task that has to be
      const { attempt } = await import("./attempt.ts");
      scratch = machine.scratch.take();
      const attempted = await attempt(work, {
        store: machine.store,
        backend: machine.backend,
        scratch,
        log: machine.store.openLog({ run: runId, task: ref.key }),
        gpus: running.gpus,
        nodeName: machine.name,
        run: runId,
        task: ref.key,
        identity: identityOf({ runId, title, actor }, ref, work),
        onOutput: (stream, bytes) => onOutput(ref, stream, bytes),
        onBegun: () => this.#prepareNext(),
        cancel: running.cancel.signal,
        signal: running.kill.signal,
      });
      this.#keep(running, work, attempted);
      outcome = outcomeOf(attempted);
      ({ clean, gone } = attempted);
    } catch (cause) {
      const error = storeFailure(cause, `run task ${ref.key}`);
      // what one context cannot have, no other can
      if (!(error instanceof MeshError) || error.code === "context.unavailable") throw error;
      outcome = failedToRun(
        error,
        running.cancel.signal.aborted || running.kill.signal.aborted,
        Math.round(performance.now() - started),
      );
    } finally {
      this.#release(running);
      if (scratch !== null) this.#expect((given = machine.scratch.give(scratch, { clean, gone })));
    }
    // what filled the disk goes before anything else has to be written
    if (outcome.reason === "disk-full") {
      await given;
      await machine.store.settled();
    }
    onEvent({ kind: "task-finished", ...ref, atMs: Date.now(), outcome });
  }

  /** While a task runs, the contexts of the next ones are made. */
  #prepareNext(): void {
    const { machine, upcoming } = this.#options;
    if (machine.backend.prepare === undefined) return;
    for (const scratch of machine.scratch.next(Math.min(upcoming(), MOST_PREPARED))) machine.backend.prepare(scratch);
  }

  #keep(running: Running, work: TaskWork, { end, result }: Attempted): void {
    const { holds, onResult } = this.#options;
    if (!holds(running.ref)) return;
    if (end.succeeded && work.isCached)
      this.#results.keep(result, work.parts, work.ttlMs === null ? null : Date.now() + work.ttlMs);
    // a failure, and what is not cached, is never served, but `mesh why` compares with it
    else if (this.#servedFor(work.key) === null) this.#results.keep(result, work.parts, NEVER_SERVED);
    onResult(running.ref, work, result, end.succeeded);
  }

  /** What the key is answered with, whether it is written yet or not. */
  #servedFor(key: Digest): unknown {
    return this.#results.get(key) ?? this.#options.machine.store.results.get(key, Date.now());
  }

  #release({ ref, leave, claim }: Running): void {
    this.#running.delete(ref.lease);
    leave();
    this.#results.release(claim);
  }
}

function outcomeOf({ end, result, messages }: Attempted): TaskOutcome {
  return {
    result: end.succeeded ? "succeeded" : "failed",
    exitCode: end.exit.exitCode,
    signal: end.exit.signal,
    reason: end.reason,
    durationMs: result.durationMs,
    used: end.exit.used,
    message: messages.length === 0 ? null : messages.join("\n"),
  };
}

function failedToRun(error: MeshError, cancelled: boolean, durationMs: number): TaskOutcome {
  const message = faultText(error);
  return {
    result: "failed",
    exitCode: null,
    signal: null,
    reason: cancelled ? "cancelled" : failureOf(error),
    durationMs,
    used: null,
    message: cancelled ? null : message,
  };
}

function failureOf(error: MeshError): FailureReason {
  if (error.code === "store.full") return "disk-full";
  return error.code === "task.failed" ? "output-invalid" : "context-failed";
}

/** Variables that name the attempt itself, under all families of names. None is part of a cache key. */
function identityOf(
  { runId, title, actor }: Pick<ExecutorOptions, "runId" | "title" | "actor">,
  ref: AttemptRef,
  work: TaskWork,
): Readonly<Record<string, string>> {
  const values = {
    RUN_ID: runId,
    RUN_URL: `mesh:run/${runId}`,
    RUN_TITLE: title,
    TASK_ID: `${runId}.${ref.key}`,
    TASK_URL: `mesh:run/${runId}/${ref.key}`,
    TASK_ATTEMPT_NUMBER: String(ref.attempt),
    CACHE_KEY: hexOf(work.key),
    ACTOR: actor,
  };
  const variables: Record<string, string> = {};
  for (const [name, value] of Object.entries(values)) {
    variables[`MESH_${name}`] = value;
    variables[`RWX_${name}`] = value;
    variables[`MINT_${name}`] = value;
  }
  return variables;
}
