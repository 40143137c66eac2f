// How a layer's contents are cut for their way: small ones in batches that follow from the tree alone, so that all machines
// number them alike; large ones each for itself, in chunks.

import { LIMITS } from "../base/limits.ts";
import type { LayerContent } from "../store/contents.ts";

export interface LayerCut {
  /** Positions in the list of contents, for each batch of small ones. */
  readonly batches: readonly (readonly number[])[];
  /** Positions of large contents. */
  readonly large: readonly number[];
}

export function cutLayer(contents: readonly LayerContent[]): LayerCut {
  const batches: number[][] = [];
  const large: number[] = [];
  let bytes = 0;
  for (const [at, content] of contents.entries()) {
    if (content.sizeBytes > LIMITS.smallContentBytes) {
      large.push(at);
      continue;
    }
    const open = batches.at(-1);
    if (!open || open.length >= LIMITS.batchFiles || bytes + content.sizeBytes > LIMITS.batchBytes) {
      batches.push([at]);
      bytes = content.sizeBytes;
    } else {
      open.push(at);
      bytes += content.sizeBytes;
    }
  }
  return { batches, large };
}
