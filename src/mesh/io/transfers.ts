// The transfers under way on this machine: begins each, tells it what others say, and finds machines for it.

import type { PeerId } from "../../base/ids.ts";
import type { Store } from "../../store/io/store.ts";
import type { ContentRef } from "../content.ts";
import { type Moving, movingKey, type Word } from "../content-messages.ts";
import type { Peers } from "../peers.ts";
import type { Swarms } from "../swarms.ts";
import type { Holders } from "./holders.ts";
import type { ServedContent } from "./served-content.ts";
import { LocalFailure, Transfer, type TransferJob, type TransferStart } from "./transfer.ts";

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
    return (await this.#parts.holders.of(refOf(moving), believed)).map(({ peer }) => peer);
  }

  /** Brings all pieces that are missing. Throws `blob.missing`. */
  async run(
    job: Pick<TransferJob, "moving" | "pieces" | "isDone" | "fits" | "fetch">,
    { holders, lied, signal }: FetchContext,
    start: Omit<TransferStart, "holders"> = { banned: [], known: null },
  ): Promise<void> {
    if (job.pieces.every((_, piece) => job.isDone(piece))) return;
    const { moving } = job;
    const search: TransferJob["search"] = (found) => this.#parts.holders.search(refOf(moving), found);
    const transfer = new Transfer(this.#parts, { ...job, search, lied, signal }, { ...start, holders });
    const key = movingKey(moving);
    this.#running.set(key, transfer);
    try {
      await transfer.run();
    } finally {
      if (this.#running.get(key) === transfer) this.#running.delete(key);
    }
  }
}

/** What others are asked for: a file is found where its layer is. */
function refOf(moving: Moving): ContentRef {
  return moving.kind === "file" ? { kind: "layer", digest: moving.layer } : moving;
}

/** What fails here fails the fetch, whoever sent the bytes. */
export function locally<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new LocalFailure(error);
  }
}
