// Whom to dial when: rounds over a machine's addresses, each a head start after the one before; waits that grow between rounds;
// a bound on all attempts at once. It knows nothing of connections that stand.

import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import { isSameAddress } from "./address.ts";
import type { DialId, Timing } from "./membership-event.ts";
import type { Address } from "./peer-view.ts";

interface Rounds {
  /** Addresses of the round that are still to be tried. */
  queue: readonly Address[];
  readonly flights: Map<DialId, Address>;
  /** When the next address of the round may be tried. */
  nextAddressAtMs: number;
  /** When the next round may begin. */
  nextRoundAtMs: number;
  /** Rounds since the last success in which nobody answered. */
  failures: number;
}

export interface Dial {
  readonly dial: DialId;
  readonly peer: PeerId;
  readonly address: Address;
}

export class DialPlan {
  readonly #timing: Pick<Timing, "redialMs" | "redialMaxMs" | "dialHeadStartMs">;
  readonly #rounds = new Map<PeerId, Rounds>();
  readonly #peerOf = new Map<DialId, PeerId>();
  #lastDial = 0;
  #random: number;
  #nextAtMs = Number.POSITIVE_INFINITY;

  constructor(seed: number, timing: Pick<Timing, "redialMs" | "redialMaxMs" | "dialHeadStartMs">) {
    this.#random = seed >>> 0;
    this.#timing = timing;
  }

  /** When `due` may have more to say; infinity when only an event can bring that. */
  get nextAtMs(): number {
    return this.#nextAtMs;
  }

  /** Forgets that earlier rounds failed, and begins one at that time unless one is under way. */
  soon(peer: PeerId, atMs: number): void {
    const rounds = this.#of(peer);
    rounds.failures = 0;
    rounds.nextRoundAtMs = Math.min(rounds.nextRoundAtMs, atMs);
    this.#nextAtMs = Math.min(this.#nextAtMs, atMs);
  }

  /** Begins the next round at that time at the latest. */
  atLatest(peer: PeerId, atMs: number): void {
    const rounds = this.#of(peer);
    rounds.nextRoundAtMs = Math.min(rounds.nextRoundAtMs, atMs);
    this.#nextAtMs = Math.min(this.#nextAtMs, rounds.nextRoundAtMs);
  }

  /** Begins the next round after a wait that doubles with each failure since `soon`. */
  afterFailure(peer: PeerId, nowMs: number): void {
    const rounds = this.#of(peer);
    const waitMs = Math.min(this.#timing.redialMaxMs, this.#timing.redialMs * 2 ** Math.min(rounds.failures, 20));
    rounds.failures++;
    this.atLatest(peer, nowMs + waitMs * (0.5 + this.#next()));
  }

  /** Waits as long as it waits at most. */
  later(peer: PeerId, nowMs: number): void {
    this.#of(peer).nextRoundAtMs = nowMs + this.#timing.redialMaxMs;
  }

  /** The attempts to begin now, for machines that are absent. */
  due(absent: readonly PeerId[], addressesOf: (peer: PeerId) => readonly Address[], nowMs: number): readonly Dial[] {
    const dials: Dial[] = [];
    this.#nextAtMs = Number.POSITIVE_INFINITY;
    const turns: { readonly peer: PeerId; readonly rounds: Rounds }[] = [];
    for (const peer of absent) {
      const rounds = this.#of(peer);
      // Most are not due: in a large mesh, putting them in order costs more than all else.
      if (rounds.queue.length > 0 || nowMs >= rounds.nextRoundAtMs) turns.push({ peer, rounds });
      else this.#nextAtMs = Math.min(this.#nextAtMs, rounds.nextRoundAtMs);
    }
    // Whoever waits longest comes first, or a bound that is always met would leave some out for good.
    turns.sort((a, b) => a.rounds.nextRoundAtMs - b.rounds.nextRoundAtMs || (a.peer < b.peer ? -1 : 1));
    for (const { peer, rounds } of turns) {
      // A round that is asked for meanwhile does not wait for attempts that may hang: a new address may be why it was.
      if (rounds.queue.length === 0 && nowMs >= rounds.nextRoundAtMs) {
        const underWay = [...rounds.flights.values()];
        rounds.queue = addressesOf(peer).filter((address) => !underWay.some((one) => isSameAddress(one, address)));
        rounds.nextAddressAtMs = nowMs;
        rounds.nextRoundAtMs = Number.POSITIVE_INFINITY;
      }
      const [address, ...rest] = rounds.queue;
      if (address === undefined) {
        this.#nextAtMs = Math.min(this.#nextAtMs, rounds.nextRoundAtMs);
        continue;
      }
      if (nowMs >= rounds.nextAddressAtMs && this.#peerOf.size < LIMITS.dialsAtOnce) {
        const dial = ++this.#lastDial;
        rounds.queue = rest;
        rounds.flights.set(dial, address);
        rounds.nextAddressAtMs = nowMs + this.#timing.dialHeadStartMs;
        this.#peerOf.set(dial, peer);
        dials.push({ dial, peer, address });
      }
      if (rounds.queue.length > 0) this.#nextAtMs = Math.min(this.#nextAtMs, rounds.nextAddressAtMs);
    }
    // At the bound a landing makes room; time alone does not.
    const isFull = this.#peerOf.size >= LIMITS.dialsAtOnce;
    this.#nextAtMs = isFull ? Number.POSITIVE_INFINITY : Math.max(this.#nextAtMs, nowMs + 1);
    return dials;
  }

  /** An attempt has ended; null when it was cancelled. `isLast`: nothing of its round is left. */
  landed(dial: DialId, nowMs: number): (Omit<Dial, "dial"> & { readonly isLast: boolean }) | null {
    const peer = this.#peerOf.get(dial);
    const rounds = peer === undefined ? undefined : this.#rounds.get(peer);
    const address = rounds?.flights.get(dial);
    if (peer === undefined || rounds === undefined || address === undefined) return null;
    this.#peerOf.delete(dial);
    rounds.flights.delete(dial);
    rounds.nextAddressAtMs = nowMs;
    const isLast = rounds.flights.size === 0 && rounds.queue.length === 0;
    if (isLast) this.afterFailure(peer, nowMs);
    else this.#nextAtMs = nowMs;
    return { peer, address, isLast };
  }

  /** The machine is reached, or no longer wanted: its attempts end. The next round begins when one is asked for. */
  cancel(peer: PeerId): readonly DialId[] {
    const rounds = this.#rounds.get(peer);
    if (rounds === undefined) return [];
    const dials = [...rounds.flights.keys()];
    for (const dial of dials) this.#peerOf.delete(dial);
    rounds.flights.clear();
    rounds.queue = [];
    rounds.nextRoundAtMs = Number.POSITIVE_INFINITY;
    return dials;
  }

  #of(peer: PeerId): Rounds {
    const rounds = this.#rounds.get(peer) ?? {
      queue: [],
      flights: new Map(),
      nextAddressAtMs: 0,
      nextRoundAtMs: Number.POSITIVE_INFINITY,
      failures: 0,
    };
    this.#rounds.set(peer, rounds);
    return rounds;
  }

  /** In [0, 1) (mulberry32). */
  #next(): number {
    this.#random = (this.#random + 0x6d2b79f5) >>> 0;
    let mixed = this.#random;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
