// The keys that one machine looks after for the mesh: who has which, until when, who waits, and where results are.
// It sends nothing and knows no membership: key-claims.ts asks it.

import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import type { ClaimAnswer, KeyClaim } from "./claim-message.ts";

interface Entry {
  run: string;
  turn: number;
  by: PeerId;
  /** False once it was given back; the entry is kept to know late words, and for its result. */
  taken: boolean;
  untilMs: number;
  at: readonly PeerId[];
  readonly waiters: Set<PeerId>;
}

/** Who waits for a key that became free. */
export interface Freed {
  readonly key: string;
  readonly waiters: readonly PeerId[];
}

export class KeyHome {
  /** The entry heard of longest ago comes first. */
  readonly #entries = new Map<string, Entry>();
  readonly #takenBy = new Map<PeerId, number>();

  get size(): number {
    return this.#entries.size;
  }

  /** Who has a key; null when it is free. */
  holderOf(key: string, nowMs: number): string | null {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.taken && nowMs < entry.untilMs ? entry.run : null;
  }

  /** Answers a claim. With `held` the run has the key already and goes on whatever the answer is. */
  claim(
    from: PeerId,
    { key, run, turn }: KeyClaim,
    { held, anew, nowMs }: { readonly held: boolean; readonly anew: boolean; readonly nowMs: number },
  ): ClaimAnswer {
    const entry = this.#entries.get(key);
    if (entry === undefined) return this.#isFull(from) ? { kind: "full" } : this.#take(from, { key, run, turn }, nowMs);
    const taken = entry.taken && nowMs < entry.untilMs;
    if (taken && entry.run !== run) {
      if (entry.waiters.size < LIMITS.claimWaiters && !held) entry.waiters.add(from);
      return { kind: "busy", by: entry.by, run: entry.run };
    }
    // A run that only repeats what it holds is late when it has given back just that.
    const late = held ? !entry.taken && entry.run === run : !taken;
    if (late && turn <= entry.turn) return { kind: "stale", last: entry.turn };
    if (!entry.taken && !held && !anew && entry.at.length > 0) return { kind: "result", at: entry.at };
    if (!taken && this.#isFull(from)) return { kind: "full" };
    return this.#take(from, { key, run, turn: Math.max(turn, entry.turn) }, nowMs);
  }

  /** Takes a key back; null when somebody else, or the same run again, has it. */
  release(from: PeerId, released: KeyClaim & { readonly at: readonly PeerId[] }, nowMs: number): Freed | null {
    const { key, run, turn, at } = released;
    // A home that came in between learns of the result.
    if (!this.#entries.has(key) && at.length > 0 && !this.#isFull(from)) this.#take(from, { key, run, turn }, nowMs);
    const entry = this.#heldBy(released);
    if (entry === null) return null;
    entry.turn = turn;
    this.#free(entry);
    entry.at = at.slice(0, LIMITS.claimHolders);
    entry.untilMs = nowMs + LIMITS.claimMs;
    return this.#wake(key, entry);
  }

  /** Forgets that a run asked for a key; null when somebody else, or the same run again, has it. */
  retract(claim: KeyClaim): Freed | null {
    const entry = this.#heldBy(claim);
    if (entry === null) return null;
    this.#free(entry);
    this.#entries.delete(claim.key);
    return this.#wake(claim.key, entry);
  }

  /** Frees what nobody spoke for in time; returns those for whom somebody waits. Forgets what is of no use any more. */
  expire(nowMs: number): readonly Freed[] {
    const freed: Freed[] = [];
    for (const [key, entry] of this.#entries) {
      if (nowMs < entry.untilMs) continue;
      if (entry.taken) {
        this.#free(entry);
        freed.push(this.#wake(key, entry));
      }
      if (entry.at.length === 0) this.#entries.delete(key);
    }
    return freed.filter(({ waiters }) => waiters.length > 0);
  }

  /** Gives everything more time: the home itself stood still. */
  postpone(ms: number): void {
    for (const entry of this.#entries.values()) entry.untilMs += ms;
  }

  #heldBy({ key, run, turn }: KeyClaim): Entry | null {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.taken && entry.run === run && entry.turn <= turn ? entry : null;
  }

  #take(from: PeerId, { key, run, turn }: KeyClaim, nowMs: number): ClaimAnswer {
    const entry = this.#entries.get(key);
    if (entry?.taken === true) this.#count(entry.by, -1);
    this.#count(from, 1);
    const untilMs = nowMs + LIMITS.claimMs;
    this.#entries.delete(key);
    const waiters = entry?.waiters ?? new Set<PeerId>();
    this.#entries.set(key, { run, turn, by: from, taken: true, untilMs, at: [], waiters });
    return { kind: "granted", last: turn };
  }

  #free(entry: Entry): void {
    entry.taken = false;
    this.#count(entry.by, -1);
  }

  #wake(key: string, entry: Entry): Freed {
    const waiters = [...entry.waiters].sort();
    entry.waiters.clear();
    return { key, waiters };
  }

  /** Whether a machine may not take one more key. A full table first forgets the oldest results. */
  #isFull(from: PeerId): boolean {
    if ((this.#takenBy.get(from) ?? 0) >= LIMITS.claimsEach) return true;
    if (this.#entries.size < LIMITS.claims) return false;
    for (const [key, entry] of this.#entries) {
      if (entry.taken) continue;
      this.#entries.delete(key);
      return false;
    }
    return true;
  }

  #count(peer: PeerId, change: number): void {
    const count = (this.#takenBy.get(peer) ?? 0) + change;
    if (count === 0) this.#takenBy.delete(peer);
    else this.#takenBy.set(peer, count);
  }
}
