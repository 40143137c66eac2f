// One content on its way here in pieces, from several machines at once: who is asked for which piece when. A machine of states:
// it decides; who asks, writes and tells it is behind receiver.ts. Rarest pieces go first, each receiver goes its own way through them,
// and what a slow machine holds up is asked of another one as well.

import { assert } from "../base/assert.ts";
import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";

export type TransferEvent =
  /** A machine has these pieces; null for all. Again for one that is known: what it has now. */
  | { readonly kind: "peer"; readonly peer: PeerId; readonly has: readonly number[] | null }
  | { readonly kind: "got"; readonly peer: PeerId; readonly piece: number }
  /** A machine that has a part is getting this piece from one that has all. */
  | { readonly kind: "promised"; readonly peer: PeerId; readonly piece: number }
  | { readonly kind: "done"; readonly peer: PeerId; readonly piece: number }
  /** "missing": it has not got the piece. "lost": it did not send it. "lied": it sent something else. */
  | {
      readonly kind: "failed";
      readonly peer: PeerId;
      readonly piece: number;
      readonly why: "missing" | "lost" | "lied";
    }
  | { readonly kind: "gone"; readonly peer: PeerId }
  | { readonly kind: "tick" };

export type TransferEffect =
  /** `isScarce`: from a machine that has all, so that others should know that they need not. */
  | { readonly kind: "fetch"; readonly peer: PeerId; readonly piece: number; readonly isScarce: boolean }
  /** Somebody else was faster, or the machine is out. */
  | { readonly kind: "abort"; readonly peer: PeerId; readonly piece: number }
  | { readonly kind: "complete" }
  /** Nobody who is known has what is missing, and nothing is under way. */
  | { readonly kind: "starved" };

export interface TransferPlan {
  /** Bytes of each piece. */
  readonly pieces: readonly number[];
  readonly isDone: (piece: number) => boolean;
  /** Where this receiver begins: another place for each, so that receivers have something for each other. */
  readonly startAt: number;
  /** Whether others are known to receive the same, though not yet what they have. */
  readonly isShared?: boolean;
}

interface Source {
  readonly peer: PeerId;
  /** null for all. */
  has: Set<number> | null;
  /** Pieces that it said it is getting. */
  readonly promised: Set<number>;
  readonly underWay: Map<number, number>;
  /** Milliseconds a byte, smoothed; null before its first piece. */
  pace: number | null;
}

/** A piece is asked of a second machine when it takes so many times longer than that one would need. */
const SLOW = 2;
/** And not before so many milliseconds, nor later than so many where nothing is known of that machine. */
const SLOW_MIN_MS = 100;
const SLOW_UNKNOWN_MS = 2_000;
/** A machine that lost so many pieces in a row is out, until it is heard of again, and out for good when it still sends none. */
const MOST_LOSSES = 3;
const FINAL_LOSSES = 6;
/** Pieces that are compared to find the rarest. */
const COMPARED = 2_048;

export class TransferMachine {
  readonly #bytes: readonly number[];
  readonly #done: Uint8Array;
  readonly #rarity: Int32Array;
  readonly #fetching: Int32Array;
  readonly #sources = new Map<PeerId, Source>();
  /** Pieces in a row that each machine lost, also one that is out. */
  readonly #losses = new Map<PeerId, number>();
  readonly #isShared: boolean;
  /** Where the next piece is looked for. */
  #cursor: number;
  /** State of the sequence of places to go on at. */
  #jumps: number;
  #left: number;
  #underWay = 0;
  #isStarved = false;

  constructor(plan: TransferPlan) {
    this.#bytes = plan.pieces;
    this.#isShared = plan.isShared ?? false;
    this.#done = Uint8Array.from(plan.pieces, (_, piece) => (plan.isDone(piece) ? 1 : 0));
    this.#left = this.#done.reduce((left, done) => left - done, plan.pieces.length);
    this.#rarity = new Int32Array(plan.pieces.length);
    this.#fetching = new Int32Array(plan.pieces.length);
    this.#jumps = plan.startAt;
    this.#cursor = plan.pieces.length === 0 ? 0 : plan.startAt % plan.pieces.length;
  }

  /** Pieces that are missing. */
  get missing(): number {
    return this.#left;
  }

  /** Pieces that are asked for. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Machines that can be asked. */
  get sources(): readonly PeerId[] {
    return [...this.#sources.keys()];
  }

  /** Whether a machine can be asked. */
  knows(peer: PeerId): boolean {
    return this.#sources.has(peer);
  }

  /** Whether a machine is known to have a piece. */
  hasPiece(peer: PeerId, piece: number): boolean {
    const source = this.#sources.get(peer);
    return source !== undefined && (source.has === null || source.has.has(piece));
  }

  step(event: TransferEvent, nowMs: number): readonly TransferEffect[] {
    if (this.#left === 0) return event.kind === "tick" ? [{ kind: "complete" }] : [];
    const effects: TransferEffect[] = [];
    switch (event.kind) {
      case "peer":
        this.#meet(event.peer, event.has);
        break;
      case "got": {
        const source = this.#sources.get(event.peer);
        if (source?.has && event.piece < this.#bytes.length && !source.has.has(event.piece)) {
          source.has.add(event.piece);
          // What was promised was counted then.
          if (!source.promised.delete(event.piece)) this.#count(event.piece, 1);
        }
        break;
      }
      case "promised": {
        const source = this.#sources.get(event.peer);
        if (!source?.has || event.piece >= this.#bytes.length) break;
        if (source.has.has(event.piece) || source.promised.has(event.piece)) break;
        source.promised.add(event.piece);
        this.#count(event.piece, 1);
        break;
      }
      case "done":
        this.#finish(event.peer, event.piece, nowMs, effects);
        if (this.#left === 0) return [...effects, { kind: "complete" }];
        break;
      case "failed":
        this.#fail(event, effects);
        break;
      case "gone":
        this.#remove(event.peer, effects);
        break;
      case "tick":
        break;
    }
    this.#assign(nowMs, effects);
    const isStarved = this.#underWay === 0;
    if (isStarved && (!this.#isStarved || event.kind === "tick")) effects.push({ kind: "starved" });
    this.#isStarved = isStarved;
    return effects;
  }

  #meet(peer: PeerId, has: readonly number[] | null): void {
    const pieces = has === null ? null : new Set(has.filter((piece) => piece < this.#bytes.length));
    const source = this.#sources.get(peer);
    if (source) {
      this.#forget(source);
      source.has = pieces;
    } else if ((this.#losses.get(peer) ?? 0) >= FINAL_LOSSES) return;
    else this.#sources.set(peer, { peer, has: pieces, promised: new Set(), underWay: new Map(), pace: null });
    this.#countAll(pieces, 1);
  }

  #finish(peer: PeerId, piece: number, nowMs: number, effects: TransferEffect[]): void {
    const source = this.#sources.get(peer);
    const startedMs = source?.underWay.get(piece);
    if (source && startedMs !== undefined) {
      const pace = (nowMs - startedMs) / Math.max(1, this.#bytes[piece] ?? 1);
      source.pace = source.pace === null ? pace : source.pace * 0.75 + pace * 0.25;
      this.#losses.delete(peer);
      this.#stop(source, piece);
    }
    if (this.#done[piece] === 1) return;
    this.#done[piece] = 1;
    this.#left--;
    for (const other of this.#sources.values()) {
      if (!other.underWay.has(piece)) continue;
      this.#stop(other, piece);
      effects.push({ kind: "abort", peer: other.peer, piece });
    }
  }

  #fail(event: TransferEvent & { readonly kind: "failed" }, effects: TransferEffect[]): void {
    const source = this.#sources.get(event.peer);
    if (!source?.underWay.has(event.piece)) return;
    this.#stop(source, event.piece);
    if (event.why === "lied") this.#remove(event.peer, effects);
    else if (event.why === "lost") {
      const losses = (this.#losses.get(event.peer) ?? 0) + 1;
      this.#losses.set(event.peer, losses);
      if (losses >= MOST_LOSSES) this.#remove(event.peer, effects);
    } else {
      if (source.has === null) {
        source.has = new Set(this.#bytes.keys());
        this.#countAll(source.has, 1);
      }
      if (source.has.delete(event.piece)) this.#count(event.piece, -1);
    }
  }

  #remove(peer: PeerId, effects: TransferEffect[]): void {
    const source = this.#sources.get(peer);
    if (!source) return;
    for (const piece of source.underWay.keys().toArray()) {
      this.#stop(source, piece);
      effects.push({ kind: "abort", peer, piece });
    }
    this.#forget(source);
    this.#sources.delete(peer);
  }

  /** Counts no more what a machine has or promised. */
  #forget(source: Source): void {
    this.#countAll(source.has, -1);
    this.#countAll(source.promised, -1);
    source.promised.clear();
  }

  /** Gives each machine work, those with the least under way first. */
  #assign(nowMs: number, effects: TransferEffect[]): void {
    for (let isGiven = true; isGiven && this.#underWay < LIMITS.pieces;) {
      isGiven = false;
      const isSwarm = this.#isSwarm();
      const idle = [...this.#sources.values()]
        .filter((source) => source.underWay.size < mostOf(isSwarm))
        .toSorted((a, b) => a.underWay.size - b.underWay.size || (a.peer < b.peer ? -1 : 1));
      for (const source of idle) {
        if (this.#underWay >= LIMITS.pieces) break;
        const piece = this.#pick(source, isSwarm) ?? (source.underWay.size === 0 ? this.#steal(source, nowMs) : null);
        if (piece === null) continue;
        source.underWay.set(piece, nowMs);
        this.#fetching[piece] = (this.#fetching[piece] ?? 0) + 1;
        this.#underWay++;
        effects.push({ kind: "fetch", peer: source.peer, piece, isScarce: source.has === null });
        isGiven = true;
      }
    }
  }

  /** Whether other receivers are known: then the lines of those who have all are scarce, and are used for what nobody else has. */
  #isSwarm(): boolean {
    if (this.#isShared) return true;
    for (const { has } of this.#sources.values()) if (has !== null) return true;
    return false;
  }

  /** The rarest piece that this machine has and nobody is asked for, from where this receiver began. */
  #pick(source: Source, isSwarm: boolean): number | null {
    const isScarce = isSwarm && source.has === null;
    // With nothing else to do, a piece that others have or get will do as well.
    const isPicky = isScarce && this.#underWay > 0;
    if (isScarce && !this.#isUntouched(this.#cursor)) this.#jump();
    let best: number | null = null;
    let compared = 0;
    const count = this.#bytes.length;
    for (let step = 0; step < count && compared < COMPARED; step++) {
      const piece = (this.#cursor + step) % count;
      if (this.#done[piece] === 1 || (this.#fetching[piece] ?? 0) > 0) continue;
      if (source.has !== null && !source.has.has(piece)) continue;
      if (isPicky && (this.#rarity[piece] ?? 0) > 0) continue;
      compared++;
      if (best === null || (this.#rarity[piece] ?? 0) < (this.#rarity[best] ?? 0)) best = piece;
      if (this.#rarity[best] === 0) break;
    }
    if (isScarce && best !== null) this.#cursor = (best + 1) % count;
    return best;
  }

  /** Whether nobody is known to have a piece, or to be getting it. */
  #isUntouched(piece: number): boolean {
    return this.#done[piece] !== 1 && this.#fetching[piece] === 0 && this.#rarity[piece] === 0;
  }

  /** Goes on at another place, which no two receivers choose alike: following another one they would ask for the same pieces. */
  #jump(): void {
    this.#jumps = (Math.imul(this.#jumps ^ (this.#jumps >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    this.#cursor = this.#jumps % this.#bytes.length;
  }

  /** A piece that another machine holds up. */
  #steal(thief: Source, nowMs: number): number | null {
    let oldest: { readonly piece: number; readonly sinceMs: number } | null = null;
    for (const source of this.#sources.values()) {
      if (source === thief) continue;
      for (const [piece, sinceMs] of source.underWay) {
        if ((this.#fetching[piece] ?? 0) > 1 || (thief.has !== null && !thief.has.has(piece))) continue;
        if (oldest === null || sinceMs < oldest.sinceMs) oldest = { piece, sinceMs };
      }
    }
    if (oldest === null) return null;
    const expectedMs = thief.pace === null ? SLOW_UNKNOWN_MS : thief.pace * (this.#bytes[oldest.piece] ?? 0);
    return nowMs - oldest.sinceMs > Math.max(SLOW_MIN_MS, SLOW * expectedMs) ? oldest.piece : null;
  }

  #stop(source: Source, piece: number): void {
    assert(source.underWay.delete(piece), "a piece that is stopped is under way");
    this.#fetching[piece] = (this.#fetching[piece] ?? 0) - 1;
    this.#underWay--;
  }

  /** Machines with all pieces make none of them rarer than another: only parts are counted. */
  #countAll(pieces: ReadonlySet<number> | null, by: number): void {
    if (pieces) for (const piece of pieces) this.#count(piece, by);
  }

  #count(piece: number, by: number): void {
    this.#rarity[piece] = (this.#rarity[piece] ?? 0) + by;
  }
}

/** Pieces that one machine is asked for at once. */
function mostOf(isSwarm: boolean): number {
  return isSwarm ? LIMITS.piecesPerReceiver : LIMITS.piecesPerPeer;
}
