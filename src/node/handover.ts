// What the tasks of a run have given so far to those that come after them: files, variables, hooks, outputs.

import type { EnvConfig } from "../spec/definition.ts";
import type { EnvValue, TaskResult } from "../store/result.ts";
import { cloneVariables } from "./clone.ts";
import { joinHooks, NO_HOOKS } from "./hooks.ts";
import type { Finished } from "./resolve-context.ts";
import type { FinishedOutputs } from "./scope.ts";
import { EMPTY_STACK, pushLayer } from "./stack.ts";
import { NO_VARIABLES, type Variables, exportVariables } from "./task-environment.ts";
import type { TaskWork } from "./work.ts";

const NOTHING: Finished = { stack: EMPTY_STACK, variables: NO_VARIABLES, hooks: NO_HOOKS };

export class Handover {
  readonly #finished = new Map<string, Finished>();
  readonly #outputs = new Map<string, FinishedOutputs>();

  /** By task key; a task that has not succeeded has none. */
  get outputs(): ReadonlyMap<string, FinishedOutputs> {
    return this.#outputs;
  }

  /** What a task gives to those that use it; nothing while it has not succeeded. */
  finished(task: string): Finished {
    return this.#finished.get(task) ?? NOTHING;
  }

  /** Takes a result, fresh or from the cache, as what the task `key` gives. */
  take(key: string, work: TaskWork, result: TaskResult): void {
    const { stack, inherited: variables, hooks } = work;
    this.restore({ key, used: { stack, variables, hooks }, envConfig: work.envConfig }, result, exportsOf(work));
  }

  /** The same of a task whose work is not there any more. `exports`: what its variables are when its result does not say. */
  restore(
    { key, used, envConfig }: { readonly key: string; readonly used: Finished; readonly envConfig: EnvConfig },
    result: TaskResult,
    exports: readonly EnvValue[] | null,
  ): void {
    const written = variablesOf(exports ?? result.env);
    this.#finished.set(key, {
      stack: pushLayer(used.stack, key, result.layer),
      variables: exportVariables(used.variables, written, envConfig),
      hooks: joinHooks([used.hooks, result.hooks ?? NO_HOOKS]),
    });
    const { values, artifacts, run, task } = result;
    this.#outputs.set(key, { values, artifacts, id: `${run}.${task}`, key, url: `mesh:run/${run}/${task}` });
  }
}

/** A clone's variables say what was asked for this time: they are no part of its key. Null for all others. */
export function exportsOf(work: TaskWork): readonly EnvValue[] | null {
  if (work.kind !== "clone") return null;
  return [...cloneVariables(work)].map(([name, variable]) => ({ name, ...variable }));
}

function variablesOf(env: readonly EnvValue[]): Variables {
  if (env.length === 0) return NO_VARIABLES;
  return new Map(env.map(({ name, value, cacheKey }) => [name, { value, cacheKey }]));
}
