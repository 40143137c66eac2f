// The mesh as the runs of this machine use it, once it is open: hands each run the words that are about it.

import type { RunId } from "../../base/ids.ts";
import type { ContentExchange } from "../../mesh/content.ts";
import type { Peers } from "../../mesh/peers.ts";
import type { Store } from "../../store/io/store.ts";
import { RunMesh, type RunMeshOptions } from "./run-mesh.ts";
import { serveResults } from "./result-service.ts";
import { taken } from "./wire-check.ts";
import { type WorkWords, checkWorkWords } from "./wire-words.ts";

/** What a mesh gives to a node. */
export interface MeshAccess {
  readonly peers: Peers;
  readonly content: ContentExchange;
}

export class MeshSide {
  readonly peers: Peers;
  readonly content: ContentExchange;
  readonly #store: Store;
  readonly #runs = new Map<RunId, RunMesh>();

  /** From now on this machine answers for its results. */
  constructor({ peers, content }: MeshAccess, store: Store) {
    this.peers = peers;
    this.content = content;
    this.#store = store;
    serveResults(peers, store);
    peers.onWord("work.words", (params, { peer }) => {
      const words = taken<WorkWords>(checkWorkWords, params, "words");
      this.#runs.get(words.run)?.hear(peer, words);
    });
  }

  /** The mesh for one run, until it is closed. */
  join(run: Omit<RunMeshOptions, "peers" | "content" | "store" | "onClosed">): RunMesh {
    const joined = new RunMesh({
      ...run,
      peers: this.peers,
      content: this.content,
      store: this.#store,
      onClosed: () => this.#runs.delete(run.run),
    });
    this.#runs.set(run.run, joined);
    return joined;
  }
}
