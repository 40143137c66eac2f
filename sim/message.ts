// What simulated machines say to each other. Types only.

import type { PeerId } from "../src/base/ids.ts";
import type { Presence } from "../src/mesh/content-messages.ts";
import type { Joined, ReceiverWord } from "../src/mesh/receiver.ts";
import type { Ask } from "../src/sched/ask.ts";
import type { ClaimMessage } from "../src/sched/claim-message.ts";
import type { AttemptName, LeaseEffect } from "../src/sched/lease-event.ts";

/** What there is to do in an attempt. */
export interface Work {
  readonly cacheKey: string;
  readonly shared: boolean;
  readonly inputs: readonly InputRef[];
  readonly workMs: number;
  readonly fails: boolean;
  readonly outputBytes: number;
}

/** An output of an earlier task, and who is believed to have it. */
export interface InputRef {
  readonly task: string;
  readonly digest: string;
  readonly bytes: number;
  readonly at: readonly string[];
}

/** What an attempt left. */
export type AttemptResult =
  | { readonly kind: "succeeded"; readonly digest: string; readonly bytes: number; readonly durationMs: number }
  | { readonly kind: "failed" }
  /** The machine has no room for what it left; another one may have. */
  | { readonly kind: "disk-full" }
  | { readonly kind: "cancelled" }
  /** It never began: nobody could be reached who has these. */
  | { readonly kind: "inputs-missing"; readonly tasks: readonly string[] };

/** A result that a machine keeps under a cache key. */
export interface KeptResult {
  readonly digest: string;
  readonly bytes: number;
  readonly run: string;
}

/** What machines ask each other about outputs. */
export type Question =
  | { readonly kind: "locate"; readonly digest: string }
  /** `bytes` are those of all its pieces. */
  | { readonly kind: "join"; readonly digest: string; readonly bytes: number }
  | { readonly kind: "piece"; readonly digest: string; readonly piece: number; readonly bytes: number };

export type Answer =
  | { readonly kind: "located"; readonly presence: Presence }
  | ({ readonly kind: "joined" } & Joined)
  /** Whether the bytes are those that were asked for: whoever gets them sees that by their digest. */
  | { readonly kind: "piece"; readonly isRight: boolean }
  | { readonly kind: "missing" };

export type Message =
  | ({ readonly kind: "offer"; readonly ask: Ask; readonly work: Work } & AttemptName)
  | { readonly kind: "start"; readonly lease: string }
  | { readonly kind: "cancel"; readonly lease: string; readonly graceful: boolean }
  | { readonly kind: "acknowledge"; readonly leases: readonly string[] }
  | { readonly kind: "renew" | "adopt"; readonly run: string; readonly leases: readonly string[] }
  /** What a worker's lease book wants said. */
  | { readonly kind: "lease"; readonly said: Said }
  | { readonly kind: "claims"; readonly message: ClaimMessage }
  | { readonly kind: "find"; readonly key: string; readonly run: string; readonly task: string; readonly round: number }
  | {
      readonly kind: "found";
      readonly run: string;
      readonly task: string;
      readonly round: number;
      readonly result: KeptResult | null;
    }
  | { readonly kind: "question"; readonly id: number; readonly question: Question }
  | { readonly kind: "answer"; readonly id: number; readonly answer: Answer }
  /** No answer is wanted any more. */
  | { readonly kind: "call-off"; readonly id: number }
  | { readonly kind: "word"; readonly digest: string; readonly word: ReceiverWord };

/** Effects of a lease book that go to a coordinator. */
export type Said = Extract<LeaseEffect<AttemptResult>, { readonly to: PeerId }>;
