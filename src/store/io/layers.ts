// Layers on disk: a task's upper directory becomes its layer by rename, is found again by the digest of its tree, and serves as an
// overlay lowerdir as it stands. Also what is made of layers: masks, flattened stacks, and views through a filter.

import { existsSync, readdirSync } from "node:fs";
import { canonicalDigest } from "../../base/canonical.ts";
import { type Digest, shortDigest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import type { Filter } from "../filter.ts";
import type { IdMaps } from "../ids.ts";
import { EMPTY_LAYER, EMPTY_TREE, isEmptyLayer, type LayerRef } from "../layer.ts";
import {
  applyFilter,
  type FilteredView,
  type MaskParent,
  mergeTrees,
  mergeWithSources,
  showsWhiteouts,
} from "../merged.ts";
import { WORKSPACE_IN_TREE, layerPath } from "../paths.ts";
import { contentBytes, inWorkspace, type Tree } from "../tree.ts";
import { decodeTree, type EncodedTree, encodeParts, encodeTree } from "../tree-codec.ts";
import type { Blobs } from "./blobs.ts";
import { buildTree } from "./build-tree.ts";
import { check } from "./errno.ts";
import { storeFailure } from "./failures.ts";
import type { HashPool } from "./hash-pool.ts";
import type { Home } from "./home.ts";
import type { Index } from "./index-db.ts";
import { pruneUnkept } from "./output-filter.ts";
import { isOf, isRefusal, nameOf, type Ownership } from "./ownership.ts";
import * as raw from "./raw-files.ts";
import { type Scan, scanDirectory } from "./scan.ts";
import { Skeletons, underlayOf } from "./skeletons.ts";
import { Trees } from "./trees.ts";
import { keepWorkspace, takeRoot } from "./workspace.ts";

export interface CommitOptions {
  /** The overlay's upper directory, not mounted any more. It is gone afterwards, unless it was empty. */
  readonly upper: string;
  /**
   * Tree paths of directories that a mask hid. One that the task made over the mask's whiteout carries an opaque mark although
   * nothing was deleted: the mark is removed.
   */
  readonly maskedDirectories: ReadonlySet<string>;
  /** Whether a tree path stays in the layer (`outputs.filesystem.filter`); directories above what stays are kept. */
  readonly keep?: ((path: string) => boolean) | undefined;
  /** How owners on disk look inside; the store's own when left out. */
  readonly ids?: IdMaps | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A filter's outcome over a stack of layers, without the entries behind its digest. */
export type LayerView = Omit<FilteredView, "keyTree">;

interface LayerRow {
  readonly digest: string;
  readonly workspace: string;
  readonly system: string;
  readonly size: number;
  readonly entries: number;
  readonly whiteouts: number;
  readonly ids: string;
  readonly boot: string;
}

/** What layers are made with. */
export interface LayerParts {
  readonly home: Home;
  readonly index: Index;
  readonly blobs: Blobs;
  readonly pool: HashPool;
  /** This boot of the machine. */
  readonly boot: string;
  readonly ownership: Ownership;
}

export class Layers {
  readonly #home: Home;
  readonly #index: Index;
  readonly #blobs: Blobs;
  readonly #pool: HashPool;
  readonly #boot: string;
  readonly #ownership: Ownership;
  readonly #skeletons: Skeletons;
  readonly #trees: Trees;
  /** Layers that had a row when this process looked. */
  readonly #known = new Set<Digest>();

  constructor(parts: LayerParts) {
    this.#home = parts.home;
    this.#index = parts.index;
    this.#blobs = parts.blobs;
    this.#pool = parts.pool;
    this.#boot = parts.boot;
    this.#ownership = parts.ownership;
    this.#skeletons = new Skeletons(parts.home);
    this.#trees = new Trees(parts.index, parts.blobs);
  }

  /**
   * Makes a layer of an upper directory: reads it, then renames it into place, or drops it when that layer is there already.
   * Throws `store.full`, `store.unwritable`, `io.failed`; the upper directory is then still where it was.
   */
  async commit(options: CommitOptions): Promise<LayerRef> {
    const { upper, signal } = options;
    try {
      takeRoot(upper);
      if (readdirSync(upper).length === 0) return EMPTY_LAYER;
      keepWorkspace(upper);
      const ids = options.ids ?? this.#ownership.ids();
      const scanOptions = { ids, maskedDirectories: options.maskedDirectories, removeForeign: true, signal };
      let scan = await scanDirectory(upper, scanOptions);
      if (options.keep && (await pruneUnkept(upper, scan.entries, options.keep)))
        scan = await scanDirectory(upper, scanOptions);
      for (const path of scan.dropped) {
        this.#index.warn("entry-left-out", `${JSON.stringify(path)} is a socket or a device, which a layer can't hold`);
      }
      if (scan.entries.length === 0) return EMPTY_LAYER;
      await this.#pool.hash(scan, Date.now(), signal);
      return this.publish(upper, scan, ids);
    } catch (error) {
      throw storeFailure(error, `commit the layer in ${upper}`);
    }
  }

  /** Puts a directory whose tree is known into place, or drops it when that layer is there already. */
  publish(directory: string, content: Pick<Scan, "tree" | "sizeBytes">, ids: IdMaps): LayerRef {
    const tree = content.tree();
    const encoded = encodeParts(tree);
    const ref = refOf(encoded, content.sizeBytes, tree.length);
    if (isEmptyLayer(ref)) return ref;
    this.#trees.keepLarge(encoded.bytes);
    const target = this.directory(ref.digest);
    check(raw.chmodAt(raw.HERE, directory, 0o755), "chmod", directory);
    let isMoved = false;
    try {
      this.#index.transaction(() => {
        const present = existsSync(target);
        if (present && this.has(ref.digest)) {
          this.#home.discard(directory);
          return;
        }
        // A directory of that name that no row vouches for is rubbish of a process that ended in the middle.
        if (present) this.#home.discard(target);
        check(raw.renameAt(raw.HERE, directory, raw.HERE, target), "rename", target);
        isMoved = true;
        this.#insert(ref, encoded, tree, ids);
      });
    } catch (error) {
      if (isMoved) raw.renameAt(raw.HERE, target, raw.HERE, directory);
      throw error;
    }
    this.#trees.remember(ref.digest, tree);
    return ref;
  }

  #insert(ref: LayerRef, encoded: EncodedTree, tree: Tree, ids: IdMaps): void {
    const whiteouts = tree.filter((entry) => entry.kind === "whiteout").length;
    const isRootsAlone = tree.every(({ uid, gid }) => uid === 0 && gid === 0);
    this.#index.run(
      "INSERT OR REPLACE INTO layers (digest, workspace, system, size, entries, whiteouts, ids, boot, used_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      ref.digest,
      ref.workspace,
      ref.system,
      ref.sizeBytes,
      ref.entries,
      whiteouts,
      isRootsAlone ? this.#ownership.names().plain : this.#mapName(ids),
      this.#boot,
      Date.now(),
    );
    this.#trees.keepSmall(ref.digest, encoded.bytes);
  }

  /**
   * Keeps the tree of a layer whose directory is elsewhere, so that keys and views can be computed over it; `has` stays false. As
   * a blob, it is safe from pruning while a run pins the digest. Throws `store.corrupt` when the bytes are not that layer's tree.
   */
  learn(digest: Digest, bytes: Uint8Array): LayerRef {
    const tree = this.#trees.learn(digest, bytes);
    return refOf(encodeParts(tree), contentBytes(tree), tree.length);
  }

  /** Whether the layer's tree is here, with its directory or without. */
  knowsTree(digest: Digest): boolean {
    return this.#trees.has(digest);
  }

  /** The canonical bytes of a layer's tree. Throws `blob.missing`. */
  treeBytes(digest: Digest): Uint8Array {
    return this.#trees.bytes(digest);
  }

  /** Where the layer's directory is, whether it exists or not. The empty layer has none. */
  directory(digest: Digest): string {
    return layerPath(this.#home.paths, digest);
  }

  /** Whether the layer is there. Whether it survived a reboot is another question: `needsCheck`. */
  has(digest: Digest): boolean {
    if (digest === EMPTY_TREE) return true;
    if (!existsSync(this.directory(digest))) return false;
    // The row goes before the directory does: what was vouched for once is, while its directory is there.
    if (!this.#known.has(digest)) {
      const row = this.#row(digest);
      if (row === null || !isOf(this.#ownership, row.ids)) return false;
      this.#known.add(digest);
    }
    return true;
  }

  /** The layer's name and parts, or null when it is not there. */
  ref(digest: Digest): LayerRef | null {
    if (digest === EMPTY_TREE) return EMPTY_LAYER;
    const row = this.#row(digest);
    if (!row || !isOf(this.#ownership, row.ids) || !existsSync(this.directory(digest))) return null;
    return {
      digest,
      workspace: row.workspace as Digest,
      system: row.system as Digest,
      sizeBytes: row.size,
      entries: row.entries,
    };
  }

  /** Whether the layer was written under an earlier boot without a sync, so that `verify` has to be asked before it is used. */
  needsCheck(digest: Digest): boolean {
    const row = this.#row(digest);
    return row !== null && row.boot !== this.#boot && row.boot !== "synced";
  }

  /** The layer's tree. Throws `blob.missing` when the layer is not there. */
  tree(digest: Digest): Tree {
    return this.#trees.get(digest);
  }

  /** Reads the whole layer again. False when its directory is not what its digest says; then the layer is dropped. */
  async verify(digest: Digest, signal?: AbortSignal): Promise<boolean> {
    if (digest === EMPTY_TREE) return true;
    const row = this.#row(digest);
    if (row && isOf(this.#ownership, row.ids) && (await this.#matches(digest, this.#ownership.ids(), signal))) {
      this.#index.run("UPDATE layers SET boot = ? WHERE digest = ?", this.#boot, digest);
      return true;
    }
    this.drop(digest);
    this.#index.warn("layer-dropped", `Layer ${shortDigest(digest)} is not what it should be; its task runs again`);
    return false;
  }

  async #matches(digest: Digest, ids: IdMaps, signal?: AbortSignal): Promise<boolean> {
    try {
      const scan = await scanDirectory(this.directory(digest), {
        ids,
        maskedDirectories: new Set(),
        removeForeign: false,
        signal,
      });
      await this.#pool.hash(scan, Date.now(), signal);
      return scan.dropped.length === 0 && encodeParts(scan.tree()).digest === digest && this.#trees.isSound(digest);
    } catch (error) {
      // what may not be read is not thereby wrong
      if (signal?.aborted || (this.#ownership.perform !== null && isRefusal(error))) throw error;
      return false;
    }
  }

  #mapName(ids: IdMaps): string {
    return ids === this.#ownership.ids() ? this.#ownership.names().mapped : nameOf(ids);
  }

  /** Forgets a layer and removes its directory. */
  drop(digest: Digest): void {
    this.#known.delete(digest);
    this.#index.transaction(() => {
      this.#index.run("DELETE FROM layers WHERE digest = ?", digest);
      this.#trees.forget(digest);
      this.#home.discard(this.directory(digest));
    });
  }

  /** Directory of whiteouts that hides these tree paths: see `Skeletons.mask`. */
  mask(hidden: readonly string[], parents: readonly MaskParent[] = []): string {
    return this.#skeletons.mask(hidden, parents);
  }

  /**
   * Directories to mount for a stack of layers, both bottom first; at most `most` of them. As a rule those of the layers; a stack
   * that is too deep, or in which the kernel would show names of deleted files, is flattened. Throws `blob.missing`.
   */
  async lowers(
    digests: readonly Digest[],
    options: { readonly most: number; readonly signal?: AbortSignal },
  ): Promise<readonly string[]> {
    const stack = digests.filter((digest) => digest !== EMPTY_TREE);
    let whiteouts = 0;
    for (const digest of stack) {
      if (!this.has(digest)) throw new MeshError("blob.missing", `Cannot find layer ${shortDigest(digest)}`);
      whiteouts += this.#row(digest)?.whiteouts ?? 0;
    }
    if (stack.length <= options.most && whiteouts === 0) return stack.map((digest) => this.directory(digest));
    const trees = stack.map((digest) => this.tree(digest));
    const underlay = underlayOf(trees);
    if (stack.length + 1 <= options.most && !showsWhiteouts([underlay, ...trees])) {
      return [
        ...(underlay.length > 0 ? [this.#skeletons.directory(underlay)] : []),
        ...stack.map((digest) => this.directory(digest)),
      ];
    }
    const flat = await this.flatten(stack, options.signal);
    const flatUnderlay = underlayOf([this.tree(flat.digest)]);
    const directories = flat.digest === EMPTY_TREE ? [] : [this.directory(flat.digest)];
    return flatUnderlay.length > 0 ? [this.#skeletons.directory(flatUnderlay), ...directories] : directories;
  }

  /**
   * One layer that stands for a stack of them, bottom first: for stacks deeper than one overlay takes. Files are hardlinks.
   */
  async flatten(digests: readonly Digest[], signal?: AbortSignal): Promise<LayerRef> {
    const stack = digests.filter((digest) => digest !== EMPTY_TREE);
    const { tree, sources } = mergeWithSources(
      stack.map((digest) => this.tree(digest)),
      { asLayer: true },
    );
    const encoded = encodeParts(tree);
    const known = this.ref(encoded.digest);
    if (known) return known;
    const ids = this.#ownership.ids();
    const temporary = this.#home.temporary();
    try {
      await buildTree(temporary, {
        tree,
        sources: stack.map((digest) => this.directory(digest)),
        sourceOf: sources,
        below: "",
        how: "link",
        ids,
        signal,
      });
      return this.publish(temporary, { tree: () => tree, sizeBytes: contentBytes(tree) }, ids);
    } catch (error) {
      this.#home.discard(temporary);
      throw storeFailure(error, `flatten ${stack.length} layers`);
    }
  }

  /**
   * What a task over these layers (bottom first) finds in its workspace through a filter. Computed once for each pair of
   * workspace contents and filter, whatever else the layers hold.
   */
  view(layers: readonly LayerRef[], filter: Filter): LayerView {
    const stack = layers.filter((layer) => layer.workspace !== EMPTY_TREE);
    const key = canonicalDigest([
      stack.map((layer) => layer.workspace),
      filter.entries.map((entry) => [entry.pattern, entry.cacheKey]),
      filter.kind,
    ]);
    const row = this.#index.get<{ body: string }>("SELECT body FROM views WHERE key = ?", key);
    if (row) return JSON.parse(row.body) as LayerView;
    const { keyTree, ...view } = this.viewTree(stack, filter);
    // Kept so that two keys can be compared file by file, also when the layers are gone.
    if (keyTree.length > 0) this.#blobs.put(encodeTree(keyTree));
    this.#index.run(
      "INSERT OR REPLACE INTO views (key, body, used_at) VALUES (?, ?, ?)",
      key,
      JSON.stringify(view),
      Date.now(),
    );
    return view;
  }

  /** The same with the entries behind the key's digest, computed anew. */
  viewTree(layers: readonly LayerRef[], filter: Filter): FilteredView {
    const trees = layers.map((layer) => this.tree(layer.digest).filter((entry) => inWorkspace(entry.path)));
    return applyFilter(mergeTrees(trees), filter);
  }

  /** The entries behind a view's `keyDigest`, as `view` has kept them. Throws `blob.missing` when they were pruned. */
  keyTree(keyDigest: Digest): Tree {
    return keyDigest === EMPTY_TREE ? [] : decodeTree(this.#blobs.read(keyDigest), WORKSPACE_IN_TREE);
  }

  #row(digest: Digest): LayerRow | null {
    return this.#index.get<LayerRow>("SELECT * FROM layers WHERE digest = ?", digest);
  }
}

function refOf(encoded: EncodedTree, sizeBytes: number, entries: number): LayerRef {
  return { digest: encoded.digest, workspace: encoded.workspace, system: encoded.system, sizeBytes, entries };
}
