// One run's wish for a cache key on one machine, and how far it has come. It decides nothing: key-claims.ts does.

import type { PeerId } from "../base/ids.ts";
import type { KeyClaim } from "./claim-message.ts";

/** asking: the homes, one after another; held: it is this run's; watching: another run's. */
type Phase = "asking" | "held" | "watching";

export interface Hold {
  readonly key: string;
  readonly run: string;
  turn: number;
  anew: boolean;
  phase: Phase;
  homes: readonly PeerId[];
  /** Index of the home that is being asked. */
  stage: number;
  /** Times that home was asked. */
  tries: number;
  /** When it last asked, repeated its hold, or began to watch. */
  atMs: number;
  /** Whether a run here, an attempt here, or both stand behind it. */
  byRun: boolean;
  byAttempt: boolean;
}

export function newHold(claim: KeyClaim, nowMs: number): Hold {
  return {
    ...claim,
    anew: false,
    phase: "asking",
    homes: [],
    stage: 0,
    tries: 0,
    atMs: nowMs,
    byRun: false,
    byAttempt: false,
  };
}

export function holdId(key: string, run: string): string {
  return `${key} ${run}`;
}
