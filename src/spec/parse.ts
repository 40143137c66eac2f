// A definition's text to its checked form, and everything that is wrong with it at once. Pure: packages are not fetched,
// files are not read. It never evaluates an expression.

import { LIMITS } from "../base/limits.ts";
import { countOf } from "../base/text.ts";
import { HOST_BASE, readBase, readDefaults, readPools, readVault } from "./base.ts";
import { findCycles } from "./cycles.ts";
import type { Definition, NotExecuted, PackageHeader } from "./definition.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { PACKAGE_KEYS, readHeader, readPackage } from "./package-file.ts";
import { BUILT_IN_PACKAGES, type PackageSignature } from "./packages.ts";
import { fault, isNull, itemsOf, placeOf, readFields, type Reading, startReading } from "./reading.ts";
import { checkReferences, type Edge } from "./references.ts";
import { makeSource } from "./source.ts";
import { emptyAgent } from "./task/agent.ts";
import type { Link } from "./task/keys.ts";
import type { Draft, TaskOptions } from "./task/draft.ts";
import { readTask } from "./task/task.ts";
import { NO_TRIGGERS, readTriggers } from "./triggers.ts";
import { type ListNode, type MapNode, type Node, readYaml, spliced } from "./yaml.ts";

export interface ParseOptions {
  /** The file's path, for places and for the forms that a name decides (`rwx-package.yml`, `_snippet.yml`). */
  readonly file: string;
  /** Packages besides the built-in ones whose parameters are known. */
  readonly knownPackages?: ReadonlyMap<string, PackageSignature>;
}

export interface ParseResult {
  /** Null when there is any error. */
  readonly definition: Definition | null;
  readonly diagnostics: readonly Diagnostic[];
}

/** The keys at the top level of a run definition. */
export const RUN_KEYS = ["aliases", "base", "concurrency-pools", "defaults", "on", "package", "tasks", "tool-cache"];

/** Reads and checks a definition. Never throws for bad input. */
export function parseDefinition(text: string, options: ParseOptions): ParseResult {
  const reading = startReading(makeSource(options.file, text));
  const root = readYaml(reading.source, reading.report);
  const packages = new Map([...BUILT_IN_PACKAGES, ...(options.knownPackages ?? [])]);
  const name = options.file.split(/[/\\]/).at(-1) ?? "";
  const definition = root ? readRoot(reading, root, { name, packages }) : null;
  if (!root && reading.report.errors === 0) {
    fault(reading, "missing-key", { start: 0, end: 1 }, 'The definition is empty: it must have the key "tasks"');
  }
  return { definition: reading.report.errors > 0 ? null : definition, diagnostics: reading.report.diagnostics() };
}

interface FileFacts {
  readonly name: string;
  readonly packages: ReadonlyMap<string, PackageSignature>;
}

function readRoot(reading: Reading, root: Node, file: FileFacts): Definition | null {
  const snippet = file.name.startsWith("_");
  if (root.kind === "map" && !(snippet && !root.entries.some((entry) => entry.key === "tasks"))) {
    return readDefinition(reading, root, file);
  }
  return readFragment(reading, root, { ...file, snippet });
}

function readDefinition(reading: Reading, root: MapNode, { name, packages }: FileFacts): Definition | null {
  const published = isPublishedPackage(root, name);
  const allowed = published ? [...RUN_KEYS, ...PACKAGE_KEYS] : RUN_KEYS;
  const fields = readFields(reading, root, allowed, published ? "a package" : "a run definition");
  const links: Link[] = [];
  const notExecuted: NotExecuted[] = [];
  const header: PackageHeader | null = published
    ? readHeader(reading, fields, links)
    : readPackage(reading, fields.get("package"), links, notExecuted);
  const whole = {
    form: header ? "package" : "run",
    base: readBase(reading, fields.get("base"), notExecuted),
    triggers: readTriggers(reading, fields.get("on"), links),
    concurrencyPools: readPools(reading, fields.get("concurrency-pools"), notExecuted),
    toolCacheVault: readVault(reading, fields.get("tool-cache")),
    package: header,
  } as const;
  const agent = readDefaults(reading, fields.get("defaults"), notExecuted);
  const tasks = fields.get("tasks");
  if (!tasks || isNull(tasks.value)) {
    const at = tasks?.keySpan ?? root.entries[0]?.keySpan ?? root;
    fault(reading, "missing-key", at, 'The definition must have the key "tasks", a list with one task or more');
  }
  const drafts = tasks && !isNull(tasks.value) ? readTasks(reading, tasks.value, { agent, packages }) : [];
  const hasTriggers = whole.triggers.cli !== null || whole.triggers.others.length > 0;
  return finish(reading, { whole, drafts, links, notExecuted, hasTriggers });
}

/** A bare task or list of tasks, as a task writes them while it runs; or a file for `include`, which may hold any list. */
function readFragment(
  reading: Reading,
  root: Node,
  { packages, snippet }: FileFacts & { readonly snippet: boolean },
): Definition | null {
  const notExecuted: NotExecuted[] = [];
  const nodes = root.kind === "list" ? [...spliced(root)] : [root];
  const areTasks = nodes.some(
    (node) => node.kind === "map" && node.entries.some(({ key }) => key === "run" || key === "call" || key === "key"),
  );
  if (!areTasks && !snippet) {
    fault(
      reading,
      "wrong-type",
      { start: root.start, end: root.start + 1 },
      "Expected a run definition: a map with the key `tasks`",
    );
    return null;
  }
  const agent = emptyAgent({ line: 1, column: 1 });
  const list: Node = { ...root, kind: "list", items: nodes } satisfies ListNode;
  const drafts = areTasks ? readTasks(reading, list, { agent, packages }) : [];
  const whole = {
    form: "tasks",
    base: HOST_BASE,
    triggers: NO_TRIGGERS,
    concurrencyPools: [],
    toolCacheVault: null,
    package: null,
  } as const;
  return finish(reading, { whole, drafts, links: [], notExecuted, hasTriggers: false });
}

/** A file whose top level is a package's header: by its name, or by what stands there. */
function isPublishedPackage(root: MapNode, name: string): boolean {
  const has = (key: string): boolean => root.entries.some((entry) => entry.key === key);
  if (/^(rwx-package|mint-leaf)\.ya?ml$/.test(name)) return true;
  return !has("on") && !has("package") && (has("parameters") || (has("name") && has("version")));
}

function readTasks(reading: Reading, node: Node, options: TaskOptions): readonly Draft[] {
  if (node.kind === "map") {
    const advice = "Start each task with `- key: NAME`.";
    fault(
      reading,
      "wrong-type",
      node.entries[0]?.keySpan ?? node,
      "Expected `tasks` to be a list, found a map",
      advice,
    );
    return [];
  }
  const items = itemsOf(reading, node, "`tasks`");
  if (items.length === 0 && reading.includes.length === 0 && node.kind === "list") {
    fault(reading, "missing-key", node, "The list of tasks is empty");
  }
  if (items.length > LIMITS.tasks) {
    fault(
      reading,
      "too-large",
      { start: node.start, end: node.start + 1 },
      `The definition has ${countOf(items.length, "task")}; ${LIMITS.tasks} are the most`,
    );
    return [];
  }
  const drafts: Draft[] = [];
  for (const item of items) {
    reading.task = drafts.length;
    const draft = readTask(reading, item, options);
    if (draft) drafts.push(draft);
  }
  reading.task = null;
  return drafts;
}

interface Unfinished {
  readonly whole: Omit<Definition, "tasks" | "notExecuted">;
  readonly drafts: readonly Draft[];
  readonly links: readonly Link[];
  readonly notExecuted: NotExecuted[];
  readonly hasTriggers: boolean;
}

function finish(reading: Reading, { whole, drafts, links, notExecuted, hasTriggers }: Unfinished): Definition {
  const byKey = new Map<string, number>();
  for (const [index, { task, keySpan }] of drafts.entries()) {
    if (task.key === "") continue;
    const first = byKey.get(task.key);
    if (first === undefined) byKey.set(task.key, index);
    else {
      const line = drafts[first]?.task.at.line ?? 0;
      fault(
        reading,
        "duplicate-task",
        keySpan,
        `The key ${JSON.stringify(task.key)} is taken by the task in line ${line}`,
        "Give one of them another key.",
      );
    }
  }
  for (const span of reading.includes) notExecuted.push({ feature: "include", at: placeOf(reading, span) });
  const open = whole.form === "tasks" || reading.includes.length > 0;
  const edges = checkReferences(reading, { drafts, byKey, definition: whole, hasTriggers, open, notExecuted }, links);
  reportCycles(reading, drafts, edges);
  return { ...whole, tasks: drafts.map((draft) => draft.task), notExecuted };
}

function reportCycles(reading: Reading, drafts: readonly Draft[], edges: readonly (readonly Edge[])[]): void {
  const key = (index: number): string => drafts[index]?.task.key ?? "";
  const seen = new Set<string>();
  for (const { path, closing } of findCycles(edges, LIMITS.diagnostics)) {
    const keys = path.length <= 12 ? path.map(key) : [...path.slice(0, 6).map(key), "...", ...path.slice(-5).map(key)];
    const shown = keys.join(" -> ");
    if (seen.has(shown)) continue;
    seen.add(shown);
    const message =
      path.length === 2
        ? `The task ${JSON.stringify(key(path[0] ?? 0))} waits for itself`
        : `The tasks wait for one another: ${shown}`;
    fault(reading, "cycle", closing.span, message, "Take one of the steps out.");
  }
}
