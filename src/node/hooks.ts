// Hooks: shell files that a task leaves for every task that uses it, to be run before and after their scripts. They travel
// along `use` as variables do.

import type { Hook } from "../store/result.ts";
import type { Written } from "./outputs.ts";

/** Hooks in the order in which they run. Never mutated once made. */
export type Hooks = readonly Hook[];

export const NO_HOOKS: Hooks = [];

const FOLDERS = [
  ["before", "hooks-before"],
  ["after", "hooks-after"],
] as const;

/** The hooks that a task wrote, by name. Files that are no `*.sh` are none. Throws `task.failed` as `Written` does. */
export function writtenHooks(written: Written): Hooks {
  return FOLDERS.flatMap(([when, folder]) =>
    Object.entries(written.entries(folder)).flatMap(([name, script]) =>
      name.endsWith(".sh") ? [{ when, name, script }] : [],
    ),
  );
}

/** The hooks of several tasks, in the order of `use`; one that comes by two ways is one. */
export function joinHooks(lists: readonly Hooks[]): Hooks {
  const sources = lists.filter((hooks) => hooks.length > 0);
  const [first, ...rest] = sources;
  if (!first) return NO_HOOKS;
  if (rest.every((hooks) => hooks === first)) return first;
  const seen = new Set<string>();
  return sources.flat().filter(({ when, name, script }) => {
    const text = JSON.stringify([when, name, script]);
    if (seen.has(text)) return false;
    seen.add(text);
    return true;
  });
}

/** What hooks add to a cache key. */
export function hookParts(hooks: Hooks): Readonly<Record<string, string>> {
  return Object.fromEntries(hooks.map(({ when, name, script }, index) => [`hook ${index} ${when} ${name}`, script]));
}
