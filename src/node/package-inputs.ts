// What every built-in package is given, and how its common parameters are read.

import { posix } from "node:path";
import { fail } from "../base/errors.ts";
import { makeAsk } from "../sched/ask.ts";
import type { PackageTask } from "../spec/definition.ts";
import type { Finished, ResolveContext } from "./resolve-context.ts";

export interface PackageInputs {
  readonly task: PackageTask;
  readonly parameters: Readonly<Record<string, string>>;
  readonly used: Finished;
  readonly isCached: boolean;
  readonly shared: boolean;
  readonly ttlMs: number | null;
  readonly context: ResolveContext;
}

/** What built-in packages ask for: they move files of this machine's user, and compute little. */
const PACKAGE_CPU_MILLI = 100;

/** What the work of every built-in package has, whatever it makes. */
export function packageWork({ task, used, isCached, shared, ttlMs, context }: PackageInputs) {
  return {
    identity: context.identityOf(task.key),
    task,
    isCached,
    shared,
    ttlMs,
    ask: makeAsk({ cpuMilli: PACKAGE_CPU_MILLI, node: context.nodeName }),
    stack: used.stack,
    inherited: used.variables,
    hooks: used.hooks,
    envConfig: task.envConfig,
    warnings: [],
  } as const;
}

/** Checks a `path` parameter: a folder inside the workspace, "" for the workspace itself. */
export function workspacePath(path: string, task: string): string {
  const normal = posix.normalize(path === "" ? "." : path).replace(/\/$/, "");
  if (normal === ".") return "";
  if (normal.startsWith("/") || normal === ".." || normal.startsWith("../")) {
    return fail(
      "definition.invalid",
      `Cannot put files of task ${task} at ${JSON.stringify(path)}: it is outside the workspace`,
      { hint: 'Give a folder inside the workspace, like "server".' },
    );
  }
  return normal;
}
