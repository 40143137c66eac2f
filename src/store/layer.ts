// A layer's name and its parts: what one task changed, identified by the digest of its tree. It holds no content.

import type { Digest } from "../base/digest.ts";
import { encodeParts } from "./tree-codec.ts";

export interface LayerRef {
  /** Digest of the whole tree: the layer's identity and the name of its directory. */
  readonly digest: Digest;
  /** Digest of the entries at and below /workspace as a tree of their own, so that a filter can be applied to them alone. */
  readonly workspace: Digest;
  /** Digest of all other entries as a tree of their own; they count for a cache key as a whole. */
  readonly system: Digest;
  /** Bytes of all files, hardlinks counted once. */
  readonly sizeBytes: number;
  /** Number of entries, whiteouts included. */
  readonly entries: number;
}

const NOTHING = encodeParts([]);

/** Digest of a tree without entries; a layer's `workspace` or `system` when that part is untouched. */
export const EMPTY_TREE: Digest = NOTHING.digest;

/** The layer of a task that changed nothing. It has no directory and is never mounted. */
export const EMPTY_LAYER: LayerRef = {
  digest: EMPTY_TREE,
  workspace: EMPTY_TREE,
  system: EMPTY_TREE,
  sizeBytes: 0,
  entries: 0,
};

/** Whether a layer changes nothing. */
export function isEmptyLayer(layer: LayerRef): boolean {
  return layer.digest === EMPTY_TREE;
}
