// Several stores in one process that exchange content over a mesh in memory.

import { mkdirSync } from "node:fs";
import type { PeerId } from "../../../src/base/ids.ts";
import { MeshContent } from "../../../src/mesh/io/content-exchange.ts";
import type { LayerRef } from "../../../src/store/layer.ts";
import { removeTree } from "../../../src/store/io/remove-tree.ts";
import { Store } from "../../../src/store/io/store.ts";
import { type HubPeers, MeshHub } from "../../fake/mesh-hub.ts";
import { temporaryFolder, type TemporaryFolder } from "../../support/temporary.ts";
import { writeFiles } from "../../store/support.ts";

const NONE: ReadonlySet<string> = new Set();

export interface Machine {
  readonly id: PeerId;
  readonly peers: HubPeers;
  readonly store: Store;
  readonly content: MeshContent;
}

export class ContentMesh implements AsyncDisposable {
  readonly hub = new MeshHub();
  readonly folder: TemporaryFolder = temporaryFolder();
  readonly #stores: Store[] = [];
  #uppers = 0;

  /** A machine of this name with an empty store, or with the one that it had. */
  add(name: string, home = name): Machine {
    const peers = this.hub.add(name);
    const store = Store.open(this.folder.join(home));
    this.#stores.push(store);
    return { id: peers.self, peers, store, content: new MeshContent({ store, peers, searchMs: 200, stallMs: 1_000 }) };
  }

  /** Commits what `fill` makes in an upper directory. */
  commit(machine: Machine, fill: Readonly<Record<string, string>> | ((upper: string) => void)): Promise<LayerRef> {
    const upper = `${machine.store.paths.scratch}/upper-${this.#uppers++}`;
    mkdirSync(upper, { recursive: true });
    if (typeof fill === "function") fill(upper);
    else writeFiles(upper, fill);
    return machine.store.layers.commit({ upper, maskedDirectories: NONE });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const store of this.#stores) {
      await store.settled();
      store[Symbol.dispose]();
      // Layers hold names that are no text and directories that are closed.
      await removeTree(store.paths.layers);
    }
    this.folder[Symbol.dispose]();
  }
}

/** Bytes that no two seeds share, without runs that could be holes. */
export function noise(length: number, seed: number): Uint8Array {
  const bytes = new Uint32Array(Math.ceil(length / 4));
  let state = seed >>> 0 || 1;
  for (let at = 0; at < bytes.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state;
  }
  return new Uint8Array(bytes.buffer, 0, length);
}
