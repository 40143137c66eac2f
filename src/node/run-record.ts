// What is kept of a run: its journal while it goes, its summary once it is over; and how either is read back as one thing.

import { checkedEvent, replay } from "../sched/journal.ts";
import type { RunEvent } from "../sched/run-event.ts";
import type { RunMachine } from "../sched/run-machine.ts";
import { type RunJson, type TaskOutputsJson, NO_OUTPUTS, runJson } from "../sched/summary.ts";
import { evaluateAfter } from "./after.ts";
import type { RunOptions } from "./run-options.ts";
import type { RunRecord as StoredRun, Runs } from "../store/io/runs.ts";
import type { Value } from "../spec/expression/value.ts";
import type { EnvValue, LogRef, TaskResult } from "../store/result.ts";

/** Where the log of a task of a run is. Times in its frames count from `startedAtMs`. */
export interface TaskLog {
  readonly log: LogRef;
  readonly startedAtMs: number;
}

/** One line of a run's journal: what the run machine took, and what the machine has no use for. */
export type JournalEntry =
  | { readonly kind: "event"; readonly event: RunEvent }
  /** First of all: what would do the run again. */
  | { readonly kind: "options"; readonly options: RunOptions }
  /** What else the run is made of: with it and the options, it can be taken up where it stopped. */
  | { readonly kind: "basis"; readonly basis: RunBasis }
  /** A task has left something. Comes before the event that it finished, or was answered by a result that is not kept here. */
  | ({ readonly kind: "output" } & KeptOutput)
  /** Another process drives it from here on. */
  | { readonly kind: "taken-up"; readonly atMs: number }
  /** No process drives it any more, for good. */
  | { readonly kind: "given-up"; readonly atMs: number };

export interface RunBasis {
  /** Whether the node drives it, which takes it up by itself when it starts again; a command's run ends with the command. */
  readonly isKept: boolean;
  /** The definition, as it was when the run began. */
  readonly text: string;
  readonly init: Readonly<Record<string, Value>>;
  /** The contexts `event.*`. */
  readonly event: Value;
}

export interface KeptOutput {
  readonly task: string;
  readonly result: TaskResult;
  /** Variables that follow from the work and not from the result; null where the result has them. */
  readonly exports: readonly EnvValue[] | null;
}

/** What stays of a run that is over. */
export interface RunSummary {
  readonly run: RunJson;
  readonly options: RunOptions;
  /** By task key; a task that never ran has none. */
  readonly logs: Readonly<Record<string, TaskLog>>;
}

/** A run as it stands now, whoever drives it or drove it. */
export interface RunView extends RunSummary {
  readonly state: StoredRun["state"];
  /** The replayed machine; null for a run that is over, of which the summary is all that is kept. */
  readonly machine: RunMachine | null;
}

/** The documented outputs of a result. */
export function outputsOf(result: TaskResult): TaskOutputsJson {
  const { values, artifacts, links, testResults, problems } = result;
  const isBare = artifacts.length + testResults.length + problems.length === 0 && isEmpty(values) && isEmpty(links);
  if (isBare) return NO_OUTPUTS;
  return {
    values,
    artifacts: artifacts.map(({ key, digest, sizeBytes, name }) => ({ key, digest, sizeBytes, path: name })),
    links,
    testResults,
    problems,
  };
}

/**
 * Reads a run back. One whose process died is shown as aborted, its tasks as its journal last knew them.
 * Throws `store.corrupt` when the journal cannot be that of a run.
 */
export function readRun(stored: StoredRun, runs: Runs): RunView | null {
  if (stored.state === "finished" && stored.summary !== null)
    return { ...(stored.summary as RunSummary), state: stored.state, machine: null };
  const taken: RunEvent[] = [];
  const outputs = new Map<string, TaskOutputsJson>();
  const logs: Record<string, TaskLog> = {};
  let options: RunOptions | null = null;
  for (const { event } of runs.events(stored.id)) {
    const entry = event as JournalEntry;
    if (entry.kind === "options") options = entry.options;
    else if (entry.kind === "event") taken.push(checkedEvent(entry.event));
    else if (entry.kind === "output") {
      const { task, result } = entry;
      outputs.set(task, outputsOf(result));
      logs[task] = { log: result.log, startedAtMs: result.startedAtMs };
    }
  }
  const machine = replay(taken, evaluateAfter);
  const run = runJson(machine, (task) => outputs.get(task.key) ?? NO_OUTPUTS);
  if (run === null || options === null) return null;
  return { run: stored.state === "interrupted" ? interrupted(run) : run, options, logs, state: stored.state, machine };
}

function isEmpty(record: Readonly<Record<string, string>>): boolean {
  for (const _ in record) return false;
  return true;
}

function interrupted(run: RunJson): RunJson {
  return { ...run, status: { execution: "aborted", result: run.status.result } };
}
