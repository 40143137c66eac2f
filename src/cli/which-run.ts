// Which run and which task a command means: the latest run when none is named, the start of an id otherwise.

import { MeshError } from "../base/errors.ts";
import { nearest, printable } from "../base/text.ts";
import type { RunJson, TaskJson } from "../sched/summary.ts";
import type { Archive, RunEntry } from "./archive.ts";
import { shortRun } from "./text/words.ts";

const RUN_PREFIX = /^[0-9a-hjkmnp-tv-z]{1,18}$/;

/** The latest run. Throws `run.not-found` when there is none. */
export function latestRun(archive: Archive): RunEntry {
  return (
    archive.runs(1)[0] ??
    fault("run.not-found", "Cannot find a run: this machine has none yet", "Start one with `mesh run tasks.yml`.")
  );
}

/** The one run whose id starts with `word`; the latest when it is null. Throws `run.not-found` when none or several do. */
export function findRun(archive: Archive, word: string | null): RunEntry {
  if (word === null) return latestRun(archive);
  const found = RUN_PREFIX.test(word) ? archive.startingWith(word) : [];
  if (found.length > 1) {
    const ids = found.slice(0, 5).map((entry) => entry.id);
    return fault(
      "run.not-found",
      `Cannot choose a run: ${found.length} ids start with ${printable(word)}`,
      `They are ${ids.join(", ")}.`,
    );
  }
  return (
    found[0] ??
    fault(
      "run.not-found",
      `Cannot find a run whose id starts with ${printable(word)}`,
      "A machine keeps the runs that were started on it; `mesh attach` watches those that go on elsewhere.",
    )
  );
}

/** Reads `[RUN] TASK`: with one word it is the task, in the latest run. */
export function runAndTask(
  archive: Archive,
  words: readonly string[],
): { readonly entry: RunEntry; readonly task: string } {
  const task = words.at(-1) ?? "";
  return { entry: findRun(archive, words.length > 1 ? (words[0] ?? null) : null), task };
}

/** Reads `[RUN] [TASK] [KEY]`: a first word that starts a run's id is the run, unless the latest run has such a task. */
export function optionalRun(
  archive: Archive,
  words: readonly string[],
): { readonly entry: RunEntry; readonly rest: readonly string[] } {
  const [first] = words;
  if (first === undefined) return { entry: latestRun(archive), rest: [] };
  const latest = latestRun(archive);
  const isTask = archive.run(latest).tasks.some((task) => task.key === first);
  if (!isTask && RUN_PREFIX.test(first) && archive.startingWith(first).length > 0)
    return { entry: findRun(archive, first), rest: words.slice(1) };
  return { entry: latest, rest: words };
}

/** The task of this key. Throws `task.not-found`, with the one that was meant. */
export function findTask(run: RunJson, key: string): TaskJson {
  const task = run.tasks.find((candidate) => candidate.key === key);
  if (task) return task;
  const meant = nearest(
    key,
    run.tasks.map((candidate) => candidate.key),
  );
  const hint =
    meant === null ? `\`mesh results ${shortRun(run.id)}\` shows its tasks.` : `Did you mean ${printable(meant)}?`;
  return fault("task.not-found", `Cannot find task ${printable(key)} in run ${shortRun(run.id)}`, hint);
}

function fault(code: "run.not-found" | "task.not-found", message: string, hint?: string): never {
  throw new MeshError(code, message, hint === undefined ? {} : { hint });
}
