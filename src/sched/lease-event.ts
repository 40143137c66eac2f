// What a worker's lease book hears (events) and what it wants done (effects). Plain data, types only.

import type { PeerId } from "../base/ids.ts";
import type { Ask } from "./ask.ts";
import type { Reason } from "./fit.ts";

/** Which attempt of which run. */
export interface AttemptName {
  readonly run: string;
  readonly key: string;
  readonly attempt: number;
}

/** `R` is what an attempt leaves; the book only keeps it. `from` is the coordinator as the transport knows it. */
export type LeaseEvent<R> =
  /** A coordinator offers an attempt. Answered with granted or refused; offered again, with the same answer. */
  | ({ readonly kind: "offer"; readonly from: PeerId; readonly ask: Ask } & AttemptName)
  /** The coordinator has written the grant down: the attempt may begin. */
  | { readonly kind: "start"; readonly from: PeerId; readonly lease: string }
  | { readonly kind: "cancel"; readonly from: PeerId; readonly lease: string; readonly graceful: boolean }
  /** The coordinator has written these ends down: they need not be kept. */
  | { readonly kind: "acknowledge"; readonly from: PeerId; readonly leases: readonly string[] }
  /** The coordinator is there and believes to hold these leases of a run. Answered with holdings. */
  | { readonly kind: "renew"; readonly from: PeerId; readonly run: string; readonly leases: readonly string[] }
  /**
   * A coordinator takes a run up: one that came back, or another one, which shows a lease that it read in the run's journal.
   * Answered with holdings: all there is of the run.
   */
  | { readonly kind: "adopt"; readonly from: PeerId; readonly run: string; readonly leases: readonly string[] }
  /** The coordinator may have nothing run here any more: its grant was taken back. */
  | { readonly kind: "evict"; readonly coordinator: PeerId }
  /** What was performed has begun. */
  | { readonly kind: "began"; readonly lease: string }
  /** What was performed is over and nothing of it is left running, whether it was stopped or not. */
  | { readonly kind: "ended"; readonly lease: string; readonly result: R }
  /** Whether new offers are refused from now on. */
  | { readonly kind: "drain"; readonly draining: boolean }
  /** Time has passed. Comes at least once a second. */
  | { readonly kind: "tick" };

/** Why an offer was refused. */
export type OfferRefusal =
  /** `ever`: whether it fits once the machine is idle. */
  | { readonly kind: "no-room"; readonly ever: boolean; readonly reasons: readonly Reason[] }
  | { readonly kind: "draining" }
  /** The machine keeps as many attempts, or as many of this coordinator, as it may. */
  | { readonly kind: "too-many"; readonly most: number };

/** granted: not begun; running: told to begin; stopping: told to stop; ended: its end is not acknowledged yet. */
export type AttemptPhase = "granted" | "running" | "stopping" | "ended";

/** One attempt as its coordinator is told of it. */
export interface HeldAttempt<R> extends AttemptName {
  readonly lease: string;
  readonly phase: AttemptPhase;
  /** Null before its end. */
  readonly result: R | null;
}

/** What the worker's shell does, in order. What has `to` is sent there; it may get lost, the next renewal mends that. */
export type LeaseEffect<R> =
  | ({ readonly kind: "granted"; readonly to: PeerId; readonly lease: string } & AttemptName)
  | ({ readonly kind: "refused"; readonly to: PeerId; readonly refusal: OfferRefusal } & AttemptName)
  /** Begin the attempt with these GPUs; answer with began and ended. */
  | ({
      readonly kind: "perform";
      readonly coordinator: PeerId;
      readonly lease: string;
      readonly gpus: readonly number[];
    } & AttemptName)
  /** Stop the attempt, within its grace period or at once. Answered with ended. */
  | { readonly kind: "stop"; readonly lease: string; readonly graceful: boolean }
  | { readonly kind: "started"; readonly to: PeerId; readonly lease: string }
  /** Said again at every renewal until it is acknowledged. */
  | ({ readonly kind: "finished"; readonly to: PeerId; readonly lease: string; readonly result: R } & AttemptName)
  /** The lease went back before the attempt began. */
  | { readonly kind: "returned"; readonly to: PeerId; readonly lease: string }
  /** These leases are not held here (any more) by that coordinator: what they stood for is lost to it. */
  | { readonly kind: "unknown"; readonly to: PeerId; readonly leases: readonly string[] }
  /** All of the run that the coordinator did not name, and what it named in vain. */
  | {
      readonly kind: "holdings";
      readonly to: PeerId;
      readonly run: string;
      readonly held: readonly HeldAttempt<R>[];
      readonly unknown: readonly string[];
    }
  /** The coordinator has said nothing of the run for a while. What it does not want any more is cancelled and acknowledged. */
  | { readonly kind: "doubt"; readonly to: PeerId; readonly run: string; readonly leases: readonly string[] }
  /** Nothing more will be asked about the lease: what was kept for it may go. */
  | { readonly kind: "forget"; readonly lease: string };
