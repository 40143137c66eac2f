// Which files of a workspace a task sees, and which of them count for its cache key: RWX-LANGUAGE's filter rules as a
// function of a path. It knows no tree; merged.ts applies it to one.

import { type Glob, matchesGlob, parseGlob } from "./glob.ts";
import { isBelow } from "./tree.ts";

/** One line of a filter; a leading "!" negates it. */
export interface FilterEntry {
  readonly pattern: string;
  readonly cacheKey: "included" | "excluded";
}

/** What a filter says of one path: not there, there, or there without counting for the cache key. */
export type Decision = "hidden" | "kept" | "kept-uncounted";

export interface Filter {
  /** "none" is the filter of a task that has none; an empty list of entries is another thing: it keeps nothing. */
  readonly kind: "none" | "entries";
  readonly entries: readonly FilterEntry[];
  /** Verdict on a path relative to the workspace. A directory is also there when something below it is. */
  decide(path: string, isDirectory: boolean): Decision;
  /** Whether entry number `index` applies to the path, whatever the others say. */
  matches(index: number, path: string, isDirectory: boolean): boolean;
}

/** The filter of a task that has none: all is there and counts. */
export const KEEP_ALL: Filter = { kind: "none", entries: [], decide: () => "kept", matches: () => false };

/**
 * Compiles filter entries. The last entry that matches a path decides. When no entry is positive, what none matches is
 * kept; else it is hidden; an empty list keeps nothing. An entry without wildcards is that exact path and, for a directory, all
 * below it. An entry with wildcards matches whole paths; a negated one that matches a directory also hides all below it.
 * Throws `definition.invalid` for a pattern beyond the bounds of glob.ts.
 */
export function compileFilter(entries: readonly FilterEntry[]): Filter {
  const rules = entries.map(compileRule);
  const keepsRest = rules.length > 0 && rules.every((rule) => rule.negated);
  return {
    kind: "entries",
    entries,
    decide(path) {
      for (let index = rules.length - 1; index >= 0; index--) {
        const rule = rules[index];
        if (!rule || !ruleMatches(rule, path)) continue;
        if (rule.negated) return "hidden";
        return rule.counts ? "kept" : "kept-uncounted";
      }
      return keepsRest ? "kept" : "hidden";
    },
    matches(index, path) {
      const rule = rules[index];
      return rule !== undefined && ruleMatches(rule, path);
    },
  };
}

interface Rule {
  readonly negated: boolean;
  readonly counts: boolean;
  readonly globs: readonly Glob[];
}

function compileRule(entry: FilterEntry): Rule {
  const negated = entry.pattern.startsWith("!");
  const globs = parseGlob(negated ? entry.pattern.slice(1) : entry.pattern);
  return { negated, counts: entry.cacheKey === "included", globs };
}

function ruleMatches(rule: Rule, path: string): boolean {
  for (const glob of rule.globs) {
    if (glob.literal !== null) {
      if (glob.literal === "" || glob.literal === path || isBelow(path, glob.literal)) return true;
    } else if (matchesGlob(glob, path)) return true;
    else if (rule.negated && matchesAbove(glob, path)) return true;
  }
  return false;
}

/** Whether a directory above the path matches. */
function matchesAbove(glob: Glob, path: string): boolean {
  for (let slash = path.lastIndexOf("/"); slash > 0; slash = path.lastIndexOf("/", slash - 1)) {
    if (matchesGlob(glob, path.slice(0, slash))) return true;
  }
  return false;
}
