// Attempts on this machine: takes room for them, runs them, keeps their results and says how they ended. It never
// chooses a task; the run machine and the placing do.

import { availableParallelism } from "node:os";
import { type Digest, hexOf } from "../base/digest.ts";
import { MeshError } from "../base/errors.ts";
import type { RunId } from "../base/ids.ts";
import type { Backend, Scratch } from "../exec/backend.ts";
import type { CapacityLedger } from "../sched/ledger.ts";
import type { AttemptRef, FailureReason, RunEvent, TaskOutcome } from "../sched/run-event.ts";
import { storeFailure } from "../store/io/failures.ts";
import type { Store } from "../store/io/store.ts";
import type { TaskResult } from "../store/result.ts";
import { type Attempted, attempt } from "./attempt.ts";
import type { GpuDevice } from "./gpus.ts";
import { ResultBuffer } from "./result-buffer.ts";
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
}

export interface ExecutorOptions {
  readonly machine: ExecutionMachine;
  readonly runId: RunId;
  readonly title: string;
  /** Whether an attempt still holds its lease, so that its result may be kept. */
  readonly holds: (ref: AttemptRef) => boolean;
  readonly onOutput: (task: string, stream: "stdout" | "stderr", bytes: Uint8Array) => void;
  /** A result is there: called before the event that says so. */
  readonly onResult: (task: string, work: TaskWork, result: TaskResult, succeeded: boolean) => void;
  readonly onEvent: (event: RunEvent) => void;
  /** Tasks that may still have to be executed, besides those that are. */
  readonly upcoming: () => number;
  /** Something failed that is no task's fault. */
  readonly onFault: (error: unknown) => void;
}

/** Contexts that wait for tasks: as many as can begin at once. */
const MOST_PREPARED = availableParallelism();

/** Room for an attempt, or why there is none at the moment. */
export type Room =
  | { readonly kind: "taken"; readonly ref: AttemptRef }
  /** Another process runs the same key. */
  | { readonly kind: "elsewhere"; readonly by: string }
  /** Somebody has just finished the same key. */
  | { readonly kind: "answered" }
  | { readonly kind: "full" };

/** Expired before it is stored. */
const NEVER_SERVED = 0;

interface Running {
  readonly ref: AttemptRef;
  readonly leaseId: string;
  readonly generation: number;
  readonly claim: number;
  /** Asks to end; `kill` ends. */
  readonly cancel: AbortController;
  readonly kill: AbortController;
  readonly gpus: readonly GpuDevice[];
}

export class Executor {
  readonly #options: ExecutorOptions;
  readonly #running = new Map<string, Running>();
  readonly #results: ResultBuffer;
  readonly #ends = new Set<Promise<void>>();

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#results = new ResultBuffer(options.machine.store);
  }

  /** A result that this run has made and not written yet. */
  fresh(key: Digest): TaskResult | null {
    return this.#results.get(key);
  }

  /** Attempts that hold room. */
  get size(): number {
    return this.#running.size;
  }

  /** Takes room for an attempt: this process's share of the machine, and the key among all processes. */
  take(key: string, attemptNumber: number, work: TaskWork): Room {
    const { machine } = this.#options;
    const { store, ledger } = machine;
    const leaseId = `${this.#options.runId}.${key}`;
    const grant = ledger.grant(leaseId, work.ask);
    if (!grant.granted) return { kind: "full" };
    const { generation } = grant.lease;
    const { cpuMilli, memoryBytes } = work.ask;
    const claim = store.claims.claim({
      key: work.shared ? work.key : null,
      maxAgeMs: work.ttlMs,
      owner: store.claims.owner(this.#options.runId, key),
      cpuMilli,
      memoryBytes,
      gpus: work.ask.gpus,
      gpuMemoryBytes: work.ask.gpuMemoryBytes === 0 ? null : work.ask.gpuMemoryBytes,
      capacity: { ...ledger.capacity().total, gpus: ledger.capacity().gpus },
      nowMs: Date.now(),
      ended: this.#results.ended,
    });
    if (claim.kind !== "granted") {
      ledger.release(leaseId, generation);
      if (claim.kind === "hit") return { kind: "answered" };
      return claim.kind === "busy" ? { kind: "elsewhere", by: claim.by.run } : { kind: "full" };
    }
    const ref: AttemptRef = { key, attempt: attemptNumber, lease: `${leaseId}#${generation}` };
    this.#running.set(key, {
      ref,
      leaseId,
      generation,
      claim: claim.id,
      gpus: machine.gpus.filter(({ index }) => claim.gpus.some((lease) => lease.index === index)),
      cancel: new AbortController(),
      kill: new AbortController(),
    });
    return { kind: "taken", ref };
  }

  /** Runs an attempt that has room; how it ended comes as an event. */
  start(ref: AttemptRef, work: TaskWork): void {
    const end = this.#run(ref, work).catch((error: unknown) => this.#options.onFault(error));
    this.#ends.add(end);
    void end.then(() => this.#ends.delete(end));
  }

  /** Stops an attempt: within its grace period, or at once. */
  cancel(key: string, graceful: boolean): void {
    const running = this.#running.get(key);
    if (graceful) running?.cancel.abort();
    else running?.kill.abort();
  }

  /** Stops all at once, waits until nothing runs, and gives back what never started. */
  async close(): Promise<void> {
    for (const running of this.#running.values()) running.kill.abort();
    while (this.#ends.size > 0) await Promise.all(this.#ends);
    for (const running of this.#running.values()) this.#release(running);
    this.#results.flush();
  }

  async #run(ref: AttemptRef, work: TaskWork): Promise<void> {
    const { machine, runId, title, onEvent, onOutput } = this.#options;
    const running = this.#running.get(ref.key);
    if (running === undefined) throw new Error(`Bug: ${ref.key} starts without a lease`);
    onEvent({ kind: "task-started", ...ref, atMs: Date.now() });
    const started = performance.now();
    let scratch: Scratch | null = null;
    let outcome: TaskOutcome;
    let clean = false;
    try {
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
        identity: identityOf(runId, title, ref, work),
        onOutput: (stream, bytes) => onOutput(ref.key, stream, bytes),
        onBegun: () => this.#prepareNext(),
        cancel: running.cancel.signal,
        signal: running.kill.signal,
      });
      this.#keep(running, work, attempted);
      outcome = outcomeOf(attempted);
      clean = attempted.clean;
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
      if (scratch !== null) machine.scratch.give(scratch, clean);
    }
    // what filled the disk goes before anything else has to be written
    if (outcome.reason === "disk-full") await machine.store.settled();
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
    onResult(running.ref.key, work, result, end.succeeded);
  }

  /** What the key is answered with, whether it is written yet or not. */
  #servedFor(key: Digest): unknown {
    return this.#results.get(key) ?? this.#options.machine.store.results.get(key, Date.now());
  }

  #release({ ref, leaseId, generation, claim }: Running): void {
    this.#running.delete(ref.key);
    this.#options.machine.ledger.release(leaseId, generation);
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
function identityOf(runId: RunId, title: string, ref: AttemptRef, work: TaskWork): Readonly<Record<string, string>> {
  const values = {
    RUN_ID: runId,
    RUN_URL: `mesh:run/${runId}`,
    RUN_TITLE: title,
    TASK_ID: `${runId}.${ref.key}`,
    TASK_URL: `mesh:run/${runId}/${ref.key}`,
    TASK_ATTEMPT_NUMBER: String(ref.attempt),
    CACHE_KEY: hexOf(work.key),
    ACTOR: process.env["USER"] ?? "mesh",
  };
  const variables: Record<string, string> = {};
  for (const [name, value] of Object.entries(values)) {
    variables[`MESH_${name}`] = value;
    variables[`RWX_${name}`] = value;
    variables[`MINT_${name}`] = value;
  }
  return variables;
}
