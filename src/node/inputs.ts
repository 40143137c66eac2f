// The files a task finds, and what of them enters its key: merged over the layers it uses, narrowed by its filter.

import type { Digest } from "../base/digest.ts";
import type { FilterSpec, Outputs } from "../spec/definition.ts";
import { evaluate, interpolate } from "../spec/expression/evaluate.ts";
import { type Scope, type Value, textOf } from "../spec/expression/value.ts";
import { type Filter, type FilterEntry, KEEP_ALL, compileFilter } from "../store/filter.ts";
import type { LayerView } from "../store/io/layers.ts";
import type { Store } from "../store/io/store.ts";
import { EMPTY_TREE } from "../store/layer.ts";
import type { MaskParent } from "../store/merged.ts";
import { WORKSPACE_IN_TREE } from "../store/paths.ts";
import { inWorkspace } from "../store/tree.ts";
import type { Stack } from "./stack.ts";

/** What a task's filter makes of its files. */
export interface Inputs {
  /** Digest of the workspace files that are there and count. */
  readonly workspace: Digest;
  /** Digests of what the layers hold outside the workspace, bottom first. */
  readonly system: readonly Digest[];
  /** The filter's entries; null when there is none. */
  readonly filter: readonly FilterEntry[] | null;
  /** Topmost workspace paths that are hidden, and the directories above them. */
  readonly hidden: readonly string[];
  readonly maskParents: readonly MaskParent[];
  readonly warnings: readonly string[];
}

const NOTHING: Inputs = {
  workspace: EMPTY_TREE,
  system: [],
  filter: null,
  hidden: [],
  maskParents: [],
  warnings: [],
};

/** What tasks find over the stacks of one run. Tasks that use the same ones share the answers. */
export class InputViews {
  readonly #store: Store;
  readonly #whole = new WeakMap<Stack, Inputs>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Applies the workspace filters of a task. Without one, all files are there and count. */
  inputs(filters: readonly FilterSpec[], scope: Scope, stack: Stack): Inputs {
    const isFiltered = filters.some(({ artifact }) => artifact === null);
    if (!isFiltered) return this.#wholeOf(stack);
    const entries = filters.filter(({ artifact }) => artifact === null).flatMap((filter) => patternsOf(filter, scope));
    return this.through(entries, stack);
  }

  /** What entries of a workspace filter leave; null stands for no filter. */
  through(entries: readonly FilterEntry[] | null, stack: Stack): Inputs {
    if (entries === null) return this.#wholeOf(stack);
    const view = this.#store.layers.view(stack.layers, compileFilter(entries));
    return {
      ...inputsOf(view, stack, entries),
      warnings: view.unmatched
        .filter((pattern) => !pattern.startsWith("!"))
        .map((pattern) => `the filter ${JSON.stringify(pattern)} matches no file`),
    };
  }

  #wholeOf(stack: Stack): Inputs {
    if (stack.layers.length === 0) return NOTHING;
    let inputs = this.#whole.get(stack);
    if (inputs === undefined) {
      inputs = inputsOf(this.#store.layers.view(stack.layers, KEEP_ALL), stack, null);
      this.#whole.set(stack, inputs);
    }
    return inputs;
  }
}

function inputsOf(view: LayerView, stack: Stack, filter: Inputs["filter"]): Inputs {
  return {
    workspace: view.keyDigest,
    system: systemOf(stack),
    filter,
    hidden: view.hidden,
    maskParents: view.maskParents,
    warnings: [],
  };
}

/** Digests of what the layers of a stack hold outside the workspace, bottom first. */
export function systemOf(stack: Stack): readonly Digest[] {
  return stack.layers.map(({ system }) => system).filter((digest) => digest !== EMPTY_TREE);
}

/** Filters of what expressions name (an artifact, `${{ run.dir }}`), by its path. */
export function namedFilters(filters: readonly FilterSpec[], scope: Scope): ReadonlyMap<string, Filter> {
  const named = new Map<string, readonly FilterEntry[]>();
  for (const filter of filters) {
    if (filter.artifact === null) continue;
    const path = interpolate(filter.artifact, scope);
    named.set(path, [...(named.get(path) ?? []), ...patternsOf(filter, scope)]);
  }
  return new Map([...named].map(([path, entries]) => [path, compileFilter(entries)]));
}

/** What of a task's changes becomes its layer, as `outputs.filesystem.filter` says; null for all. Paths are tree paths. */
export function outputFilter(filesystem: Outputs["filesystem"], scope: Scope): OutputFilter | null {
  const { workspaceFilter, systemFilter } = filesystem;
  if (workspaceFilter === null && systemFilter === null) return null;
  const patterns = (entries: typeof workspaceFilter) =>
    entries?.map(({ path }) => interpolate(path, scope).replace(/^(!?)\//, "$1")) ?? null;
  return compileOutputFilter({ workspace: patterns(workspaceFilter), system: patterns(systemFilter) });
}

/** Patterns of an output filter for the workspace and for all else; null keeps everything, no pattern nothing. */
export interface OutputPatterns {
  readonly workspace: readonly string[] | null;
  readonly system: readonly string[] | null;
}

/** Throws `definition.invalid` for a pattern beyond the bounds of glob.ts. */
export function compileOutputFilter(patterns: OutputPatterns): OutputFilter {
  const compile = (list: readonly string[] | null) =>
    list === null ? KEEP_ALL : compileFilter(list.map((pattern) => ({ pattern, cacheKey: "included" })));
  const workspace = compile(patterns.workspace);
  const system = compile(patterns.system);
  return {
    patterns,
    text: JSON.stringify([patterns.workspace, patterns.system]),
    keeps(path) {
      if (path === WORKSPACE_IN_TREE) return true;
      if (!inWorkspace(path)) return system.decide(path, false) !== "hidden";
      return workspace.decide(path.slice(WORKSPACE_IN_TREE.length + 1), false) !== "hidden";
    },
  };
}

export interface OutputFilter {
  readonly patterns: OutputPatterns;
  /** Its patterns, for the key. */
  readonly text: string;
  keeps(path: string): boolean;
}

function patternsOf(filter: FilterSpec, scope: Scope): readonly FilterEntry[] {
  const { entries } = filter;
  if ("kind" in entries) {
    const value = evaluate(entries, scope);
    const list: readonly Value[] = Array.isArray(value) ? value : textOf(value).split("\n");
    return list.flatMap((item) => {
      const pattern = textOf(item).trim();
      return pattern === "" ? [] : [{ pattern, cacheKey: "included" as const }];
    });
  }
  return entries.map(({ path, cacheKey }) => ({ pattern: interpolate(path, scope), cacheKey }));
}
