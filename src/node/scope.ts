// The contexts that `${{ }}` expressions read: init, tasks, run, task, event, parallel. Values are looked up when they are
// read, and what a task read of others' artifacts and of the definition's folder is noted, because it enters its key.

import type { RunId } from "../base/ids.ts";
import type { Scope, Value } from "../spec/expression/value.ts";
import type { TaskPaths } from "../exec/backend.ts";
import type { GitHead } from "./git.ts";
import type { Artifact } from "../store/result.ts";
import { type ArtifactInput, wholeArtifact } from "./artifact-input.ts";

/** What a task read beyond its script's text. */
export interface ScopeReads {
  /** By the path at which the task finds them. */
  readonly artifacts: Map<string, ArtifactInput>;
  /** What filters leave of artifacts, by the path of the whole artifact. */
  readonly narrowed: Map<string, ArtifactInput>;
  runDirectory: boolean;
}

export interface FinishedOutputs {
  readonly values: Readonly<Record<string, string>>;
  readonly artifacts: readonly Artifact[];
  readonly id: string;
  readonly key: string;
  readonly url: string;
}

export interface RunScope {
  readonly runId: RunId;
  readonly title: string;
  readonly init: Readonly<Record<string, Value>>;
  readonly event: Value;
  /** Outputs of a task that has succeeded; null while there are none. */
  outputsOf(task: string): FinishedOutputs | null;
}

/** The contexts of one task's expressions. `references` are the tasks that its expressions name. */
export function taskScope(
  run: RunScope,
  task: { key: string; id: string; attempt: number; references: readonly string[] },
  paths: TaskPaths,
): { scope: Scope; reads: ScopeReads } {
  const reads: ScopeReads = { artifacts: new Map(), narrowed: new Map(), runDirectory: false };
  const tasks: Record<string, Value> = {};
  for (const reference of task.references) {
    const outputs = run.outputsOf(reference);
    if (outputs) tasks[reference] = outputsValue(outputs, reads, paths);
  }
  const runContext = {
    id: run.runId as string,
    url: `mesh:run/${run.runId}`,
    title: run.title,
    get dir() {
      reads.runDirectory = true;
      return paths.runDirectory;
    },
  };
  const scope: Scope = {
    init: run.init,
    tasks,
    run: runContext,
    task: {
      id: task.id,
      key: task.key,
      url: `mesh:run/${run.runId}/${task.key}`,
      "attempt-number": task.attempt,
    },
    event: run.event,
    params: {},
    secrets: {},
    vaults: {},
    parallel: {},
  };
  return { scope, reads };
}

/** `event` as the command line gives it: the commit the definition's repository stands at, read when it is asked for. */
export function cliEvent(head: () => GitHead | null): Value {
  let known: GitHead | null | undefined;
  const read = () => (known === undefined ? (known = head()) : known);
  const shortRef = (prefix: string) => {
    const ref = read()?.ref ?? null;
    return ref?.startsWith(prefix) ? ref.slice(prefix.length) : "";
  };
  return {
    git: {
      get sha() {
        return read()?.sha ?? "";
      },
      get ref() {
        return read()?.ref ?? "";
      },
      get branch() {
        return shortRef("refs/heads/");
      },
      get tag() {
        return shortRef("refs/tags/");
      },
    },
  };
}

function outputsValue(outputs: FinishedOutputs, reads: ScopeReads, paths: TaskPaths): Value {
  const artifacts: Record<string, Value> = {};
  for (const artifact of outputs.artifacts) {
    Object.defineProperty(artifacts, artifact.key, {
      enumerable: true,
      get() {
        const whole = wholeArtifact(artifact, paths);
        const input = reads.narrowed.get(whole.path) ?? whole;
        reads.artifacts.set(input.path, input);
        return input.path;
      },
    });
  }
  return { values: outputs.values, artifacts, id: outputs.id, key: outputs.key, url: outputs.url };
}
