// What coordinators and workers say to each other about attempts: shapes and checks. Methods: `work.offer`, `work.renew` and
// `work.adopt` are calls of a coordinator, `work.cancel` and `work.acknowledge` its words; `work.words` are those of a worker.

import type { Digest } from "../../base/digest.ts";
import type { ErrorCode } from "../../base/errors.ts";
import type { PeerId, RunId } from "../../base/ids.ts";
import { ERROR_CODES } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import { type Check, fields, isBoolean, isCount, kinds, listOf, nullable, oneOf } from "../../sched/check-json.ts";
import { checkOutcome } from "../../sched/event-check.ts";
import type { Amounts, Gpu } from "../../sched/fit.ts";
import type { AttemptRef, TaskOutcome } from "../../sched/run-event.ts";
import type { OfferedWork } from "./wire-work.ts";
import { type Parcel, checkParcel } from "./wire-result.ts";
import {
  bytesUpTo,
  checkFree,
  isDigest,
  isPeer,
  isRun,
  isShortText,
  isTaskKey,
  textUpTo,
  tuple,
} from "./wire-check.ts";

/** What is free of a worker when it speaks. */
export interface Free extends Amounts {
  readonly gpus: readonly Gpu[];
}

export interface OfferedTask {
  readonly key: string;
  readonly attempt: number;
  /** Null when it is too large, and then a blob of the coordinator, as JSON. */
  readonly work: OfferedWork | null;
  readonly blob: Digest | null;
  /** Machines that are believed to have what the task builds on. */
  readonly holders: readonly (readonly [Digest, readonly PeerId[]])[];
}

export interface Offer {
  readonly run: RunId;
  readonly title: string;
  /** Who had the run started. */
  readonly actor: string;
  readonly tasks: readonly OfferedTask[];
}

/** What a worker says to one offered task. A granted one begins at once. */
export type OfferAnswer =
  | { readonly kind: "granted"; readonly lease: string }
  | { readonly kind: "elsewhere"; readonly by: string }
  | { readonly kind: "answered" }
  | { readonly kind: "full" }
  /** It will not run this task, whatever becomes free. */
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly message: string };

export interface OfferAnswers {
  readonly answers: readonly OfferAnswer[];
  readonly free: Free;
}

/** What becomes of an attempt, as its worker says it. */
export type WorkWord = AttemptRef &
  (
    | { readonly kind: "started" }
    | { readonly kind: "output"; readonly stream: "stdout" | "stderr"; readonly bytes: Uint8Array }
    /** Live output that was left out, since the way was too slow; the log has it. */
    | { readonly kind: "dropped"; readonly bytes: number }
    | WorkEnd
  );

/** How an attempt ended: kept by the worker until it is acknowledged. */
export type WorkEnd =
  | { readonly kind: "finished"; readonly outcome: TaskOutcome; readonly parcel: Parcel | null }
  /** It never began, or nobody can say what it left. */
  | {
      readonly kind: "returned";
      readonly code: ErrorCode;
      readonly message: string;
      readonly missing: readonly Digest[];
    };

export interface WorkWords {
  readonly run: RunId;
  readonly words: readonly WorkWord[];
  readonly free: Free;
}

/** What a worker answers to a renewal or an adoption. Ends that are kept come again as words. */
export interface Holdings {
  readonly held: readonly (AttemptRef & { readonly phase: "granted" | "running" | "stopping" | "ended" })[];
  readonly unknown: readonly string[];
}

export interface LeaseNames {
  readonly run: RunId;
  readonly leases: readonly string[];
}

export interface Cancellation extends LeaseNames {
  readonly graceful: boolean;
}

const lease = isShortText;
const leases = listOf(lease, LIMITS.heldAttempts);
const code = oneOf(Object.keys(ERROR_CODES));
const message = textUpTo(LIMITS.pathChars);
const ref = { key: isTaskKey, attempt: isCount, lease };

const offered = fields({
  key: isTaskKey,
  attempt: isCount,
  blob: nullable(isDigest),
  holders: listOf(tuple(isDigest, listOf(isPeer, LIMITS.peers)), LIMITS.tasks),
});

/** The works themselves are read one by one: one that is refused does not refuse the others. */
export const checkOffer: Check = fields({
  run: isRun,
  title: isShortText,
  actor: isShortText,
  tasks: listOf(offered, LIMITS.heldAttemptsEach),
});

export const checkOfferAnswers: Check = fields({
  answers: listOf(
    kinds({
      granted: fields({ lease }),
      elsewhere: fields({ by: isShortText }),
      answered: fields({}),
      full: fields({}),
      refused: fields({ code, message }),
    }),
    LIMITS.heldAttemptsEach,
  ),
  free: checkFree,
});

export const checkWorkWords: Check = fields({
  run: isRun,
  words: listOf(
    kinds({
      started: fields(ref),
      output: fields({ ...ref, stream: oneOf(["stdout", "stderr"]), bytes: bytesUpTo(LIMITS.workMessageBytes) }),
      dropped: fields({ ...ref, bytes: isCount }),
      finished: fields({ ...ref, outcome: checkOutcome, parcel: nullable(checkParcel) }),
      returned: fields({ ...ref, code, message, missing: listOf(isDigest, LIMITS.tasks) }),
    }),
    LIMITS.heldAttempts,
  ),
  free: checkFree,
});

export const checkHoldings: Check = fields({
  held: listOf(fields({ ...ref, phase: oneOf(["granted", "running", "stopping", "ended"]) }), LIMITS.heldAttempts),
  unknown: leases,
});

export const checkLeaseNames: Check = fields({ run: isRun, leases });
export const checkCancellation: Check = fields({ run: isRun, leases, graceful: isBoolean });
