// The contents of a tree's files: what has to come from somewhere before its directory can be built. It reads none of them.

import type { Digest } from "../base/digest.ts";
import type { Tree } from "./tree.ts";

/** One content of the tree's files, which may stand at several places. */
export interface LayerContent {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Positions in the tree; of hardlinked files only the first of each group. */
  readonly entries: readonly number[];
}

/** Each content of a tree's files once, in tree order. */
export function contentsOf(tree: Tree): readonly LayerContent[] {
  const found = new Map<Digest, { digest: Digest; sizeBytes: number; entries: number[] }>();
  const groups = new Set<number>();
  for (const [at, entry] of tree.entries()) {
    if (entry.digest === null) continue;
    if (entry.hardlink > 0 && groups.has(entry.hardlink)) continue;
    if (entry.hardlink > 0) groups.add(entry.hardlink);
    const known = found.get(entry.digest);
    if (known) known.entries.push(at);
    else found.set(entry.digest, { digest: entry.digest, sizeBytes: entry.size, entries: [at] });
  }
  return [...found.values()];
}
