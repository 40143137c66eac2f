// The filesystem a task finds: the layers of what it uses, in order, each once, later wins.

import type { Digest } from "../base/digest.ts";
import { type LayerRef, isEmptyLayer } from "../store/layer.ts";

/** Layers and the tasks that made them, bottom first. Never mutated once made; shared by all tasks that have the same. */
export interface Stack {
  /** Every task's layer, a task met twice at its first place. */
  readonly entries: readonly { readonly task: string; readonly layer: LayerRef }[];
  /** The layers as an overlay takes them: each once, at its topmost place. */
  readonly layers: readonly LayerRef[];
}

export const EMPTY_STACK: Stack = { entries: [], layers: [] };

/** The stack of a task that uses `used`, in that order. */
export function joinStacks(used: readonly Stack[]): Stack {
  const sources = used.filter((stack) => stack.entries.length > 0);
  const [first, ...rest] = sources;
  if (!first) return EMPTY_STACK;
  if (rest.every((stack) => stack === first)) return first;
  const seen = new Set<string>();
  const entries = sources.flatMap((stack) =>
    stack.entries.filter(({ task }) => {
      if (seen.has(task)) return false;
      seen.add(task);
      return true;
    }),
  );
  return { entries, layers: topmostOnce(entries) };
}

/** The stack that a task leaves to those that use it: what it found, and its own layer on top. */
export function pushLayer(below: Stack, task: string, layer: LayerRef | null): Stack {
  if (layer === null || isEmptyLayer(layer)) return below;
  const entries = [...below.entries, { task, layer }];
  return { entries, layers: topmostOnce(entries) };
}

// A layer that lies twice in a stack is wholly covered by its upper copy, and overlayfs takes no directory twice.
function topmostOnce(entries: Stack["entries"]): readonly LayerRef[] {
  const last = new Map<Digest, number>();
  entries.forEach((entry, index) => last.set(entry.layer.digest, index));
  return entries.filter((entry, index) => last.get(entry.layer.digest) === index).map((entry) => entry.layer);
}
