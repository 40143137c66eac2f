// One receiver of one content: which machines it asks to let it join and how often, whom it never asks again, what it tells the
// others, when it looks for more machines and when it gives up. Which piece comes from whom is for transfer.ts to say. It decides;
// io/transfer.ts performs.

import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import { type TransferEffect, type TransferEvent, TransferMachine } from "./transfer.ts";

/** What a machine says of some content to one that begins to fetch it. */
export interface Joined {
  /** Pieces it has; null for all. */
  readonly has: readonly number[] | null;
  /** Machines that fetch the same or did so lately. */
  readonly swarm: readonly PeerId[];
}

/** What machines that fetch the same tell each other: one has got a piece, or is getting it, or has all of them. */
export type ReceiverWord = { readonly kind: "got" | "promised"; readonly piece: number } | { readonly kind: "all" };

export type ReceiverEvent =
  /** The first one. */
  | { readonly kind: "begin" }
  /** Another machine may have some of it. */
  | { readonly kind: "met"; readonly peer: PeerId }
  /** A machine is there that was away. */
  | { readonly kind: "back"; readonly peer: PeerId }
  | { readonly kind: "heard"; readonly peer: PeerId; readonly word: ReceiverWord }
  | ({ readonly kind: "joined"; readonly peer: PeerId } & Joined)
  /** "missing": it has nothing of it as yet. "lost": it did not answer, or about other pieces. */
  | { readonly kind: "refused"; readonly peer: PeerId; readonly why: "missing" | "lost" }
  /** All that were asked in a search have answered, or do not; those who have some of it were met as they did. */
  | { readonly kind: "searched" }
  | Extract<TransferEvent, { readonly kind: "done" | "failed" | "gone" | "tick" }>;

export type ReceiverEffect =
  /** Answered by `joined` or `refused`. */
  | { readonly kind: "join"; readonly peer: PeerId }
  /** Answered by `done` or `failed`, unless it is aborted. */
  | { readonly kind: "fetch"; readonly peer: PeerId; readonly piece: number }
  | { readonly kind: "abort"; readonly peer: PeerId; readonly piece: number }
  | { readonly kind: "say"; readonly to: readonly PeerId[]; readonly word: ReceiverWord }
  /** Asks who has it; answered by `met`, one by one, and in the end by `searched`. */
  | { readonly kind: "search" }
  /** A machine sent something else, and is out. */
  | { readonly kind: "lied"; readonly peer: PeerId }
  | { readonly kind: "complete" }
  /** Nobody was found in time who has what is missing. */
  | { readonly kind: "missing"; readonly pieces: number };

export interface ReceiverPlan {
  readonly self: PeerId;
  /** Bytes of each piece. */
  readonly pieces: readonly number[];
  readonly isDone: (piece: number) => boolean;
  /** Machines believed to have it, best first. */
  readonly holders: readonly PeerId[];
  /** Those of them that have let this one join already; null when none was asked. */
  readonly known: ReadonlyMap<PeerId, Joined> | null;
  /** Machines that are not asked. */
  readonly banned: Iterable<PeerId>;
  /** Machines that fetch of this one what it fetches, or did lately. */
  readonly swarm: () => readonly PeerId[];
  /** How long content is looked for when nobody has what is missing, and while somebody has a part of it, who may get more. */
  readonly searchMs: number;
  readonly stallMs: number;
}

interface Joining {
  tries: number;
  /** When it is asked again; null while it is asked. */
  againAtMs: number | null;
  /** Whether it was met while it is asked: the question may be lost where the next one is not. */
  isMetAgain: boolean;
}

interface Search {
  sinceMs: number;
  /** When what came of it is looked at; null while machines are asked. */
  checkAtMs: number | null;
}

const TICK_MS = 100;
/** A machine that begins to fetch may not have the list of chunks yet: it is asked again after so long, so often. */
const JOIN_AGAIN_MS = 200;
const JOIN_TRIES = 4;
/** Searches in the time that content is looked for. */
const SEARCHES = 10;

/** Multiples of it, less their whole part, lie evenly between 0 and 1, however many there are. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

export class Receiver {
  readonly #plan: ReceiverPlan;
  readonly #banned: Set<PeerId>;
  readonly #joining = new Map<PeerId, Joining>();
  /** Machines that may have some of it. */
  readonly #met = new Set<PeerId>();
  /** Null until one machine has answered, or none does. */
  #transfer: TransferMachine | null = null;
  #introduced = 0;
  #search: Search | null = null;
  #progressMs = 0;
  #lastTickMs = 0;
  #isOver = false;
  #effects: ReceiverEffect[] = [];

  constructor(plan: ReceiverPlan) {
    this.#plan = plan;
    this.#banned = new Set(plan.banned);
  }

  /** Takes an event and says what is to be done, in order; nothing any more after `complete` or `missing`. */
  step(event: ReceiverEvent, nowMs: number): readonly ReceiverEffect[] {
    if (this.#isOver) return [];
    this.#doubtOneself(nowMs);
    if (this.#transfer === null) this.#introduce(event, nowMs);
    else this.#take(this.#transfer, event, nowMs);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** When the next tick is wanted at the latest. */
  get wakeAtMs(): number {
    let atMs = Math.min(this.#lastTickMs + TICK_MS, this.#search?.checkAtMs ?? Number.POSITIVE_INFINITY);
    for (const { againAtMs } of this.#joining.values()) if (againAtMs !== null) atMs = Math.min(atMs, againAtMs);
    return atMs;
  }

  /** Time in which this machine did not run is no time in which nobody was found. */
  #doubtOneself(nowMs: number): void {
    const lagMs = nowMs - this.#lastTickMs - TICK_MS;
    if (lagMs <= LIMITS.ownLagMs) return;
    this.#lastTickMs = nowMs;
    this.#progressMs += lagMs;
    if (this.#search !== null) this.#search.sinceMs += lagMs;
  }

  /** Asks one believed machine after another until one answers: who else fetches the same says where to begin. */
  #introduce(event: ReceiverEvent, nowMs: number): void {
    switch (event.kind) {
      case "begin":
        this.#lastTickMs = nowMs;
        if (this.#plan.known !== null) return this.#start(this.#plan.known, nowMs);
        break;
      case "joined":
        return this.#start(new Map([[event.peer, event]]), nowMs);
      case "refused":
        break;
      case "tick":
        this.#lastTickMs = nowMs;
        return;
      default:
        return;
    }
    const peer = this.#plan.holders[this.#introduced++];
    if (peer === undefined) this.#start(new Map(), nowMs);
    else this.#effects.push({ kind: "join", peer });
  }

  #start(known: ReadonlyMap<PeerId, Joined>, nowMs: number): void {
    const { pieces, isDone, holders } = this.#plan;
    // Receivers that come one after another begin at other places, the first of them at the start: so it hashes as it reads.
    const rank = Math.max(0, ...known.values().map(({ swarm }) => swarm.length));
    const startAt = Math.floor(((rank * GOLDEN) % 1) * pieces.length);
    const transfer = new TransferMachine({ pieces, isDone, startAt, isShared: rank > 0 });
    this.#transfer = transfer;
    this.#progressMs = nowMs;
    for (const [peer, joined] of known) this.#joined(transfer, peer, joined, nowMs);
    for (const peer of holders) if (!known.has(peer)) this.#meet(peer);
    this.#tell(transfer, { kind: "tick" }, nowMs);
  }

  #take(transfer: TransferMachine, event: ReceiverEvent, nowMs: number): void {
    switch (event.kind) {
      case "begin":
        return;
      case "met":
        return this.#meet(event.peer);
      case "back":
        if (this.#met.has(event.peer)) this.#meet(event.peer);
        return;
      case "heard":
        return this.#heard(transfer, event.peer, event.word, nowMs);
      case "joined":
        this.#joining.delete(event.peer);
        return this.#joined(transfer, event.peer, event, nowMs);
      case "refused":
        return this.#refused(event.peer, event.why, nowMs);
      case "searched":
        if (this.#search !== null) this.#search.checkAtMs = nowMs + this.#plan.searchMs / SEARCHES;
        return;
      case "done":
        this.#progressMs = nowMs;
        this.#say(transfer, { kind: "got", piece: event.piece });
        break;
      case "failed":
        if (event.why !== "lied") break;
        this.#banned.add(event.peer);
        this.#joining.delete(event.peer);
        this.#effects.push({ kind: "lied", peer: event.peer });
        break;
      case "gone":
        break;
      case "tick":
        this.#tick(transfer, nowMs);
        if (this.#isOver) return;
    }
    this.#tell(transfer, event, nowMs);
  }

  #meet(peer: PeerId): void {
    if (peer === this.#plan.self || this.#banned.has(peer)) return;
    const joining = this.#joining.get(peer);
    if (joining !== undefined) {
      joining.isMetAgain = true;
      return;
    }
    this.#met.add(peer);
    this.#joining.set(peer, { tries: 1, againAtMs: null, isMetAgain: false });
    this.#effects.push({ kind: "join", peer });
  }

  #joined(transfer: TransferMachine, peer: PeerId, { has, swarm }: Joined, nowMs: number): void {
    if (this.#banned.has(peer)) return;
    this.#met.add(peer);
    this.#tell(transfer, { kind: "peer", peer, has }, nowMs);
    for (const other of swarm) if (!transfer.knows(other)) this.#meet(other);
  }

  #refused(peer: PeerId, why: "missing" | "lost", nowMs: number): void {
    const joining = this.#joining.get(peer);
    if (joining === undefined) return;
    if (why === "missing" && joining.tries < JOIN_TRIES) joining.againAtMs = nowMs + JOIN_AGAIN_MS;
    else this.#joining.delete(peer);
    if (why === "lost" && joining.isMetAgain) this.#meet(peer);
  }

  #heard(transfer: TransferMachine, peer: PeerId, word: ReceiverWord, nowMs: number): void {
    if (!transfer.knows(peer)) this.#meet(peer);
    else if (word.kind === "all") this.#tell(transfer, { kind: "peer", peer, has: null }, nowMs);
    else this.#tell(transfer, { ...word, peer }, nowMs);
  }

  /** To those who may want it. */
  #say(transfer: TransferMachine, word: ReceiverWord): void {
    const to = this.#plan.swarm().filter((peer) => word.kind === "all" || !transfer.hasPiece(peer, word.piece));
    if (to.length > 0) this.#effects.push({ kind: "say", to, word });
  }

  #tick(transfer: TransferMachine, nowMs: number): void {
    this.#lastTickMs = nowMs;
    for (const [peer, joining] of this.#joining) {
      if (joining.againAtMs === null || joining.againAtMs > nowMs) continue;
      joining.tries++;
      joining.againAtMs = null;
      this.#effects.push({ kind: "join", peer });
    }
    if (this.#search !== null) this.#goOnSearching(transfer, this.#search, nowMs);
  }

  /** Asks around until somebody has what is missing, or the time for that is over. */
  #goOnSearching(transfer: TransferMachine, search: Search, nowMs: number): void {
    const { sinceMs, checkAtMs } = search;
    if (checkAtMs === null || checkAtMs > nowMs) return;
    if (transfer.underWay > 0) {
      this.#search = null;
      return;
    }
    // Those who have a part may get more of it.
    const patienceMs = transfer.sources.length > 0 ? this.#plan.stallMs : this.#plan.searchMs;
    const untilMs = Math.max(sinceMs, this.#progressMs) + patienceMs;
    // Who was asked to let this one join may be reading all of the content before it answers.
    if (nowMs >= untilMs + (this.#isJoining ? this.#plan.stallMs : 0)) {
      this.#isOver = true;
      this.#effects.push({ kind: "missing", pieces: transfer.missing });
      return;
    }
    search.checkAtMs = null;
    this.#effects.push({ kind: "search" });
  }

  /** Whether a machine has not answered yet. */
  get #isJoining(): boolean {
    return this.#joining.values().some(({ againAtMs }) => againAtMs === null);
  }

  #tell(transfer: TransferMachine, event: TransferEvent, nowMs: number): void {
    for (const effect of transfer.step(event, nowMs)) this.#follow(transfer, effect, nowMs);
  }

  #follow(transfer: TransferMachine, effect: TransferEffect, nowMs: number): void {
    switch (effect.kind) {
      case "fetch": {
        const { peer, piece, isScarce } = effect;
        if (isScarce) this.#say(transfer, { kind: "promised", piece });
        this.#effects.push({ kind: "fetch", peer, piece });
        return;
      }
      case "abort":
        this.#effects.push(effect);
        return;
      case "complete":
        this.#isOver = true;
        this.#say(transfer, { kind: "all" });
        this.#effects.push({ kind: "complete" });
        return;
      case "starved":
        if (this.#search !== null) return;
        this.#search = { sinceMs: nowMs, checkAtMs: null };
        this.#effects.push({ kind: "search" });
    }
  }
}
