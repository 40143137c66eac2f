// The difference between two trees, file by file: what an explanation of a changed cache key shows.

import { comparePaths, type Tree, type TreeEntry } from "./tree.ts";

export interface TreeChange {
  readonly path: string;
  readonly change: "added" | "removed" | "content" | "mode" | "owner" | "kind" | "other";
}

/** Differences from `before` to `after` in path order, at most `limit`, and how many there are in all. */
export function compareTrees(
  before: Tree,
  after: Tree,
  limit: number,
): { readonly changes: readonly TreeChange[]; readonly total: number } {
  const changes: TreeChange[] = [];
  let total = 0;
  const add = (path: string, change: TreeChange["change"]): void => {
    total++;
    if (changes.length < limit) changes.push({ path, change });
  };
  let left = 0;
  let right = 0;
  while (left < before.length || right < after.length) {
    const was = before[left];
    const is = after[right];
    const order = !was ? 1 : !is ? -1 : comparePaths(was.path, is.path);
    if (order < 0 && was) {
      add(was.path, "removed");
      left++;
    } else if (order > 0 && is) {
      add(is.path, "added");
      right++;
    } else if (was && is) {
      const change = changeOf(was, is);
      if (change) add(is.path, change);
      left++;
      right++;
    }
  }
  return { changes, total };
}

function changeOf(was: TreeEntry, is: TreeEntry): TreeChange["change"] | null {
  if (was.kind !== is.kind) return "kind";
  if (was.digest !== is.digest || was.target !== is.target) return "content";
  if (was.mode !== is.mode) return "mode";
  if (was.uid !== is.uid || was.gid !== is.gid) return "owner";
  const same =
    was.hardlink === is.hardlink &&
    was.opaque === is.opaque &&
    was.xattrs.length === is.xattrs.length &&
    was.xattrs.every((xattr, index) => sameXattr(xattr, is.xattrs[index]));
  return same ? null : "other";
}

function sameXattr(a: TreeEntry["xattrs"][number], b: TreeEntry["xattrs"][number] | undefined): boolean {
  return b !== undefined && a.name === b.name && a.value.toHex() === b.value.toHex();
}
