// Trees by digest: of layers that are here, and of layers whose directory is elsewhere. Small ones live in the index beside their
// layer, others in a blob; those read last stay in memory. It knows no directory.

import type { Digest } from "../../base/digest.ts";
import { EMPTY_TREE } from "../layer.ts";
import { readReceivedTree } from "../received-tree.ts";
import type { Tree } from "../tree.ts";
import { decodeTree, encodeTree } from "../tree-codec.ts";
import type { Blobs } from "./blobs.ts";
import type { Index } from "./index-db.ts";

/** Trees up to this size live in the index, larger ones in a blob. */
const INLINE_TREE_BYTES = 16_384;
/** Trees kept in memory, by number of entries. */
const CACHED_ENTRIES = 100_000;

export class Trees {
  readonly #index: Index;
  readonly #blobs: Blobs;
  readonly #cache = new Map<Digest, Tree>();
  #cachedEntries = 0;

  constructor(index: Index, blobs: Blobs) {
    this.#index = index;
    this.#blobs = blobs;
  }

  /** Throws `blob.missing` when it is not here. */
  get(digest: Digest): Tree {
    if (digest === EMPTY_TREE) return [];
    const cached = this.#cache.get(digest);
    if (cached) return cached;
    const tree = decodeTree(this.bytes(digest));
    this.remember(digest, tree);
    return tree;
  }

  /** Canonical bytes. Throws `blob.missing` when it is not here. */
  bytes(digest: Digest): Uint8Array {
    if (digest === EMPTY_TREE) return encodeTree([]);
    return this.#inline(digest) ?? this.#blobs.read(digest);
  }

  /** Whether its bytes can be read and are what they should be. */
  isSound(digest: Digest): boolean {
    return this.#inline(digest) !== null || this.#blobs.read(digest).length > 0;
  }

  /** Whether it is here. */
  has(digest: Digest): boolean {
    return digest === EMPTY_TREE || this.#inline(digest) !== null || this.#blobs.has(digest);
  }

  /** Keeps a large tree before its layer gets a row: a blob can't be part of that transaction. */
  keepLarge(bytes: Uint8Array): void {
    if (bytes.length > INLINE_TREE_BYTES) this.#blobs.put(bytes);
  }

  /** Keeps a small tree in the index. */
  keepSmall(digest: Digest, bytes: Uint8Array): void {
    if (bytes.length <= INLINE_TREE_BYTES)
      this.#index.run("INSERT OR REPLACE INTO trees (digest, bytes) VALUES (?, ?)", digest, bytes);
  }

  /** Keeps a tree that came from another machine, as a blob. Throws `store.corrupt` when no layer `digest` could have it. */
  learn(digest: Digest, bytes: Uint8Array): Tree {
    const tree = readReceivedTree(bytes, digest);
    if (digest !== EMPTY_TREE) this.#blobs.put(bytes);
    this.remember(digest, tree);
    return tree;
  }

  /** Keeps a tree in memory for a while. */
  remember(digest: Digest, tree: Tree): void {
    if (this.#cache.has(digest)) return;
    this.#cache.set(digest, tree);
    this.#cachedEntries += tree.length;
    for (const [oldest, { length }] of this.#cache) {
      if (this.#cachedEntries <= CACHED_ENTRIES || oldest === digest) break;
      this.#cache.delete(oldest);
      this.#cachedEntries -= length;
    }
  }

  /** Forgets what goes with a layer's row. */
  forget(digest: Digest): void {
    this.#cachedEntries -= this.#cache.get(digest)?.length ?? 0;
    this.#cache.delete(digest);
    this.#index.run("DELETE FROM trees WHERE digest = ?", digest);
  }

  #inline(digest: Digest): Uint8Array | null {
    return this.#index.get<{ bytes: Uint8Array }>("SELECT bytes FROM trees WHERE digest = ?", digest)?.bytes ?? null;
  }
}
