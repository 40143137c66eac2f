// Where the content of a file can be found that is here already, in a layer or as a blob: an index in memory from digests to
// places, filled when it is first asked, from layers that need no check. It never vouches for what a file holds by now.

import { type Digest, hexOf } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import type { Tree, TreeEntry } from "../tree.ts";
import type { Blobs } from "./blobs.ts";
import type { Index } from "./index-db.ts";
import type { Layers } from "./layers.ts";
import { breathe } from "./scan.ts";

export type FilePlace =
  | { readonly kind: "blob"; readonly path: string }
  | { readonly kind: "layer"; readonly layer: Digest; readonly entry: TreeEntry };

/** Entries of one tree that a place can name. */
const ENTRY_SPAN = 2 ** 25;
/** Hex digits of a digest that make a key: 52 bits, which a number holds. */
const KEY_DIGITS = 13;

export class FilePlaces {
  readonly #index: Index;
  readonly #layers: Layers;
  readonly #blobs: Blobs;
  readonly #boot: string;
  readonly #seen = new Set<Digest>();
  readonly #numbered: Digest[] = [];
  readonly #places = new Map<number, number>();

  constructor(parts: { index: Index; layers: Layers; blobs: Blobs; boot: string }) {
    this.#index = parts.index;
    this.#layers = parts.layers;
    this.#blobs = parts.blobs;
    this.#boot = parts.boot;
  }

  /** Takes in the layers that came since the last call, those used last first, as far as the bound allows. */
  async refresh(signal?: AbortSignal): Promise<void> {
    const rows = this.#index.all<{ digest: Digest; entries: number }>(
      "SELECT digest, entries FROM layers WHERE boot IN (?, 'synced') ORDER BY used_at DESC, digest",
      this.#boot,
    );
    for (const { digest, entries } of rows) {
      if (this.#seen.has(digest)) continue;
      if (this.#places.size + entries > LIMITS.filePlaces || entries > ENTRY_SPAN) continue;
      signal?.throwIfAborted();
      this.#take(digest);
      await breathe();
    }
  }

  #take(digest: Digest): void {
    this.#seen.add(digest);
    if (!this.#layers.has(digest)) return;
    const base = this.#numbered.length * ENTRY_SPAN;
    this.#numbered.push(digest);
    for (const [at, entry] of this.#layers.tree(digest).entries())
      if (entry.digest !== null && entry.size > 0) this.#places.set(keyOf(entry.digest), base + at);
  }

  /** A place of this content; null when none is known. The file there may be gone or closed by the time it is opened. */
  find(digest: Digest): FilePlace | null {
    const place = this.#places.get(keyOf(digest));
    if (place !== undefined) {
      const layer = this.#numbered[Math.floor(place / ENTRY_SPAN)];
      const entry = layer === undefined ? undefined : this.#treeOf(layer)[place % ENTRY_SPAN];
      if (layer !== undefined && entry?.digest === digest) return { kind: "layer", layer, entry };
      this.#places.delete(keyOf(digest));
    }
    return this.#blobs.has(digest) ? { kind: "blob", path: this.#blobs.path(digest) } : null;
  }

  /** No entries when the layer was removed. */
  #treeOf(layer: Digest): Tree {
    try {
      return this.#layers.tree(layer);
    } catch (error) {
      if (error instanceof MeshError && error.code === "blob.missing") return [];
      throw error;
    }
  }
}

function keyOf(digest: Digest): number {
  return Number.parseInt(hexOf(digest).slice(0, KEY_DIGITS), 16);
}
