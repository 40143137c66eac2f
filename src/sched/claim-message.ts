// What machines say to each other about cache keys, and how a message that came in is checked. It decides nothing.

import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import { type Check, fields, isBoolean, isCount, isText, kinds, listOf } from "./check-json.ts";

/** A run's hold on a cache key. `turn` grows each time anybody takes the key again, so that late words are recognised. */
export interface KeyClaim {
  readonly key: string;
  readonly run: string;
  /** Integer >= 1. */
  readonly turn: number;
}

export type ClaimAnswer =
  /** `last`: the turn that stands now; higher than the claim's when the run had the key already. */
  | { readonly kind: "granted"; readonly last: number }
  /** The run `run` has it; `by` is who last said so. */
  | { readonly kind: "busy"; readonly by: PeerId; readonly run: string }
  /** These machines are believed to have its result. */
  | { readonly kind: "result"; readonly at: readonly PeerId[] }
  /** The turn has passed: `last` was the last one. */
  | { readonly kind: "stale"; readonly last: number }
  /** The home looks after as many keys as it may, and does not look after this one. */
  | { readonly kind: "full" };

export type ClaimMessage =
  | {
      readonly kind: "claim";
      /** `held`: the key runs already; `anew`: the result that was pointed at is not there. */
      readonly claims: readonly (KeyClaim & { readonly held: boolean; readonly anew: boolean })[];
    }
  | {
      readonly kind: "answer";
      /** `held` as it was in the claim. */
      readonly answers: readonly (KeyClaim & { readonly held: boolean; readonly answer: ClaimAnswer })[];
    }
  /** `done`: the run is through with the key, and these have its result, if any; else it only takes back that it asked here. */
  | {
      readonly kind: "release";
      readonly releases: readonly (KeyClaim & { readonly done: boolean; readonly at: readonly PeerId[] })[];
    }
  /** Keys that the receiver was told are busy, and that are free or have a result. */
  | { readonly kind: "freed"; readonly keys: readonly string[] };

const peers = listOf(isText, LIMITS.claimHolders);
const claim = { key: isText, run: isText, turn: isCount };
const batchOf = (item: Check) => listOf(item, LIMITS.claimBatch);

/** Says what is wrong with a value that should be a claim message, or null. */
export const checkClaimMessage: Check = kinds({
  claim: fields({ claims: batchOf(fields({ ...claim, held: isBoolean, anew: isBoolean })) }),
  answer: fields({
    answers: batchOf(
      fields({
        ...claim,
        held: isBoolean,
        answer: kinds({
          granted: fields({ last: isCount }),
          busy: fields({ by: isText, run: isText }),
          result: fields({ at: peers }),
          stale: fields({ last: isCount }),
          full: fields({}),
        }),
      }),
    ),
  }),
  release: fields({ releases: batchOf(fields({ ...claim, done: isBoolean, at: peers })) }),
  freed: fields({ keys: batchOf(isText) }),
});
