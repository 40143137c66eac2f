// The transfers under way on this machine: begins each, tells it what others say, and finds machines for it.

import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import type { Store } from "../../store/io/store.ts";
import type { ContentRef } from "../content.ts";
import { type JoinAnswer, type Moving, movingKey, type Word } from "../content-messages.ts";
import type { Peers } from "../peers.ts";
import type { Holders } from "./holders.ts";
import type { ServedContent } from "./served-content.ts";
import type { Swarms } from "./swarms.ts";
import { joinAt, LocalFailure, Transfer, type TransferJob } from "./transfer.ts";

/** One fetch of one content, for all who wait for it. */
export interface FetchContext {
  /** Machines believed to have it, best first. */
  readonly holders: readonly PeerId[];
  readonly signal: AbortSignal;
  /** Bytes that came, or were here: each verified, each told once. */
  readonly received: (bytes: number) => void;
  readonly reused: (bytes: number) => void;
  /** Bytes that turn out to be missing. */
  readonly missing: (bytes: number) => void;
  readonly lied: (peer: PeerId) => void;
}

export interface FetcherParts {
  readonly store: Store;
  readonly peers: Peers;
  readonly served: ServedContent;
  readonly swarms: Swarms;
  readonly holders: Holders;
  readonly nowMs: () => number;
  readonly searchMs: number;
  readonly stallMs: number;
}

export class Transfers {
  readonly #parts: FetcherParts;
  /** By `movingKey`. */
  readonly #running = new Map<string, Transfer>();

  constructor(parts: FetcherParts) {
    this.#parts = parts;
  }

  /** Another machine told of a piece. */
  heard(peer: PeerId, word: Word): void {
    this.#running.get(word.key)?.heard(peer, word);
  }

  /** Another machine begins to fetch the same. */
  meet(peer: PeerId, key: string): void {
    this.#running.get(key)?.meet(peer);
  }

  /** Machines that have some of it, the believed ones when they do. */
  async peersWith(moving: Moving, believed: readonly PeerId[]): Promise<readonly PeerId[]> {
    const ref: ContentRef = moving.kind === "file" ? { kind: "layer", digest: moving.layer } : moving;
    return (await this.#parts.holders.of(ref, believed)).map(({ peer }) => peer);
  }

  /** Brings all pieces that are missing. Throws `blob.missing`. */
  async run(
    job: Pick<TransferJob, "moving" | "pieces" | "isDone" | "fits" | "fetch">,
    context: FetchContext,
    more: { readonly banned?: Set<PeerId>; readonly known?: ReadonlyMap<PeerId, JoinAnswer> } = {},
  ): Promise<void> {
    if (job.pieces.every((_, piece) => job.isDone(piece))) return;
    const { moving } = job;
    const known = more.known ?? (await this.#joinFirst(moving, context));
    // Receivers that come one after another begin at other places, the first of them at the start: so it hashes as it reads.
    const rank = Math.max(0, ...known.values().map((answer) => answer.swarm.length));
    const transfer = new Transfer(
      this.#parts,
      {
        ...job,
        search: () => this.peersWith(moving, []),
        lied: context.lied,
        signal: context.signal,
      },
      { banned: more.banned ?? new Set(), rank },
    );
    const key = movingKey(moving);
    this.#running.set(key, transfer);
    try {
      await transfer.run(context.holders, known);
    } finally {
      if (this.#running.get(key) === transfer) this.#running.delete(key);
    }
  }

  /** The answer of the first machine that gives one. */
  async #joinFirst(moving: Moving, context: FetchContext): Promise<ReadonlyMap<PeerId, JoinAnswer>> {
    for (const peer of context.holders) {
      try {
        return new Map([[peer, await joinAt(this.#parts.peers, peer, moving, context.signal)]]);
      } catch (error) {
        context.signal.throwIfAborted();
        if (!(error instanceof MeshError)) throw error;
      }
    }
    return new Map();
  }
}

/** What fails here fails the fetch, whoever sent the bytes. */
export function locally<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new LocalFailure(error);
  }
}
