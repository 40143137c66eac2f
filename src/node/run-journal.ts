// Writes a run's journal: events in batches while something executes, one row at the end. A run that is answered from the
// cache alone writes that one row and no event.

import type { Digest } from "../base/digest.ts";
import { MeshError } from "../base/errors.ts";
import type { RunId } from "../base/ids.ts";
import type { RunEvent } from "../sched/run-event.ts";
import type { RunMachine } from "../sched/run-machine.ts";
import { type TaskOutputsJson, NO_OUTPUTS, runJson } from "../sched/summary.ts";
import type { Store } from "../store/io/store.ts";
import type { RunOptions } from "./run-options.ts";
import {
  type JournalEntry,
  type KeptOutput,
  type RunBasis,
  type RunSummary,
  type TaskLog,
  outputsOf,
} from "./run-record.ts";

/** How long events may wait for others to be written with. */
const FLUSH_MS = 100;

/** Messages that other processes send to the one that drives a run. */
export interface RunMessage {
  readonly kind: "cancel";
  /** Who asks, for people. */
  readonly by: string;
}

export interface JournalOptions {
  readonly id: RunId;
  readonly title: string;
  readonly options: RunOptions;
  /** Asked when something is executed. */
  readonly basis: () => RunBasis;
  /** Whether the run's journal is there already: it is taken up. */
  readonly isThere?: boolean;
}

export class RunJournal {
  readonly #store: Store;
  readonly #runId: RunId;
  readonly #title: string;
  readonly #options: RunOptions;
  readonly #basis: () => RunBasis;
  readonly #pending: JournalEntry[];
  /** To be done once what is pending is written. */
  readonly #onceWritten: (() => void)[] = [];
  readonly #outputs = new Map<string, TaskOutputsJson>();
  readonly #logs: Record<string, TaskLog> = {};
  readonly #learnt: { identity: string; durationMs: number }[] = [];
  readonly #used: Digest[] = [];
  /** Exit codes of tasks that were answered from the cache: a hit replays that too. */
  readonly #replayed = new Map<string, number>();
  readonly #createdAtMs = Date.now();
  #created = false;
  #timer: Timer | null = null;

  constructor(store: Store, run: JournalOptions) {
    this.#store = store;
    this.#basis = run.basis;
    this.#created = run.isThere === true;
    this.#runId = run.id;
    this.#title = run.title;
    this.#options = run.options;
    this.#pending = this.#created ? [] : [{ kind: "options", options: run.options }];
  }

  /** Takes an event that the machine has taken. Written soon if anything executes, else never. */
  append(event: RunEvent): void {
    this.#pending.push({ kind: "event", event });
    if (event.kind === "task-placed" && !this.#created) this.open();
    if (this.#created) this.#timer ??= setTimeout(() => this.#flushSoon(), FLUSH_MS);
  }

  /** Makes the run known to other processes. */
  open(): void {
    if (this.#created) return;
    this.#store.runs.create({ id: this.#runId, title: this.#title, definition: this.#options.path }, this.#createdAtMs);
    this.#created = true;
    this.#pending.splice(1, 0, { kind: "basis", basis: this.#basis() });
    this.#flush();
  }

  /**
   * Takes what a task left, before the event that says so. "found": the result answered it, and this store does not keep it
   * under its key. `speedPercent`: of the machine that executed it; learnt durations are those of a machine at 100.
   */
  keep(kept: KeptOutput, how: "executed" | "hit" | "found", speedPercent = 100): void {
    this.recall(kept, how);
    if (how !== "hit" || kept.exports !== null) this.#pending.push({ kind: "output", ...kept });
    const { identity, durationMs } = kept.result;
    if (how === "executed") this.#learnt.push({ identity, durationMs: Math.round((durationMs * speedPercent) / 100) });
  }

  /** The same of a task whose output is in the journal. */
  recall({ task, result }: KeptOutput, how: "executed" | "hit" | "found"): void {
    const outputs = outputsOf(result);
    if (outputs !== NO_OUTPUTS) this.#outputs.set(task, outputs);
    this.#logs[task] = { log: result.log, startedAtMs: result.startedAtMs };
    if (how === "executed") return;
    if (how === "hit") this.#used.push(result.key);
    this.#replayed.set(task, result.exitCode);
  }

  /** Does something once all that was appended so far is on the disk. */
  onceWritten(act: () => void): void {
    this.#onceWritten.push(act);
  }

  /** Protects content from pruning while the run lives; says what of it is gone. */
  pin(digests: readonly Digest[], kind: "layer" | "blob"): readonly Digest[] {
    return this.#store.runs.pin(this.#runId, digests, kind);
  }

  /** Who has asked to cancel the run since the last time. */
  cancelRequests(): readonly string[] {
    if (!this.#created) return [];
    return (this.#store.runs.receive(this.#runId) as readonly RunMessage[]).map(({ by }) => by);
  }

  /** Closes the run and says what became of it. */
  finish(machine: RunMachine): RunSummary {
    const decided = runJson(machine, (task) => this.#outputs.get(task.key) ?? NO_OUTPUTS);
    if (decided === null) throw new Error("Bug: a run ends that has not started");
    const run = {
      ...decided,
      tasks: decided.tasks.map((task) => ({ ...task, exitCode: this.#replayed.get(task.key) ?? task.exitCode })),
    };
    const summary: RunSummary = { run, options: this.#options, logs: this.#logs };
    this.#stopTimer();
    if (this.#created) this.#flush();
    else
      this.#store.runs.create(
        { id: this.#runId, title: this.#title, definition: this.#options.path },
        this.#createdAtMs,
      );
    this.#store.runs.finish(this.#runId, summary, Date.now());
    this.#tellWritten();
    this.#store.durations.learn(this.#learnt);
    this.#store.results.touch(this.#used);
    return summary;
  }

  /**
   * Writes what is pending, if it can be, of a run that the machinery could not bring to its end, and lets another driver take it
   * up. What stopped the run comes first.
   */
  abandon(): void {
    this.#stopTimer();
    if (!this.#created) return;
    this.#flushSoon();
    this.#unlessFull(() => this.#store.runs.release(this.#runId));
  }

  /** What cannot be written now (a full disk) stays for the next time; the last time it is an error. */
  #flushSoon(): void {
    this.#unlessFull(() => this.#flush());
  }

  #unlessFull(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
    }
  }

  #flush(): void {
    this.#stopTimer();
    if (this.#pending.length === 0) return;
    this.#store.runs.append(this.#runId, this.#pending);
    this.#pending.length = 0;
    this.#tellWritten();
  }

  #tellWritten(): void {
    for (const act of this.#onceWritten.splice(0)) act();
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
