// Performs one transfer (transfer.ts): joins the machines that have the content, asks for the pieces that the machine says, tells
// the others what arrived, and looks for more machines when nobody is left. It knows pieces, not what they hold.

import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import {
  CONTENT,
  type JoinAnswer,
  type Moving,
  movingKey,
  piecesIn,
  readJoinAnswer,
  type Word,
} from "../content-messages.ts";
import type { Peers } from "../peers.ts";
import { type TransferEffect, type TransferEvent, TransferMachine } from "../transfer.ts";
import type { Swarms } from "./swarms.ts";

const TICK_MS = 100;
/** A machine that begins to fetch may not have the list of chunks yet: it is asked again after so long, so often. */
const JOIN_AGAIN_MS = 200;
const JOIN_TRIES = 4;
const SEARCHES = 10;

/** Multiples of it, less their whole part, lie evenly between 0 and 1, however many there are. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** A failure on this machine: it ends the fetch, whoever sent the piece. */
export class LocalFailure extends Error {
  constructor(cause: unknown) {
    super("A piece could not be kept here", { cause });
  }
}

export interface TransferJob {
  readonly moving: Moving;
  /** Bytes of each piece. */
  readonly pieces: readonly number[];
  isDone(piece: number): boolean;
  /** Gets one piece and keeps it. Throws `LocalFailure`, `peer.misbehaved`, and what a stream throws. */
  fetch(peer: PeerId, piece: number, signal: AbortSignal): Promise<"done" | "missing">;
  /** Whether a machine's answer is about the same pieces. */
  fits(answer: JoinAnswer): boolean;
  /** Machines that have it, whole or in part, as they say now. */
  search(): Promise<readonly PeerId[]>;
  /** A machine sent something else. */
  lied(peer: PeerId): void;
  readonly signal: AbortSignal;
}

export interface TransferParts {
  readonly peers: Peers;
  readonly swarms: Swarms;
  readonly nowMs: () => number;
  /** How long content is looked for when nobody has what is missing: longer while somebody has a part of it. */
  readonly searchMs: number;
  readonly stallMs: number;
}

export class Transfer {
  readonly #parts: TransferParts;
  readonly #job: TransferJob;
  readonly #key: string;
  readonly #machine: TransferMachine;
  readonly #banned: Set<PeerId>;
  /** Machines that may have some of it. */
  readonly #met = new Set<PeerId>();
  readonly #joining = new Set<PeerId>();
  readonly #underWay = new Map<string, AbortController>();
  readonly #stop = new AbortController();
  readonly #end = Promise.withResolvers<void>();
  #progressMs: number;
  #isSearching = false;
  #isOver = false;

  constructor(parts: TransferParts, job: TransferJob, options: { banned: Set<PeerId>; rank: number }) {
    this.#parts = parts;
    this.#job = job;
    this.#key = movingKey(job.moving);
    this.#banned = options.banned;
    this.#progressMs = parts.nowMs();
    const startAt = Math.floor(((options.rank * GOLDEN) % 1) * job.pieces.length);
    this.#machine = new TransferMachine({
      pieces: job.pieces,
      isDone: (piece) => job.isDone(piece),
      startAt,
      isShared: options.rank > 0,
    });
  }

  /** Resolves when every piece is here. Throws `blob.missing` when nobody has what is missing, the signal's reason, and local failures. */
  async run(holders: readonly PeerId[], known: ReadonlyMap<PeerId, JoinAnswer> = new Map()): Promise<void> {
    const { signal } = this.#job;
    signal.throwIfAborted();
    const abort = (): void => this.#fail(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    const ticking = setInterval(() => this.#tell({ kind: "tick" }), TICK_MS);
    using _watch = this.#parts.peers.watch(({ kind, peer: { id, state } }) => {
      if (kind === "down" || state === "revoked") this.#tell({ kind: "gone", peer: id });
      else if (kind === "up" && this.#met.has(id)) this.meet(id);
    });
    try {
      for (const [peer, answer] of known) {
        this.#met.add(peer);
        this.#joined(peer, answer);
      }
      for (const peer of holders) if (!known.has(peer)) this.meet(peer);
      this.#tell({ kind: "tick" });
      await this.#end.promise;
      this.#say({ kind: "all", key: this.#key });
    } finally {
      this.#isOver = true;
      clearInterval(ticking);
      signal.removeEventListener("abort", abort);
      this.#stop.abort(new DOMException("The transfer is over", "AbortError"));
      for (const controller of this.#underWay.values()) controller.abort();
    }
  }

  /** Another machine may have some of it: asks it, unless that is under way. */
  meet(peer: PeerId): void {
    if (this.#isOver || peer === this.#parts.peers.self || this.#joining.has(peer) || this.#banned.has(peer)) return;
    this.#met.add(peer);
    this.#joining.add(peer);
    void this.#join(peer).finally(() => this.#joining.delete(peer));
  }

  /** A machine says what it has got, or is getting. */
  heard(peer: PeerId, word: Word): void {
    if (this.#isOver || this.#banned.has(peer)) return;
    if (!this.#machine.sources.includes(peer)) this.meet(peer);
    else if (word.kind === "all") this.#tell({ kind: "peer", peer, has: null });
    else this.#tell({ kind: word.kind, peer, piece: word.piece });
  }

  /**
   * To those who may want it. On the lane for control: behind bulk data a word would come seconds late, and nobody would ask for what
   * is here.
   */
  #say(word: Word): void {
    for (const peer of this.#parts.swarms.of(this.#key))
      if (word.kind === "all" || !this.#machine.hasPiece(peer, word.piece))
        this.#parts.peers.tell(peer, CONTENT.word, word);
  }

  async #join(peer: PeerId): Promise<void> {
    for (let tries = 0; tries < JOIN_TRIES && !this.#isOver; tries++) {
      try {
        this.#joined(peer, await joinAt(this.#parts.peers, peer, this.#job.moving, this.#stop.signal));
        return;
      } catch (error) {
        if (!(error instanceof MeshError) || error.code !== "blob.missing") return;
      }
      await pause(JOIN_AGAIN_MS, this.#stop.signal);
    }
  }

  #joined(peer: PeerId, answer: JoinAnswer): void {
    if (this.#isOver || !this.#job.fits(answer)) return;
    this.#tell({ kind: "peer", peer, has: answer.isWhole ? null : piecesIn(answer.have, this.#job.pieces.length) });
    for (const other of answer.swarm) if (!this.#machine.sources.includes(other)) this.meet(other);
  }

  #tell(event: TransferEvent): void {
    if (this.#isOver) return;
    for (const effect of this.#machine.step(event, this.#parts.nowMs())) this.#perform(effect);
  }

  #perform(effect: TransferEffect): void {
    switch (effect.kind) {
      case "fetch":
        if (effect.isScarce) this.#say({ kind: "promised", key: this.#key, piece: effect.piece });
        void this.#fetch(effect.peer, effect.piece);
        return;
      case "abort":
        this.#underWay.get(`${effect.peer} ${effect.piece}`)?.abort();
        return;
      case "complete":
        this.#isOver = true;
        this.#end.resolve();
        return;
      case "starved":
        void this.#search();
        return;
    }
  }

  async #fetch(peer: PeerId, piece: number): Promise<void> {
    const name = `${peer} ${piece}`;
    const controller = new AbortController();
    this.#underWay.set(name, controller);
    try {
      const outcome = await this.#job.fetch(peer, piece, controller.signal);
      this.#underWay.delete(name);
      if (outcome === "missing") this.#tell({ kind: "failed", peer, piece, why: "missing" });
      else this.#arrived(peer, piece);
    } catch (error) {
      this.#underWay.delete(name);
      if (error instanceof LocalFailure) this.#fail(error.cause);
      else if (!controller.signal.aborted) this.#tell({ kind: "failed", peer, piece, why: this.#judge(peer, error) });
    }
  }

  #arrived(peer: PeerId, piece: number): void {
    this.#progressMs = this.#parts.nowMs();
    this.#say({ kind: "got", key: this.#key, piece });
    this.#tell({ kind: "done", peer, piece });
  }

  #judge(peer: PeerId, error: unknown): "missing" | "lost" | "lied" {
    const code = error instanceof MeshError ? error.code : null;
    if (code === "blob.missing") return "missing";
    if (code !== "peer.misbehaved") return "lost";
    this.#banned.add(peer);
    this.#job.lied(peer);
    return "lied";
  }

  /** Asks around until somebody has what is missing, or the time for that is over. */
  async #search(): Promise<void> {
    if (this.#isSearching || this.#isOver) return;
    this.#isSearching = true;
    const sinceMs = this.#parts.nowMs();
    try {
      while (!this.#isOver && this.#underWay.size === 0) {
        const { signal } = this.#stop;
        for (const peer of await this.#job.search()) this.meet(peer);
        await pause(this.#parts.searchMs / SEARCHES, signal);
        const nowMs = this.#parts.nowMs();
        // Those who have a part may get more of it.
        const patienceMs = this.#machine.sources.length > 0 ? this.#parts.stallMs : this.#parts.searchMs;
        if (this.#underWay.size === 0 && nowMs - Math.max(sinceMs, this.#progressMs) >= patienceMs) {
          const what = `${this.#machine.missing} of ${this.#job.pieces.length} pieces`;
          this.#fail(new MeshError("blob.missing", `Cannot find ${what} of ${this.#key} on any machine`));
        }
      }
    } catch (error) {
      if (!this.#isOver) this.#fail(error);
    } finally {
      this.#isSearching = false;
    }
  }

  #fail(error: unknown): void {
    this.#isOver = true;
    this.#end.reject(error);
  }
}

/** Tells a machine that this one begins to fetch, and asks what it has. Throws `blob.missing`, and what a call throws. */
export async function joinAt(peers: Peers, peer: PeerId, moving: Moving, signal: AbortSignal): Promise<JoinAnswer> {
  // Listing the chunks of large content takes a machine as long as reading it.
  const options = { timeoutMs: LIMITS.contentStallMs, lane: "bulk", signal } as const;
  return readJoinAnswer(await peers.call(peer, CONTENT.join, moving, options), moving.kind === "layer");
}

/** Waits, or less when the signal fires. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
