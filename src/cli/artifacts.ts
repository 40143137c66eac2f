// Which artifacts `[RUN] [TASK] [KEY]` means.

import { MeshError } from "../base/errors.ts";
import { nearest, printable } from "../base/text.ts";
import type { Artifact } from "../store/result.ts";
import type { Archive, RunEntry } from "./archive.ts";
import { shortRun } from "./text/words.ts";
import { findTask, optionalRun } from "./which-run.ts";

export interface FoundArtifact {
  readonly task: string;
  readonly artifact: Artifact;
}

export interface FoundArtifacts {
  readonly entry: RunEntry;
  /** What was named beside the run. */
  readonly task: string | null;
  readonly key: string | null;
  readonly found: readonly FoundArtifact[];
}

/** Finds them. Throws `run.not-found`, `task.not-found`, and `artifact.not-found` for a key that the task did not put out. */
export function artifactsOf(archive: Archive, words: readonly string[]): FoundArtifacts {
  const { entry, rest } = optionalRun(archive, words);
  const [task = null, key = null] = rest;
  const run = archive.run(entry);
  if (task !== null) findTask(run, task);
  const tasks =
    task === null ? run.tasks.filter(({ outputs }) => outputs.artifacts.length > 0).map((one) => one.key) : [task];
  const all = tasks.flatMap((one) => archive.artifacts(entry, one).map((artifact) => ({ task: one, artifact })));
  if (key === null) return { entry, task, key, found: all };
  const found = all.filter(({ artifact }) => artifact.key === key);
  if (found.length === 0) {
    const meant = nearest(
      key,
      all.map(({ artifact }) => artifact.key),
    );
    throw new MeshError(
      "artifact.not-found",
      `Cannot find artifact ${printable(key)} of task ${printable(task ?? "")} in run ${shortRun(entry.id)}`,
      {
        hint: meant === null ? "`mesh artifacts list` shows what a run left." : `Did you mean ${printable(meant)}?`,
      },
    );
  }
  return { entry, task, key, found };
}
