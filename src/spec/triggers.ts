// `on`: what starts a run, and what each trigger gives under `init`. All of it is checked; only `cli` starts runs here.

import type { DispatchParam, Trigger, Triggers } from "./definition.ts";
import { cronFault } from "./cron.ts";
import {
  fault,
  isNull,
  itemsOf,
  missing,
  readBoolean,
  readExpression,
  readFields,
  type Reading,
  readOneOf,
  readPlainText,
  readTemplate,
  readTemplates,
  readText,
  within,
} from "./reading.ts";
import { type Link, readKey, readTaskKeys } from "./task/keys.ts";
import type { Entry, Node } from "./yaml.ts";

const COMMON = ["if", "init", "region", "start", "target", "title"];
const CHECKED = [...COMMON, "status-checks"];

/** The keys of each kind of trigger, by its dotted path. */
const TRIGGERS: Readonly<Record<string, readonly string[]>> = {
  cli: ["init", "region", "start", "title", "if", "target"],
  cron: [...CHECKED, "branch", "key", "reset-tool-cache", "schedule"],
  dispatch: [...CHECKED, "key", "params"],
  webhook: [...CHECKED, "key"],
  "cache-rebuild": [...COMMON, "ref"],
  "github.push": CHECKED,
  "github.pull_request": [...CHECKED, "actions"],
  "github.merge_group": [...CHECKED, "actions"],
  "gitlab.push": CHECKED,
  "gitlab.tag-push": CHECKED,
  "gitlab.merge-request": [...CHECKED, "actions"],
  "forgejo.push": CHECKED,
  "forgejo.pull-request": [...CHECKED, "actions"],
};

const GROUPS = ["github", "gitlab", "forgejo"];
const SINGLE = ["cli", "cron", "dispatch", "webhook", "cache-rebuild"];
const KEYED: ReadonlySet<string> = new Set(["cron", "dispatch", "webhook"]);

export const NO_TRIGGERS: Triggers = { cli: null, others: [], initNames: [] };

/** Reads `on`; the tasks that `target` names are added to `links`. */
export function readTriggers(reading: Reading, entry: Entry | undefined, links: Link[]): Triggers {
  if (!entry || isNull(entry.value)) return NO_TRIGGERS;
  const others: { path: string; trigger: Trigger }[] = [];
  let cli: Trigger | null = null;
  within(reading, "trigger", () => {
    const fields = readFields(reading, entry.value, [...GROUPS, ...SINGLE], "`on`");
    for (const [key, field] of fields) {
      if (key === "cli") {
        cli = readTrigger(reading, field, { path: "cli", links });
        continue;
      }
      const read = SINGLE.includes(key)
        ? readMany(reading, field, { path: key, links })
        : readGroup(reading, field, links);
      for (const one of read) others.push(one);
    }
  });
  return { cli, others, initNames: initNamesOf(cli, others) };
}

interface At {
  readonly path: string;
  readonly links: Link[];
}

function readGroup(reading: Reading, entry: Entry, links: Link[]): readonly { path: string; trigger: Trigger }[] {
  const prefix = `${entry.key}.`;
  const events = Object.keys(TRIGGERS).filter((path) => path.startsWith(prefix));
  const fields = readFields(
    reading,
    entry.value,
    events.map((path) => path.slice(prefix.length)),
    `\`on.${entry.key}\``,
  );
  return [...fields.values()].flatMap((field) => readMany(reading, field, { path: prefix + field.key, links }));
}

/** One trigger, a list of them, or nothing: one trigger with its defaults. */
function readMany(reading: Reading, entry: Entry, at: At): readonly { path: string; trigger: Trigger }[] {
  const nodes = entry.value.kind === "list" ? itemsOf(reading, entry.value, `\`on.${at.path}\``) : [entry.value];
  const seen = new Set<string>();
  return nodes.flatMap((node) => {
    if (isNull(node) && KEYED.has(at.path)) return [];
    const trigger = readTrigger(reading, { ...entry, value: node }, at);
    if (trigger.key !== null) {
      if (seen.has(trigger.key))
        fault(
          reading,
          "duplicate-key",
          node,
          `Two triggers of \`on.${at.path}\` have the key ${JSON.stringify(trigger.key)}`,
        );
      seen.add(trigger.key);
    }
    return [{ path: at.path, trigger }];
  });
}

function readTrigger(reading: Reading, { value: node }: Entry, { path, links }: At): Trigger {
  const what = `\`on.${path}\``;
  const fields = readFields(reading, node, TRIGGERS[path] ?? COMMON, what);
  const [init, condition, target, title, key] = ["init", "if", "target", "title", "key"].map((name) =>
    fields.get(name),
  );
  if (!key && KEYED.has(path) && node.kind === "map") missing(reading, node, "key", what);
  const targets = target && !isNull(target.value) ? readTaskKeys(reading, target.value, "target") : [];
  for (const link of targets) links.push(link);
  checkOthers(reading, fields);
  return {
    init: init ? readTemplates(reading, init.value, `${what}'s \`init\``) : {},
    if: condition ? readExpression(reading, condition.value, `${what}'s \`if\``) : null,
    targets: targets.map((link) => link.key),
    title: title && !isNull(title.value) ? readTemplate(reading, title.value, `${what}'s \`title\``) : null,
    params: readParams(reading, fields.get("params")),
    schedule: path === "cron" ? readSchedule(reading, node, fields.get("schedule")) : null,
    key: key ? readKey(reading, key.value, "a trigger's key") : null,
  };
}

/** Keys that are checked for their form only: they speak to the server that sends the events. */
function checkOthers(reading: Reading, fields: ReadonlyMap<string, Entry>): void {
  const start = fields.get("start");
  if (start && !isNull(start.value)) readOneOf(reading, start.value, "`start`", ["automatically", "manually"]);
  const reset = fields.get("reset-tool-cache");
  if (reset && !isNull(reset.value)) readBoolean(reading, reset.value, "`reset-tool-cache`");
  for (const name of ["region", "branch", "ref"]) {
    const entry = fields.get(name);
    if (entry && !isNull(entry.value)) readTemplate(reading, entry.value, `\`${name}\``);
  }
  const actions = fields.get("actions");
  if (actions) for (const item of itemsOf(reading, actions.value, "`actions`")) readText(reading, item, "an action");
  const checks = fields.get("status-checks");
  if (checks) checkStatusChecks(reading, checks.value);
}

function checkStatusChecks(reading: Reading, node: Node): void {
  if (isNull(node)) return;
  if (node.kind === "list") return checkCustom(reading, node);
  if (node.kind === "map" && node.entries.some(({ key }) => key === "default" || key === "custom")) {
    const fields = readFields(reading, node, ["custom", "default"], "`status-checks`");
    const [standard, custom] = [fields.get("default"), fields.get("custom")];
    if (standard) checkDefault(reading, standard.value);
    if (custom) checkCustom(reading, custom.value);
    return;
  }
  checkDefault(reading, node);
}

function checkDefault(reading: Reading, node: Node): void {
  if (node.kind !== "map") {
    readTemplate(reading, node, "`status-checks`");
    return;
  }
  const fields = readFields(reading, node, ["enabled", "name", "start-manually-behavior"], "`status-checks`");
  for (const name of ["enabled", "name"]) {
    const entry = fields.get(name);
    if (entry) readTemplate(reading, entry.value, `\`${name}\``);
  }
  const behavior = fields.get("start-manually-behavior");
  if (behavior) readOneOf(reading, behavior.value, "`start-manually-behavior`", ["succeeded", "waiting"]);
}

function checkCustom(reading: Reading, node: Node): void {
  for (const item of itemsOf(reading, node, "custom status checks")) {
    const fields = readFields(reading, item, ["name", "tasks"], "a status check");
    const [tasks, name] = [fields.get("tasks"), fields.get("name")];
    if (!tasks) missing(reading, item, "tasks", "A status check");
    else if (tasks.value.kind === "list")
      for (const task of itemsOf(reading, tasks.value, "`tasks`")) readText(reading, task, "a task");
    else readText(reading, tasks.value, "`tasks`");
    if (name) readTemplate(reading, name.value, "`name`");
  }
}

function readParams(reading: Reading, entry: Entry | undefined): readonly DispatchParam[] {
  if (!entry) return [];
  const seen = new Set<string>();
  return itemsOf(reading, entry.value, "`params`").flatMap((item) => {
    const param = readParam(reading, item);
    if (!param) return [];
    if (seen.has(param.key))
      fault(reading, "duplicate-key", item, `Two params have the key ${JSON.stringify(param.key)}`);
    seen.add(param.key);
    return [param];
  });
}

function readParam(reading: Reading, node: Node): DispatchParam | null {
  if (node.kind !== "map") {
    const key = readKey(reading, node, "a param's key");
    return key === null ? null : { key, default: null, required: false };
  }
  const fields = readFields(reading, node, ["default", "description", "key", "name", "required", "values"], "a param");
  const keyEntry = fields.get("key");
  if (!keyEntry) missing(reading, node, "key", "A param");
  for (const name of ["name", "description"]) {
    const entry = fields.get(name);
    if (entry && !isNull(entry.value)) readText(reading, entry.value, `\`${name}\``);
  }
  const [standard, values, required] = [fields.get("default"), fields.get("values"), fields.get("required")];
  const allowed = values
    ? itemsOf(reading, values.value, "`values`").flatMap((item) => readText(reading, item, "a value") ?? [])
    : null;
  const chosen =
    standard && !isNull(standard.value) ? readPlainText(reading, standard.value, "a param's `default`") : null;
  if (allowed && standard && chosen !== null && !allowed.includes(chosen)) {
    fault(reading, "invalid-value", standard.value, `The default ${JSON.stringify(chosen)} is not one of the values`);
  }
  const key = keyEntry ? readKey(reading, keyEntry.value, "a param's key") : null;
  if (key === null) return null;
  return { key, default: chosen, required: (required && readBoolean(reading, required.value, "`required`")) ?? false };
}

function readSchedule(reading: Reading, node: Node, entry: Entry | undefined): string | null {
  if (!entry) {
    missing(reading, node, "schedule", "`on.cron`");
    return null;
  }
  const schedule = readPlainText(reading, entry.value, "`schedule`");
  const wrong = schedule === null ? null : cronFault(schedule);
  if (wrong) fault(reading, "cron", entry.value, wrong.message, wrong.advice);
  return schedule;
}

function initNamesOf(cli: Trigger | null, others: readonly { readonly trigger: Trigger }[]): readonly string[] {
  const names = new Set<string>(Object.keys(cli?.init ?? {}));
  for (const { trigger } of others) for (const name of Object.keys(trigger.init)) names.add(name);
  return [...names].toSorted();
}
