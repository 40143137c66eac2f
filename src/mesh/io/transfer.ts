// Performs what a receiver (receiver.ts) decides: asks machines to let it join, asks for the pieces that it names, tells the others what
// arrived, and asks around for more machines. It knows pieces, not what they hold.

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
import { type Joined, Receiver, type ReceiverEffect, type ReceiverEvent } from "../receiver.ts";
import type { Swarms } from "../swarms.ts";

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
  /** Asks all machines that can be reached, and tells of each that has it, whole or in part, as it answers. */
  search(found: (peer: PeerId) => void): Promise<void>;
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

export interface TransferStart {
  /** Machines believed to have it, best first. */
  readonly holders: readonly PeerId[];
  /** Answers of those of them that were asked already, all about the same pieces; null when none was. */
  readonly known: ReadonlyMap<PeerId, JoinAnswer> | null;
  readonly banned: Iterable<PeerId>;
}

export class Transfer {
  readonly #parts: TransferParts;
  readonly #job: TransferJob;
  readonly #key: string;
  readonly #receiver: Receiver;
  readonly #underWay = new Map<string, AbortController>();
  readonly #stop = new AbortController();
  readonly #end = Promise.withResolvers<void>();
  #alarm: Timer | null = null;
  #alarmAtMs = Number.POSITIVE_INFINITY;
  #isOver = false;

  constructor(parts: TransferParts, job: TransferJob, start: TransferStart) {
    const key = movingKey(job.moving);
    this.#parts = parts;
    this.#job = job;
    this.#key = key;
    const known = start.known && new Map(start.known.entries().map(([peer, answer]) => [peer, this.#read(answer)]));
    this.#receiver = new Receiver({
      self: parts.peers.self,
      pieces: job.pieces,
      isDone: (piece) => job.isDone(piece),
      holders: start.holders,
      known,
      banned: start.banned,
      swarm: () => parts.swarms.of(key),
      searchMs: parts.searchMs,
      stallMs: parts.stallMs,
    });
  }

  /** Resolves when every piece is here. Throws `blob.missing` when nobody has what is missing, the signal's reason, and local failures. */
  async run(): Promise<void> {
    const { signal } = this.#job;
    signal.throwIfAborted();
    const abort = (): void => this.#fail(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    using _watch = this.#parts.peers.watch(({ kind, peer: { id, state } }) => {
      if (kind === "down" || state === "revoked") this.#tell({ kind: "gone", peer: id });
      else if (kind === "up") this.#tell({ kind: "back", peer: id });
    });
    try {
      this.#tell({ kind: "begin" });
      await this.#end.promise;
    } finally {
      this.#isOver = true;
      clearTimeout(this.#alarm ?? undefined);
      signal.removeEventListener("abort", abort);
      this.#stop.abort(new DOMException("The transfer is over", "AbortError"));
      for (const controller of this.#underWay.values()) controller.abort();
    }
  }

  /** Another machine may have some of it. */
  meet(peer: PeerId): void {
    this.#tell({ kind: "met", peer });
  }

  /** A machine says what it has got, or is getting. */
  heard(peer: PeerId, word: Word): void {
    this.#tell({ kind: "heard", peer, word });
  }

  #tell(event: ReceiverEvent): void {
    if (this.#isOver) return;
    for (const effect of this.#receiver.step(event, this.#parts.nowMs())) this.#perform(effect);
    this.#setAlarm();
  }

  #setAlarm(): void {
    const atMs = this.#receiver.wakeAtMs;
    if (this.#isOver || atMs >= this.#alarmAtMs) return;
    this.#alarmAtMs = atMs;
    clearTimeout(this.#alarm ?? undefined);
    const afterMs = Math.max(1, Math.ceil(atMs - this.#parts.nowMs()));
    this.#alarm = setTimeout(() => {
      this.#alarmAtMs = Number.POSITIVE_INFINITY;
      this.#tell({ kind: "tick" });
    }, afterMs);
  }

  #perform(effect: ReceiverEffect): void {
    switch (effect.kind) {
      case "join":
        void this.#join(effect.peer);
        return;
      case "fetch":
        void this.#fetch(effect.peer, effect.piece);
        return;
      case "abort":
        this.#underWay.get(`${effect.peer} ${effect.piece}`)?.abort();
        return;
      case "say":
        // On the lane for control: behind bulk data a word would come seconds late, and nobody would ask for what is here.
        for (const peer of effect.to) this.#parts.peers.tell(peer, CONTENT.word, { ...effect.word, key: this.#key });
        return;
      case "search":
        void this.#search();
        return;
      case "lied":
        this.#job.lied(effect.peer);
        return;
      case "complete":
        this.#isOver = true;
        this.#end.resolve();
        return;
      case "missing": {
        const what = `${effect.pieces} of ${this.#job.pieces.length} pieces`;
        return this.#fail(new MeshError("blob.missing", `Cannot find ${what} of ${this.#key} on any machine`));
      }
    }
  }

  async #join(peer: PeerId): Promise<void> {
    try {
      const answer = await joinAt(this.#parts.peers, peer, this.#job.moving, this.#stop.signal);
      if (this.#job.fits(answer)) this.#tell({ kind: "joined", peer, ...this.#read(answer) });
      else this.#tell({ kind: "refused", peer, why: "lost" });
    } catch (error) {
      if (!(error instanceof MeshError)) return this.#fail(error);
      this.#tell({ kind: "refused", peer, why: error.code === "blob.missing" ? "missing" : "lost" });
    }
  }

  #read({ isWhole, have, swarm }: JoinAnswer): Joined {
    return { has: isWhole ? null : piecesIn(have, this.#job.pieces.length), swarm };
  }

  async #fetch(peer: PeerId, piece: number): Promise<void> {
    const name = `${peer} ${piece}`;
    const controller = new AbortController();
    this.#underWay.set(name, controller);
    try {
      const outcome = await this.#job.fetch(peer, piece, controller.signal);
      this.#underWay.delete(name);
      this.#tell(outcome === "done" ? { kind: "done", peer, piece } : { kind: "failed", peer, piece, why: "missing" });
    } catch (error) {
      this.#underWay.delete(name);
      if (error instanceof LocalFailure) this.#fail(error.cause);
      else if (!controller.signal.aborted) this.#tell({ kind: "failed", peer, piece, why: whyOf(error) });
    }
  }

  async #search(): Promise<void> {
    try {
      await this.#job.search((peer) => this.meet(peer));
      this.#tell({ kind: "searched" });
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#isOver = true;
    this.#end.reject(error);
  }
}

function whyOf(error: unknown): "missing" | "lost" | "lied" {
  const code = error instanceof MeshError ? error.code : null;
  return code === "blob.missing" ? "missing" : code === "peer.misbehaved" ? "lied" : "lost";
}

/** Tells a machine that this one begins to fetch, and asks what it has. Throws `blob.missing`, and what a call throws. */
export async function joinAt(peers: Peers, peer: PeerId, moving: Moving, signal: AbortSignal): Promise<JoinAnswer> {
  // Listing the chunks of large content takes a machine as long as reading it.
  const options = { timeoutMs: LIMITS.contentStallMs, lane: "bulk", signal } as const;
  return readJoinAnswer(await peers.call(peer, CONTENT.join, moving, options), moving.kind === "layer");
}
