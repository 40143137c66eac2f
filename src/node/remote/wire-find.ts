// What machines ask each other about results: shapes and checks.

import type { Digest } from "../../base/digest.ts";
import { LIMITS } from "../../base/limits.ts";
import { type Check, fields, isBoolean, isCount, listOf, nullable } from "../../sched/check-json.ts";
import { isDigest, tuple } from "./wire-check.ts";
import { type Parcel, checkParcel } from "./wire-result.ts";

export interface Question {
  /** Keys, each with the age at which a result is too old; null for none. */
  readonly wanted: readonly (readonly [Digest, number | null])[];
}

export interface Found {
  readonly key: Digest;
  readonly parcel: Parcel;
  /** Since it was made, by the clock of the machine that has it. */
  readonly ageMs: number;
}

export interface Answer {
  readonly found: readonly Found[];
  /** More was found than one answer holds: the rest is worth asking for again. */
  readonly isCut: boolean;
}

export const checkQuestion: Check = fields({
  wanted: listOf(tuple(isDigest, nullable(isCount)), LIMITS.findKeys),
});

export const checkAnswer: Check = fields({
  found: listOf(fields({ key: isDigest, parcel: checkParcel, ageMs: isCount }), LIMITS.findKeys),
  isCut: isBoolean,
});
