// A task while it is read: its fields, and what all kinds have in common. The kinds themselves are beside this file.

import type { After, Agent, EnvConfig, EnvEntry, NotExecuted, Task, TaskCommon } from "../definition.ts";
import type { Expression } from "../expression/syntax.ts";
import type { PackageSignature } from "../packages.ts";
import {
  isEmptyEntry,
  missing,
  placeOf,
  readBoolean,
  readExpression,
  readFields,
  type Reading,
  readTemplate,
  readText,
  startsWithExpression,
  within,
} from "../reading.ts";
import type { Span } from "../source.ts";
import type { Entry, MapNode } from "../yaml.ts";
import { readEnv, readEnvConfig } from "./env.ts";
import { type Link, readKey, readTaskKeys, taskOf } from "./keys.ts";
import { readParallel } from "./parallel.ts";

/** A task with what is still to be checked about it. */
export interface Draft {
  readonly task: Task;
  /** Where the key stands, or would. */
  readonly keySpan: Span;
  readonly links: readonly Link[];
  /** The same list as the task's `references`: filled once all tasks are known. */
  readonly references: string[];
  /** The same list as the task's `after.tasks`: for the condition form, the tasks that it names are added. */
  readonly afterTasks: string[];
  readonly notExecuted: NotExecuted[];
}

export interface TaskOptions {
  /** What the definition's defaults ask for. */
  readonly agent: Agent;
  readonly packages: ReadonlyMap<string, PackageSignature>;
}

/** A task's fields, and the lists that its reading fills. */
export interface Started {
  readonly reading: Reading;
  readonly node: MapNode;
  readonly fields: ReadonlyMap<string, Entry>;
  readonly common: TaskCommon;
  readonly keySpan: Span;
  readonly links: Link[];
  readonly references: string[];
  readonly afterTasks: string[];
  readonly notExecuted: NotExecuted[];
}

/** Stands for a script that could not be read: one that may write anything. */
export const UNREAD_SCRIPT = "$MESH_VALUES $MESH_ARTIFACTS";

/** Reads a task's fields and what every kind has. */
export function startDraft(
  reading: Reading,
  node: MapNode,
  of: { readonly keys: readonly string[]; readonly what: string },
): Started {
  const fields = readFields(reading, node, of.keys, of.what);
  const lists = {
    links: [] as Link[],
    references: [] as string[],
    afterTasks: [] as string[],
    notExecuted: [] as NotExecuted[],
  };
  const keyEntry = fields.get("key");
  if (!keyEntry) missing(reading, node, "key", "A task");
  const started = { reading, node, fields, keySpan: keyEntry?.value ?? node, ...lists };
  return { ...started, common: readCommon(started, keyEntry) };
}

export function draftOf({ keySpan, links, references, afterTasks, notExecuted }: Started, task: Task): Draft {
  return { task, keySpan, links, references, afterTasks, notExecuted };
}

type Uncommon = Omit<Started, "common">;

function readCommon(started: Uncommon, keyEntry: Entry | undefined): TaskCommon {
  const { reading, references, notExecuted } = started;
  const parallel = readParallel(reading, started.fields.get("parallel"));
  if (parallel) markNotExecuted(started, "parallel", "parallel");
  const condition = entryOf(started, "if");
  const autoCancel = entryOf(started, "auto-cancel");
  return {
    key: readOwnKey(reading, keyEntry),
    at: placeOf(reading, started.keySpan),
    after: readAfter(started),
    if: condition ? readExpression(reading, condition.value, "`if`") : null,
    parallel,
    autoCancel: autoCancel ? readTemplate(reading, autoCancel.value, "`auto-cancel`") : null,
    references,
    notExecuted,
  };
}

/** The task's key; empty when it has none that can be used, which is a fault already. */
function readOwnKey(reading: Reading, entry: Entry | undefined): string {
  if (!entry) return "";
  const key = readKey(reading, entry.value, "a task's key");
  if (key === null && entry.value.kind === "scalar") reading.broken.add(String(entry.value.value));
  return key ?? "";
}

function readAfter(started: Uncommon): After {
  const { reading, afterTasks: tasks } = started;
  const entry = entryOf(started, "after");
  if (!entry) return { tasks, condition: null };
  if (startsWithExpression(entry.value)) {
    const condition = within(reading, "after", () => readExpression(reading, entry.value, "`after`"));
    return { tasks, condition };
  }
  for (const key of readLinks(started, entry, "after")) tasks.push(key);
  return { tasks, condition: null };
}

/** The tasks that an entry names, each once; where each is named is kept among the links. */
function readLinks(started: Uncommon, entry: Entry, relation: Link["relation"]): readonly string[] {
  const keys = new Set<string>();
  for (const link of readTaskKeys(started.reading, entry.value, relation)) {
    started.links.push(link);
    keys.add(taskOf(link));
  }
  return [...keys];
}

/** Reads `use`, in its order, each task once. */
export function readUse(started: Started): readonly string[] {
  const entry = entryOf(started, "use");
  return entry ? readLinks(started, entry, "use") : [];
}

export function readEnvironment(started: Started): {
  readonly env: readonly EnvEntry[];
  readonly envConfig: EnvConfig;
} {
  const env = readEnv(started.reading, entryOf(started, "env"));
  return { env, envConfig: readEnvConfig(started.reading, entryOf(started, "env-config"), started.links) };
}

/** Reads `docker`: true, false, "preserve-data" or an expression. */
export function readDocker(started: Started): boolean | "preserve-data" | Expression {
  const entry = entryOf(started, "docker");
  if (!entry) return false;
  const { reading } = started;
  const docker = startsWithExpression(entry.value)
    ? (readExpression(reading, entry.value, "`docker`") ?? false)
    : entry.value.kind === "scalar" && readText(reading, entry.value, "`docker`") === "preserve-data"
      ? "preserve-data"
      : (readBoolean(reading, entry.value, '`docker` (or "preserve-data")') ?? false);
  if (docker !== false) markNotExecuted(started, "docker", "docker");
  return docker;
}

/** The entry of a key that has a value. */
export function entryOf({ reading, fields }: Uncommon, key: string): Entry | undefined {
  const entry = fields.get(key);
  return entry && !isEmptyEntry(reading, entry) ? entry : undefined;
}

/** Notes that a feature of this task is not executed, at the key that asks for it. */
export function markNotExecuted(started: Uncommon, feature: NotExecuted["feature"], key: string): void {
  const at = placeOf(started.reading, started.fields.get(key)?.keySpan ?? started.node);
  started.notExecuted.push({ feature, at });
}
