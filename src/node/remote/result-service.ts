// Answers other machines that look for results: what this store has under a key is a hit everywhere.

import type { Digest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import type { Peers } from "../../mesh/peers.ts";
import type { Store } from "../../store/io/store.ts";
import type { TaskResult } from "../../store/result.ts";
import { taken } from "./wire-check.ts";
import { type Answer, type Found, type Question, checkQuestion } from "./wire-find.ts";
import { type Parcel, packResult } from "./wire-result.ts";

/** Lets other machines of the mesh find the results of this store. `fresh`: one that is not written yet. */
export function serveResults(peers: Peers, store: Store, fresh: (key: Digest) => TaskResult | null): void {
  peers.onCall("result.find", (params) => answer(taken<Question>(checkQuestion, params, "question"), store, fresh));
}

function answer({ wanted }: Question, store: Store, fresh: (key: Digest) => TaskResult | null): Answer {
  const nowMs = Date.now();
  const found: Found[] = [];
  let bytes = 0;
  for (const [key, maxAgeMs] of wanted) {
    const justMade = fresh(key);
    const stored = justMade === null ? store.results.get(key, nowMs, maxAgeMs) : null;
    const result = justMade ?? stored?.result;
    // what an earlier boot wrote is checked by the next run here, not for others
    if (result === undefined || (stored !== null && store.results.untrusted(stored).length > 0)) continue;
    const parcel = packed(() => packResult(result, store));
    if (parcel === null) continue;
    const size = 2 * (parcel.json?.length ?? 0) + parcel.trees.reduce((sum, [, tree]) => sum + tree.length, 200);
    if (bytes > 0 && bytes + size > LIMITS.workMessageBytes) return { found, isCut: true };
    bytes += size;
    found.push({ key, parcel, ageMs: stored === null ? 0 : Math.max(0, nowMs - stored.storedAtMs) });
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
