// Runs whose driver is gone: which of them a node takes up by itself, and what a run is made of as its journal tells it.

import { dirname } from "node:path";
import { digestOf } from "../base/digest.ts";
import { MeshError } from "../base/errors.ts";
import { type RunId, parseRunId } from "../base/ids.ts";
import type { Definition } from "../spec/definition.ts";
import type { Diagnostic } from "../spec/diagnostic.ts";
import type { Value } from "../spec/expression/value.ts";
import type { RunRecord as StoredRun, Runs } from "../store/io/runs.ts";
import type { DefinitionFile } from "./definition-file.ts";
import { givenUp, isInVain } from "./giving-up.ts";
import type { RunOptions } from "./run-options.ts";
import { type JournalEntry, type RunSummary, type RunView, readRun } from "./run-record.ts";

/** How many of the latest runs are looked at for those to be taken up. */
const MOST_TAKEN_UP = 100;

/** A run that is about to be driven, or to be taken up. */
export interface RunPlan {
  readonly file: DefinitionFile;
  readonly definition: Definition;
  readonly runId: RunId;
  readonly title: string;
  readonly options: RunOptions;
  readonly init: Readonly<Record<string, Value>>;
  readonly event: Value;
  /** Whether its journal is there already. */
  readonly isThere?: boolean;
}

export interface TakenUp {
  readonly plan: RunPlan;
  readonly entries: readonly JournalEntry[];
  readonly diagnostics: readonly Diagnostic[];
}

/** Ids of runs that a node was driving when it ended, oldest first. One that ended it again and again is closed instead. */
export function keptRuns(runs: Runs, nowMs: number): readonly string[] {
  const kept: string[] = [];
  for (const run of runs.list(MOST_TAKEN_UP)) {
    if (run.state !== "interrupted") continue;
    const entries = entriesOf(run.id, runs);
    if (basisOf(entries)?.isKept !== true || entries.some(({ kind }) => kind === "given-up")) continue;
    if (isInVain(entries, nowMs)) giveUp(run, runs, nowMs);
    else kept.push(run.id);
  }
  return kept.toReversed();
}

function giveUp(stored: StoredRun, runs: Runs, nowMs: number): void {
  const entry: JournalEntry = { kind: "given-up", atMs: nowMs };
  runs.append(stored.id, [entry]);
  const view = readable(stored, runs);
  if (view === null) return;
  const summary: RunSummary = { run: givenUp(view.run, nowMs), options: view.options, logs: view.logs };
  runs.finish(stored.id, summary, nowMs);
}

/** Null for one whose journal cannot be read: a node starts all the same. */
function readable(stored: StoredRun, runs: Runs): RunView | null {
  try {
    return readRun(stored, runs);
  } catch (error) {
    if (error instanceof MeshError) return null;
    throw error;
  }
}

/**
 * Makes this process the driver of a run whose driver is gone, and tells what the run is made of. Throws `run.not-found`;
 * `usage.invalid` when it is over, or somebody drives it; `store.corrupt` when its journal does not say enough.
 */
export async function takeUp(id: string, runs: Runs, nowMs: number): Promise<TakenUp> {
  const { parseDefinition } = await import("../spec/parse.ts");
  const stored = runs.get(id);
  const runId = parseRunId(id);
  if (stored === null || runId === null) throw new MeshError("run.not-found", `Cannot find the run ${id}`);
  if (!runs.adopt(id)) throw new MeshError("usage.invalid", `Cannot go on with the run ${id}: it is ${stored.state}`);
  const taken: JournalEntry = { kind: "taken-up", atMs: nowMs };
  runs.append(id, [taken]);
  const entries = entriesOf(id, runs);
  const options = entries.find((entry) => entry.kind === "options")?.options;
  const basis = basisOf(entries);
  const { definition, diagnostics } =
    options === undefined || basis === null
      ? { definition: null, diagnostics: [] }
      : parseDefinition(basis.text, { file: options.path });
  if (options === undefined || basis === null || definition === null)
    throw new MeshError(
      "store.corrupt",
      `Cannot go on with the run ${id}: its journal does not say what it is made of`,
    );
  const { path } = options;
  const { text, init, event } = basis;
  const file = { path, absolutePath: path, directory: dirname(path), text, digest: digestOf(text) };
  const plan = { file, definition, runId, title: stored.title, options, init, event, isThere: true };
  return { plan, entries, diagnostics };
}

function entriesOf(id: string, runs: Runs): readonly JournalEntry[] {
  return runs.events(id).map(({ event }) => event as JournalEntry);
}

function basisOf(entries: readonly JournalEntry[]) {
  return entries.find((entry) => entry.kind === "basis")?.basis ?? null;
}
