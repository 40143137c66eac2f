// Small blobs, many with one request: those that are wanted of one machine at the same time come as one stream.

import { type Digest, hexOf } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import type { Store } from "../../store/io/store.ts";
import type { Peers } from "../peers.ts";
import { BatchedAsks } from "./batched-asks.ts";
import { readBlobsFrom } from "./content-wire.ts";

export interface SmallBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** How it went: the blob is in the store, or the machine has it not, sent something else, or was lost. */
export type SmallOutcome = "done" | "missing" | "lied" | "lost";

/** Blobs in one request: few enough that the largest of them fit the memory of one transfer. */
const MOST = 256;

export class SmallBlobs {
  readonly #store: Store;
  readonly #peers: Peers;
  readonly #asks: BatchedAsks<SmallBlob, SmallOutcome>;

  constructor(store: Store, peers: Peers) {
    this.#store = store;
    this.#peers = peers;
    this.#asks = new BatchedAsks(MOST, (peer, blobs) => this.#fetch(peer, blobs));
  }

  /** Throws `store.full` and its like. */
  fetch(peer: PeerId, blob: SmallBlob): Promise<SmallOutcome> {
    return this.#asks.ask(peer, blob);
  }

  async #fetch(peer: PeerId, blobs: readonly SmallBlob[]): Promise<readonly SmallOutcome[]> {
    using _room = this.#store.room.take(blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
    const outcomes = blobs.map((): SmallOutcome => "lost");
    const local: { failure: Error | null } = { failure: null };
    const stop = new AbortController();
    const wanted = { digests: blobs.map(({ digest }) => digest), sizes: blobs.map(({ sizeBytes }) => sizeBytes) };
    const each = (at: number, file: { readonly bytes: Uint8Array } | null): void => {
      const blob = blobs[at];
      if (!blob || local.failure) return;
      outcomes[at] = "missing";
      if (!file) return;
      outcomes[at] = "lied";
      if (Bun.SHA256.hash(file.bytes, "hex") !== hexOf(blob.digest)) return;
      try {
        this.#store.blobs.put(file.bytes);
        outcomes[at] = "done";
      } catch (error) {
        local.failure = error instanceof Error ? error : new Error("A blob could not be kept", { cause: error });
        stop.abort();
      }
    };
    try {
      await readBlobsFrom(this.#peers, peer, { ...wanted, each }, stop.signal);
    } catch (error) {
      if (local.failure) throw local.failure;
      if (!(error instanceof MeshError)) throw error;
      const isLie = error.code === "peer.misbehaved";
      for (const [at, outcome] of outcomes.entries()) if (outcome === "lost" && isLie) outcomes[at] = "lied";
    }
    if (local.failure) throw local.failure;
    return outcomes;
  }
}
