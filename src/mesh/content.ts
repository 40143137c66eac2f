// Content of the store as it moves between machines: what is wanted, who has it, what came. Types only; the exchange is in
// io/, its twin for tests in test/fake/.

import type { Digest } from "../base/digest.ts";
import type { PeerId } from "../base/ids.ts";

/** A blob, or a layer (its directory of files and its tree). */
export interface ContentRef {
  readonly kind: "blob" | "layer";
  readonly digest: Digest;
}

export interface FetchOptions {
  /** Machines that are believed to have it, best first; others are asked when these do not do. */
  readonly holders?: readonly PeerId[];
  readonly signal?: AbortSignal;
  /** Bytes that have arrived and been verified so far, of those that were missing. */
  readonly onProgress?: (doneBytes: number, missingBytes: number) => void;
}

export interface FetchReport {
  /** Bytes that came over the network. */
  readonly receivedBytes: number;
  /** Bytes that were here already, in other layers or blobs. */
  readonly reusedBytes: number;
  /** Machines that sent wrong bytes; each was dropped for that content. */
  readonly liars: readonly PeerId[];
}

export interface ContentExchange {
  /**
   * Brings content into this machine's store; what is there is not fetched. The same content wanted twice at once is fetched
   * once. Throws `blob.missing` (naming all digests that no reachable machine has), `store.full`.
   */
  fetch(wanted: readonly ContentRef[], options?: FetchOptions): Promise<FetchReport>;
  /** Brings only the trees of layers, so that keys can be computed over them. Throws `blob.missing`. */
  fetchTrees(layers: readonly Digest[], options?: FetchOptions): Promise<void>;
  /** Which reachable machines have what of these, this one left out. */
  locate(wanted: readonly ContentRef[], signal?: AbortSignal): Promise<ReadonlyMap<Digest, readonly PeerId[]>>;
}
