// The environment of a task: what it inherits from the tasks it uses, merged, and what its definition sets.

import { fail } from "../base/errors.ts";
import type { EnvConfig } from "../spec/definition.ts";

export interface Variable {
  readonly value: string;
  readonly cacheKey: "included" | "excluded";
}

/** Variables by name, as a task hands them to those that use it. Never mutated once made. */
export type Variables = ReadonlyMap<string, Variable>;

export const NO_VARIABLES: Variables = new Map();

const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What every task finds set, whatever it uses. */
export const BASE_ENVIRONMENT = {
  LANG: "C.UTF-8",
  USER: "root",
  LOGNAME: "root",
  CI: "true",
  MESH: "true",
  RWX: "true",
} as const;

/**
 * Merges what the used tasks export, in the order of `use`: later wins, except where `env-config.merge` joins.
 * PATH is joined by ":" unless the definition says otherwise; the entries of later tasks come first, as later wins.
 */
export function inheritVariables(
  used: readonly { readonly key: string; readonly variables: Variables }[],
  config: EnvConfig,
): Variables {
  const wanted = config.inherit === "all-used-tasks" ? used : used.filter(({ key }) => config.inherit.includes(key));
  const sources = wanted.filter(({ variables }) => variables.size > 0);
  const [first, ...rest] = sources;
  if (!first) return NO_VARIABLES;
  if (rest.length === 0) return first.variables;
  const merged = new Map(first.variables);
  for (const { variables } of rest) {
    for (const [name, variable] of variables) {
      const before = merged.get(name);
      merged.set(name, before === undefined ? variable : mergeOne(name, before, variable, config));
    }
  }
  return merged;
}

/** Adds what a task wrote to what it inherited. An own PATH comes before the inherited one. */
export function exportVariables(inherited: Variables, own: Variables, config: EnvConfig): Variables {
  if (own.size === 0) return inherited;
  const merged = new Map(inherited);
  for (const [name, variable] of own) {
    const before = merged.get(name);
    merged.set(name, before === undefined ? variable : mergeOne(name, before, variable, config));
  }
  return merged;
}

/** The environment proper: base, inherited, then the definition's own entries. PATH always ends with the system's. */
export function composeEnvironment(
  inherited: Variables,
  own: readonly { readonly name: string; readonly value: string }[],
): Record<string, string> {
  const environment: Record<string, string> = { ...BASE_ENVIRONMENT, PATH: SYSTEM_PATH };
  for (const [name, variable] of inherited) {
    environment[name] = name === "PATH" ? joinUnique(variable.value, SYSTEM_PATH, ":") : variable.value;
  }
  for (const { name, value } of own) {
    if (value.includes("\0")) fail("definition.invalid", `Cannot set ${name}: its value holds a NUL character`);
    environment[name] = value;
  }
  return environment;
}

function mergeOne(name: string, before: Variable, after: Variable, config: EnvConfig): Variable {
  const strategy =
    config.merge[name] ??
    (name === "PATH" ? { strategy: "join" as const, by: ":" } : { strategy: "override" as const });
  if (strategy.strategy === "override") return after;
  const value =
    name === "PATH"
      ? joinUnique(after.value, before.value, strategy.by)
      : joinUnique(before.value, after.value, strategy.by);
  const excluded = before.cacheKey === "excluded" && after.cacheKey === "excluded";
  return { value, cacheKey: excluded ? "excluded" : "included" };
}

/** Joins two lists and keeps the first of equal entries, so that diamonds of `use` do not repeat them. */
function joinUnique(left: string, right: string, separator: string): string {
  if (separator === "") return left + right;
  return [...new Set([...left.split(separator), ...right.split(separator)])].join(separator);
}
