// One task of a definition: which kind it is and its checked form, with what it says about other tasks kept for
// references.ts, which knows them all.

import { nearest } from "../../base/text.ts";
import type { Task } from "../definition.ts";
import { fault, headOf, type Reading } from "../reading.ts";
import type { MapNode, Node } from "../yaml.ts";
import { readApp } from "./app.ts";
import { readCommand } from "./command.ts";
import { type Draft, draftOf, startDraft, type TaskOptions } from "./draft.ts";
import { readEmbeddedRun } from "./embedded-run.ts";
import { readPackageTask } from "./package-task.ts";

/** The keys of each kind of task. */
export const TASK_KEYS = {
  command: (
    "after agent auto-cancel background-processes bootstrapping cache docker env env-config filter health-timeout if key outputs " +
    "parallel retry run runner terminate-grace-period-seconds timeout timeout-minutes tool-cache use"
  ).split(" "),
  package: "after auto-cancel cache call env env-config filter if key parallel use with".split(" "),
  "embedded-run": "after auto-cancel cache call if inherit-init init key parallel target".split(" "),
  app: "after agent app background-processes docker env env-config filter if key run runner use".split(" "),
} as const satisfies Record<Task["kind"], readonly string[]>;

const ALL_KEYS: ReadonlySet<string> = new Set(Object.values(TASK_KEYS).flat());

const WHAT: Readonly<Record<Task["kind"], string>> = {
  command: "a command task (one with `run`)",
  package: "a package task (one with `call`)",
  "embedded-run": "an embedded run (a `call` with `init` or `target`)",
  app: "an app task (one with `app`)",
};

/**
 * Reads one task. What cannot be read is a fault in the report and a stand-in here, so that the rest is checked all the same;
 * null only when there is no map to read.
 */
export function readTask(reading: Reading, node: Node, options: TaskOptions): Draft | null {
  if (node.kind !== "map") {
    fault(reading, "wrong-type", node, "Expected a task: a map with `key` and `run` or `call`");
    return null;
  }
  const kind = kindOf(reading, node);
  const started = startDraft(reading, node, { keys: TASK_KEYS[kind], what: WHAT[kind] });
  switch (kind) {
    case "command":
      return draftOf(started, readCommand(started, options));
    case "package":
      return draftOf(started, readPackageTask(started, options));
    case "embedded-run":
      return draftOf(started, readEmbeddedRun(started));
    case "app":
      return draftOf(started, readApp(started, options));
  }
}

/** The kind, by the first of these: has `app`; has `run`; has `call` and a key that only embedded runs have; has `call`. */
function kindOf(reading: Reading, node: MapNode): Task["kind"] {
  const has = (key: string): boolean => node.entries.some((entry) => entry.key === key);
  if (has("app")) return "app";
  if (has("run")) return "command";
  if (has("call")) return has("init") || has("inherit-init") || has("target") ? "embedded-run" : "package";
  const meant = node.entries.flatMap(({ key }) => (ALL_KEYS.has(key) ? [] : (nearest(key, ["run", "call"]) ?? [])));
  if (meant.length === 0) {
    const advice = "`run` is a script; `call` names a package or another definition.";
    fault(reading, "missing-key", headOf(node), 'A task must have the key "run" or "call"', advice);
  }
  return meant[0] === "call" || has("with") ? "package" : "command";
}
