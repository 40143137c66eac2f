// `env` and `env-config`: a task's variables, which of them count in its cache key, and how those of used tasks merge.

import { printable } from "../../base/text.ts";
import type { EnvConfig, EnvEntry } from "../definition.ts";
import {
  entriesOf,
  fault,
  headOf,
  isNull,
  readBoolean,
  readFields,
  type Reading,
  readOneOf,
  readTemplate,
  readText,
  missing,
  define,
} from "../reading.ts";
import type { Entry } from "../yaml.ts";
import { type Link, readTaskKeys, taskOf } from "./keys.ts";

export const DEFAULT_ENV_CONFIG: EnvConfig = { inherit: "all-used-tasks", merge: {} };

const SHELL_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
// oxlint-disable-next-line no-control-regex
const IMPOSSIBLE_NAME = /[=\u0000]|^$/;

/** Reads `env`: `NAME: value`, or `NAME: {value, cache-key}`. */
export function readEnv(reading: Reading, entry: Entry | undefined): readonly EnvEntry[] {
  if (!entry) return [];
  return entriesOf(reading, entry.value, "`env`").flatMap((variable) => {
    checkName(reading, variable);
    return readVariable(reading, variable) ?? [];
  });
}

function checkName(reading: Reading, { key, keySpan }: Entry): void {
  const shown = JSON.stringify(printable(key));
  if (IMPOSSIBLE_NAME.test(key)) fault(reading, "env-name", keySpan, `${shown} cannot be the name of a variable`);
  else if (!SHELL_NAME.test(key))
    fault(reading, "odd-env-name", keySpan, `A shell cannot read a variable named ${shown}`);
}

function readVariable(reading: Reading, { key: name, value: node }: Entry): EnvEntry | null {
  if (isNull(node)) return { name, value: "", cacheKey: "included" };
  if (node.kind === "scalar") {
    const value = readTemplate(reading, node, `the variable ${name}`);
    return value === null ? null : { name, value, cacheKey: "included" };
  }
  const fields = readFields(reading, node, ["cache", "cache-key", "value"], `the variable ${name}`);
  const given = fields.get("value");
  const old = fields.get("cache");
  const cacheKey = fields.get("cache-key");
  if (node.kind === "map" && !given && !old && !cacheKey) {
    fault(reading, "missing-key", headOf(node), `The variable ${name} must have "value", "cache-key" or both`);
    return null;
  }
  if (old && cacheKey)
    fault(reading, "mutually-exclusive", old.keySpan, 'Give "cache-key" or the old "cache", not both');
  if (old)
    fault(
      reading,
      "deprecated",
      old.keySpan,
      '"cache" in a variable is old',
      'Use "cache-key: included" or "cache-key: excluded".',
    );
  const value = !given ? null : isNull(given.value) ? "" : readTemplate(reading, given.value, `the value of ${name}`);
  const counted = old ? readBoolean(reading, old.value, "`cache`") : null;
  const said = cacheKey ? readOneOf(reading, cacheKey.value, "`cache-key`", ["included", "excluded"] as const) : null;
  return { name, value, cacheKey: said ?? (counted === false ? "excluded" : "included") };
}

/** Reads `env-config`; the tasks it names are added to `links`. */
export function readEnvConfig(reading: Reading, entry: Entry | undefined, links: Link[]): EnvConfig {
  if (!entry) return DEFAULT_ENV_CONFIG;
  const fields = readFields(reading, entry.value, ["inherit", "merge"], "`env-config`");
  return {
    inherit: readInherit(reading, fields.get("inherit"), links),
    merge: readMerge(reading, fields.get("merge")),
  };
}

function readInherit(reading: Reading, entry: Entry | undefined, links: Link[]): EnvConfig["inherit"] {
  if (!entry || isNull(entry.value)) return "all-used-tasks";
  if (entry.value.kind === "list") {
    const named = readTaskKeys(reading, entry.value, "inherit");
    for (const link of named) links.push(link);
    return named.map(taskOf);
  }
  return readOneOf(reading, entry.value, "`inherit`", ["all-used-tasks"] as const) ?? "all-used-tasks";
}

function readMerge(reading: Reading, entry: Entry | undefined): EnvConfig["merge"] {
  const merge: Record<string, { strategy: "join"; by: string } | { strategy: "override" }> = {};
  for (const variable of entry ? entriesOf(reading, entry.value, "`merge`") : []) {
    checkName(reading, variable);
    const what = `the merge of ${variable.key}`;
    const fields = readFields(reading, variable.value, ["by", "strategy"], what);
    const strategyEntry = fields.get("strategy");
    const by = fields.get("by");
    if (!strategyEntry) {
      missing(reading, variable.value, "strategy", what);
      continue;
    }
    const strategy = readOneOf(reading, strategyEntry.value, "`strategy`", ["join", "override"] as const);
    if (strategy === "override") {
      if (by) fault(reading, "mutually-exclusive", by.keySpan, '"by" belongs to the strategy "join"');
      define(merge, variable.key, { strategy });
    } else if (strategy === "join") {
      if (!by) missing(reading, variable.value, "by", `${what} by "join"`);
      else define(merge, variable.key, { strategy, by: readText(reading, by.value, "`by`") ?? "" });
    }
  }
  return merge;
}
