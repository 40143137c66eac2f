// Applies a task's output filter to its upper directory: what is not kept is removed from the disk, so that the directory can become
// the layer.

import { parentOf, type Tree } from "../tree.ts";
import { removeTree } from "./remove-tree.ts";

/** Removes what `keep` refuses, but for directories above what it keeps; whether there was anything. */
export async function pruneUnkept(root: string, entries: Tree, keep: (path: string) => boolean): Promise<boolean> {
  const kept = new Set<string>();
  for (let index = entries.length - 1; index >= 0; index--) {
    const path = entries[index]?.path ?? "";
    if (!kept.has(path) && !keep(path)) continue;
    kept.add(path);
    if (parentOf(path) !== "") kept.add(parentOf(path));
  }
  const doomed = entries.filter(({ path }) => !kept.has(path) && (parentOf(path) === "" || kept.has(parentOf(path))));
  for (const { path } of doomed) await removeTree(`${root}/${path}`);
  return doomed.length > 0;
}
