// Layers laid over one another, and a filter laid over the outcome: what a task would find, computed from trees alone, by
// the rules of overlayfs (Documentation/filesystems/overlayfs.rst: whiteouts and opaque directories).

import type { Digest } from "../base/digest.ts";
import type { Filter } from "./filter.ts";
import { WORKSPACE_IN_TREE } from "./paths.ts";
import { comparePaths, isBelow, parentOf, type Tree, type TreeEntry } from "./tree.ts";
import { treeDigest } from "./tree-codec.ts";

interface MergeOptions {
  /**
   * Keep whiteouts and opaque marks, for an outcome that is itself a layer over others. Without, the outcome is the plain
   * view with nothing below it.
   */
  readonly asLayer: boolean;
}

/** Lays trees over one another, bottom first. Hardlinks are numbered anew; a file whose partners are gone has none. */
export function mergeTrees(trees: readonly Tree[], options: MergeOptions = { asLayer: false }): Tree {
  return renumber(mergePlaced(trees, options), options.asLayer);
}

/** Like `mergeTrees` for a layer or a plain view, with the number of the tree that each entry was taken from. */
export function mergeWithSources(
  trees: readonly Tree[],
  options: MergeOptions,
): { readonly tree: Tree; readonly sources: readonly number[] } {
  const placed = mergePlaced(trees, options);
  return { tree: renumber(placed, options.asLayer), sources: placed.map((each) => each.layer) };
}

function mergePlaced(trees: readonly Tree[], options: MergeOptions): readonly Placed[] {
  const merged = fold(trees);
  return options.asLayer ? withoutIdleWhiteouts(merged) : merged.filter((placed) => placed.entry.kind !== "whiteout");
}

function fold(trees: readonly Tree[]): readonly Placed[] {
  let merged: readonly Placed[] = [];
  for (const [layer, tree] of trees.entries()) {
    const upper = tree.map((entry) => ({ entry, layer, merges: 1 }));
    merged = merged.length === 0 ? upper : overlay(merged, upper);
  }
  return merged;
}

/** A whiteout below an opaque directory hides nothing, and overlayfs would show its name. */
function withoutIdleWhiteouts(placed: readonly Placed[]): readonly Placed[] {
  let opaque: string | null = null;
  return placed.filter(({ entry }) => {
    if (opaque !== null && !isBelow(entry.path, opaque)) opaque = null;
    if (opaque === null && entry.opaque) opaque = entry.path;
    return opaque === null || entry.kind !== "whiteout";
  });
}

/**
 * Whether the kernel would show the name of a whiteout of this stack: it does so in a directory to which only one layer
 * contributes, since it merges nothing there.
 */
export function showsWhiteouts(trees: readonly Tree[]): boolean {
  const open: Placed[] = [];
  for (const placed of fold(trees)) {
    const { path, kind } = placed.entry;
    while (open.length > 0 && !isBelow(path, open.at(-1)?.entry.path ?? "")) open.pop();
    if (kind === "whiteout" && open.at(-1)?.merges === 1) return true;
    if (kind === "directory") open.push(placed);
  }
  return false;
}

/**
 * Directories to lay empty below a stack of layers, so that directories with whiteouts merge with something. Paths in tree
 * order, with all directories above; none when there are no whiteouts.
 */
export function underlayDirectories(trees: readonly Tree[]): readonly string[] {
  const directories = new Set<string>();
  for (const tree of trees) {
    for (const entry of tree) {
      if (entry.kind !== "whiteout") continue;
      for (let path = parentOf(entry.path); path !== "" && !directories.has(path); path = parentOf(path))
        directories.add(path);
    }
  }
  return [...directories].toSorted(comparePaths);
}

/** An entry and the number of the layer it comes from, 0 for the lowest. */
interface Placed {
  readonly entry: TreeEntry;
  readonly layer: number;
  /** Layers whose directories merge here, this one included. */
  readonly merges: number;
}

/** A directory that a mask has to repeat with its own attributes, because something below it is hidden. */
export interface MaskParent {
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface FilteredView {
  /** Digest of the workspace's entries that are there and count, as a tree. The workspace's own directory is not among them. */
  readonly keyDigest: Digest;
  /** The entries behind `keyDigest`. */
  readonly keyTree: Tree;
  /** Topmost hidden paths, as tree paths ("workspace/a"); a directory of which nothing is there is one. Sorted. */
  readonly hidden: readonly string[];
  /** Directories above hidden paths, for `layers.mask`. */
  readonly maskParents: readonly MaskParent[];
  /** Entries that are there, directories included. */
  readonly keptCount: number;
  /** Patterns of the filter that matched nothing. */
  readonly unmatched: readonly string[];
}

/** Applies a filter to the workspace part of a merged view. Entries outside the workspace are left alone and not counted. */
export function applyFilter(view: Tree, filter: Filter): FilteredView {
  const entries = view.filter((entry) => isBelow(entry.path, WORKSPACE_IN_TREE));
  if (filter.kind === "none") {
    const keyTree = renumber(
      entries.map((entry) => ({ entry, layer: 0, merges: 1 })),
      false,
    );
    return {
      keyDigest: treeDigest(keyTree),
      keyTree,
      hidden: [],
      maskParents: [],
      keptCount: entries.length,
      unmatched: [],
    };
  }
  const parents = parentIndexes(entries);
  const kept = new Uint8Array(entries.length);
  const counted = new Uint8Array(entries.length);
  let waiting = filter.entries.map((_, index) => index);
  for (const [index, entry] of entries.entries()) {
    const path = entry.path.slice(WORKSPACE_IN_TREE.length + 1);
    const isDirectory = entry.kind === "directory";
    const decision = filter.decide(path, isDirectory);
    kept[index] = decision === "hidden" ? 0 : 1;
    counted[index] = decision === "kept" ? 1 : 0;
    if (waiting.length > 0) waiting = waiting.filter((rule) => !filter.matches(rule, path, isDirectory));
  }
  for (let index = entries.length - 1; index >= 0; index--) {
    const parent = parents[index] ?? -1;
    if (parent < 0) continue;
    if (kept[index] === 1) kept[parent] = 1;
    if (counted[index] === 1) counted[parent] = 1;
  }
  const hidden = entries.filter((_, index) => {
    const parent = parents[index] ?? -1;
    return kept[index] === 0 && (parent < 0 || kept[parent] === 1);
  });
  const keyTree = renumber(
    entries.filter((_, index) => counted[index] === 1).map((entry) => ({ entry, layer: 0, merges: 1 })),
    false,
  );
  return {
    keyDigest: treeDigest(keyTree),
    keyTree,
    hidden: hidden.map((entry) => entry.path),
    maskParents: maskParentsOf(view, hidden),
    keptCount: kept.reduce((sum, bit) => sum + bit, 0),
    unmatched: waiting.flatMap((index) => filter.entries[index]?.pattern ?? []),
  };
}

/** One overlay: two sorted lists walked together. */
function overlay(lower: readonly Placed[], upper: readonly Placed[]): readonly Placed[] {
  const merged: Placed[] = [];
  let below = 0;
  for (const top of upper) {
    const path = top.entry.path;
    let order = 1;
    while (below < lower.length) {
      const candidate = lower[below];
      if (!candidate) break;
      order = comparePaths(candidate.entry.path, path);
      if (order >= 0) break;
      merged.push(candidate);
      below++;
    }
    const under = order === 0 ? lower[below] : undefined;
    if (!under) {
      merged.push(top);
      continue;
    }
    below++;
    if (top.entry.kind === "directory" && under.entry.kind === "directory" && !top.entry.opaque) {
      const entry = under.entry.opaque ? { ...top.entry, opaque: true } : top.entry;
      merged.push({ entry, layer: top.layer, merges: under.merges + 1 });
      continue;
    }
    while (below < lower.length && isBelow(lower[below]?.entry.path ?? "", path)) below++;
    // A directory over something else ends the merge there: layers further down stay hidden.
    const closes = top.entry.kind === "directory" && under.entry.kind !== "directory";
    merged.push(closes ? { ...top, entry: { ...top.entry, opaque: true } } : top);
  }
  while (below < lower.length) {
    const rest = lower[below++];
    if (rest) merged.push(rest);
  }
  return merged;
}

/** Numbers hardlink groups from 1 in order of appearance, drops groups of one, and clears opaque marks unless kept. */
function renumber(placed: readonly Placed[], keepOpaque: boolean): Tree {
  const sizes = new Map<string, number>();
  for (const { entry, layer } of placed) {
    if (entry.hardlink > 0) sizes.set(`${layer}:${entry.hardlink}`, (sizes.get(`${layer}:${entry.hardlink}`) ?? 0) + 1);
  }
  const numbers = new Map<string, number>();
  return placed.map(({ entry, layer }) => {
    let hardlink = 0;
    if (entry.hardlink > 0) {
      const group = `${layer}:${entry.hardlink}`;
      if ((sizes.get(group) ?? 0) > 1) {
        hardlink = numbers.get(group) ?? numbers.size + 1;
        numbers.set(group, hardlink);
      }
    }
    const opaque = keepOpaque && entry.opaque;
    return hardlink === entry.hardlink && opaque === entry.opaque ? entry : { ...entry, hardlink, opaque };
  });
}

/** Index of each entry's parent directory in a sorted list, -1 at the top. */
function parentIndexes(entries: Tree): Int32Array {
  const parents = new Int32Array(entries.length);
  const open: number[] = [];
  for (const [index, entry] of entries.entries()) {
    while (open.length > 0 && !isBelow(entry.path, entries[open.at(-1) ?? 0]?.path ?? "")) open.pop();
    parents[index] = open.at(-1) ?? -1;
    if (entry.kind === "directory") open.push(index);
  }
  return parents;
}

function maskParentsOf(view: Tree, hidden: Tree): readonly MaskParent[] {
  if (hidden.length === 0) return [];
  const wanted = new Set<string>();
  for (const entry of hidden) {
    for (let path = parentOf(entry.path); path !== "" && !wanted.has(path); path = parentOf(path)) wanted.add(path);
  }
  return view
    .filter((entry) => wanted.has(entry.path))
    .map((entry) => ({ path: entry.path, mode: entry.mode, uid: entry.uid, gid: entry.gid }));
}
