// Applies a task's output filter to its upper directory: what is not kept is removed from the disk, so that the directory can become
// the layer.

import { parentOf, type Tree } from "../tree.ts";
import { removeTree } from "./remove-tree.ts";

/** Removes what `keep` refuses, but for directories above what it keeps; whether there was anything. */
export async function pruneUnkept(root: string, entries: Tree, keep: (path: string) => boolean): Promise<boolean> {
  const doomed = unkept(
    entries.map(({ path }) => path),
    keep,
  );
  for (const path of doomed) await removeTree(`${root}/${path}`);
  return doomed.length > 0;
}

/** Of these paths, in the order of a tree, the topmost ones with nothing at or below them that `keep` keeps. */
export function unkept(paths: readonly string[], keep: (path: string) => boolean): readonly string[] {
  const kept = new Set<string>();
  for (const path of paths.toReversed()) {
    if (!kept.has(path) && !keep(path)) continue;
    kept.add(path);
    if (parentOf(path) !== "") kept.add(parentOf(path));
  }
  return paths.filter((path) => !kept.has(path) && (parentOf(path) === "" || kept.has(parentOf(path))));
}
