// The mesh as the runs of this machine use it, once it is open: hands each run the words that are about it.

import type { Digest } from "../../base/digest.ts";
import type { RunId } from "../../base/ids.ts";
import type { ContentExchange } from "../../mesh/content.ts";
import type { Peers } from "../../mesh/peers.ts";
import type { Store } from "../../store/io/store.ts";
import type { TaskResult } from "../../store/result.ts";
import { MeshClaims } from "./mesh-claims.ts";
import { RunMesh, type RunMeshOptions } from "./run-mesh.ts";
import { serveResults } from "./result-service.ts";
import { taken } from "./wire-check.ts";
import { type LeaseNames, type WorkWords, checkLeaseNames, checkWorkWords } from "./wire-words.ts";

/** What a mesh gives to a node. */
export interface MeshAccess {
  readonly peers: Peers;
  readonly content: ContentExchange;
}

/** What makes results that are written a moment later. */
export interface Fresh {
  fresh(key: Digest): TaskResult | null;
}

export class MeshSide implements Disposable {
  readonly peers: Peers;
  readonly content: ContentExchange;
  readonly claims: MeshClaims;
  readonly #store: Store;
  readonly #runs = new Map<RunId, RunMesh>();
  readonly #makers = new Set<Fresh>();

  /** From now on this machine answers for its results. */
  constructor({ peers, content }: MeshAccess, store: Store) {
    this.peers = peers;
    this.content = content;
    this.#store = store;
    this.claims = new MeshClaims(peers);
    serveResults(peers, store, (key) => this.#freshResult(key));
    peers.onWord("work.words", (params, { peer }) => {
      const words = taken<WorkWords>(checkWorkWords, params, "words");
      this.#runs.get(words.run)?.hear(peer, words);
    });
    // a worker that was away has not heard that a run is over; one that is interrupted may be taken up
    peers.onCall("work.doubt", (params): LeaseNames => {
      const { run, leases } = taken<LeaseNames>(checkLeaseNames, params, "doubt");
      return { run, leases: store.runs.isFinished(run) ? leases : [] };
    });
  }

  /** The mesh for one run, until it is closed. */
  join(run: Omit<RunMeshOptions, "peers" | "content" | "claims" | "store" | "onClosed">): RunMesh {
    const joined = new RunMesh({
      ...run,
      peers: this.peers,
      content: this.content,
      claims: this.claims,
      store: this.#store,
      onClosed: () => this.#runs.delete(run.run),
    });
    this.#runs.set(run.run, joined);
    return joined;
  }

  /** Lets others find what is made for them here before it is written; until the answer is disposed of. */
  alsoFresh(maker: Fresh): Disposable {
    this.#makers.add(maker);
    return { [Symbol.dispose]: () => this.#makers.delete(maker) };
  }

  #freshResult(key: Digest): TaskResult | null {
    for (const maker of [...this.#runs.values(), ...this.#makers]) {
      const result = maker.fresh(key);
      if (result !== null) return result;
    }
    return null;
  }

  [Symbol.dispose](): void {
    this.claims[Symbol.dispose]();
  }
}
