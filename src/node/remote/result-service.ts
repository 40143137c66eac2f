// Answers other machines that look for results: what this store has under a key is a hit everywhere.

import { MeshError } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import type { Peers } from "../../mesh/peers.ts";
import type { Store } from "../../store/io/store.ts";
import { taken } from "./wire-check.ts";
import { type Answer, type Found, type Question, checkQuestion } from "./wire-find.ts";
import { type Parcel, packResult } from "./wire-result.ts";

/** Lets other machines of the mesh find the results of this store. */
export function serveResults(peers: Peers, store: Store): void {
  peers.onCall("result.find", (params) => answer(taken<Question>(checkQuestion, params, "question"), store));
}

function answer({ wanted }: Question, store: Store): Answer {
  const nowMs = Date.now();
  const found: Found[] = [];
  let bytes = 0;
  for (const [key, maxAgeMs] of wanted) {
    const stored = store.results.get(key, nowMs, maxAgeMs);
    // what an earlier boot wrote is checked by the next run here, not for others
    if (stored === null || store.results.untrusted(stored).length > 0) continue;
    const parcel = packed(() => packResult(stored.result, store));
    if (parcel === null) continue;
    const size = 2 * (parcel.json?.length ?? 0) + parcel.trees.reduce((sum, [, tree]) => sum + tree.length, 200);
    if (bytes > 0 && bytes + size > LIMITS.workMessageBytes) return { found, isCut: true };
    bytes += size;
    found.push({ key, parcel, ageMs: Math.max(0, nowMs - stored.storedAtMs) });
  }
  return { found, isCut: false };
}

/** Null when what the result needs is gone just now. */
function packed(pack: () => Parcel): Parcel | null {
  try {
    return pack();
  } catch (error) {
    if (error instanceof MeshError) return null;
    throw error;
  }
}
