// Artifacts: a file is a blob; a directory is a tree whose directory lies among the layers, so that it can be bound read-only
// into a task without a copy, and copied out for people.

import { shortDigest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import type { IdMaps } from "../ids.ts";
import { EMPTY_TREE } from "../layer.ts";
import type { Filter } from "../filter.ts";
import { applyFilter, type FilteredView, mergeTrees, mergeWithSources } from "../merged.ts";
import { WORKSPACE_IN_TREE } from "../paths.ts";
import type { Artifact } from "../result.ts";
import { contentBytes, isBelow, type Tree } from "../tree.ts";
import { encodeParts } from "../tree-codec.ts";
import type { Blobs } from "./blobs.ts";
import { buildTree, linksPointingOut } from "./build-tree.ts";
import { copyFile } from "./copy-file.ts";
import type { Ownership } from "./ownership.ts";
import { storeFailure } from "./failures.ts";
import type { HashPool } from "./hash-pool.ts";
import type { Home } from "./home.ts";
import type { LayerParts, Layers } from "./layers.ts";
import { check } from "./errno.ts";
import * as raw from "./raw-files.ts";
import { scanDirectory } from "./scan.ts";
import { resolveInStack } from "./stack-path.ts";

export interface CaptureOptions {
  readonly key: string;
  /** Directories that the path is looked up in, top first: an upper and the layers below it, or just one directory. */
  readonly stack: readonly string[];
  /** Path from the stack's root. Links are followed inside the stack only. */
  readonly path: string;
  /** Directories of the stack never change again: files may be shared with them instead of being copied. */
  readonly immutable: boolean;
  readonly ids?: IdMaps | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class Artifacts {
  readonly #home: Home;
  readonly #blobs: Blobs;
  readonly #layers: Layers;
  readonly #pool: HashPool;
  readonly #ownership: Ownership;

  constructor(parts: Pick<LayerParts, "home" | "blobs" | "pool" | "ownership">, layers: Layers) {
    this.#home = parts.home;
    this.#blobs = parts.blobs;
    this.#pool = parts.pool;
    this.#ownership = parts.ownership;
    this.#layers = layers;
  }

  /** Takes a file or directory into the store. Throws `artifact.not-found` when nothing is there. */
  async capture(options: CaptureOptions): Promise<Artifact> {
    const found = resolveInStack(options.stack, options.path);
    if (!found) {
      throw new MeshError(
        "artifact.not-found",
        `Cannot keep artifact ${JSON.stringify(options.key)}: there is nothing at ${JSON.stringify(options.path)}`,
        {
          hint: "The task must leave a file or a directory at that path.",
        },
      );
    }
    const name = options.path.split("/").findLast((part) => part !== "" && part !== ".") ?? options.key;
    const mode = found.stat.mode & 0o7777;
    if (found.kind === "file") {
      const digest = await this.#blobs.putFile(found.path, { move: false });
      return { key: options.key, digest, kind: "file", name, sizeBytes: found.stat.size, mode };
    }
    const ref = await this.#directory(found.paths, options);
    return { key: options.key, digest: ref.digest, kind: "directory", name, sizeBytes: ref.sizeBytes, mode };
  }

  async #directory(
    paths: readonly string[],
    options: CaptureOptions,
  ): Promise<{ digest: Artifact["digest"]; sizeBytes: number }> {
    const ids = options.ids ?? this.#ownership.ids();
    const sources = paths.toReversed();
    const trees: Tree[] = [];
    try {
      for (const path of sources) {
        const scan = await scanDirectory(path, {
          ids,
          maskedDirectories: new Set(),
          removeForeign: false,
          signal: options.signal,
        });
        await this.#pool.hash(scan, Date.now(), options.signal);
        trees.push(scan.tree());
      }
      const { tree, sources: sourceOf } = mergeWithSources(trees, { asLayer: false });
      const temporary = this.#home.temporary();
      try {
        await buildTree(temporary, {
          tree,
          sources,
          sourceOf,
          below: "",
          how: options.immutable ? "link" : "copy",
          ids,
          signal: options.signal,
        });
        const ref = this.#layers.publish(temporary, { tree: () => tree, sizeBytes: contentBytes(tree) }, ids);
        if (ref.digest === EMPTY_TREE) this.#home.discard(temporary);
        return ref;
      } catch (error) {
        this.#home.discard(temporary);
        throw error;
      }
    } catch (error) {
      throw storeFailure(error, `keep artifact ${JSON.stringify(options.key)}`);
    }
  }

  /** What a filter leaves of an artifact's directory, and the digest of what of that counts. */
  view(artifact: Artifact, filter: Filter): Pick<FilteredView, "keyDigest" | "keptCount"> {
    return applyFilter(underWorkspace(this.#layers.tree(artifact.digest)), filter);
  }

  /** Directory of the store that holds what a filter leaves of an artifact's directory. Throws `blob.missing`, `store.full`. */
  async narrow(artifact: Artifact, filter: Filter, signal?: AbortSignal): Promise<string> {
    const whole = this.#layers.tree(artifact.digest);
    const { hidden } = applyFilter(underWorkspace(whole), filter);
    if (hidden.length === 0) return this.#layers.directory(artifact.digest);
    const tree = mergeTrees([withoutHidden(whole, new Set(hidden))]);
    const { digest } = encodeParts(tree);
    const ids = this.#ownership.ids();
    if (digest !== EMPTY_TREE && !this.#layers.has(digest)) {
      const temporary = this.#home.temporary();
      try {
        const sources = [this.#layers.directory(artifact.digest)];
        await buildTree(temporary, { tree, sources, below: "", how: "link", ids, signal });
        this.#layers.publish(temporary, { tree: () => tree, sizeBytes: contentBytes(tree) }, ids);
      } catch (error) {
        this.#home.discard(temporary);
        throw storeFailure(error, `narrow artifact ${JSON.stringify(artifact.key)}`);
      }
    }
    return this.#layers.directory(digest);
  }

  /**
   * Copies an artifact out to `target`, which must not exist; files belong to this process. Answers the symlinks that lead out of
   * the directory: they are made as they are, and never followed. Throws `blob.missing`, `blob.corrupt`, `store.full`.
   */
  async materialize(
    artifact: Artifact,
    target: string,
    signal?: AbortSignal,
  ): Promise<{ readonly pointingOut: readonly string[] }> {
    try {
      if (artifact.kind === "file") {
        // `read` names what is wrong, and drops a blob that can't be trusted.
        if (!this.#blobs.verify(artifact.digest)) this.#blobs.read(artifact.digest);
        copyFile(this.#blobs.path(artifact.digest), target);
        check(raw.chmodAt(raw.HERE, target, artifact.mode & 0o777), "chmod", target);
        return { pointingOut: [] };
      }
      if (!this.#layers.has(artifact.digest))
        throw new MeshError("blob.missing", `Cannot find artifact directory ${shortDigest(artifact.digest)}`);
      const tree = this.#layers.tree(artifact.digest);
      await buildTree(target, {
        tree,
        sources: [this.#layers.directory(artifact.digest)],
        below: "",
        how: "copy",
        ids: null,
        signal,
      });
      check(raw.chmodAt(raw.HERE, target, (artifact.mode & 0o777) | 0o700), "chmod", target);
      return { pointingOut: linksPointingOut(tree) };
    } catch (error) {
      throw storeFailure(error, `copy artifact ${JSON.stringify(artifact.key)} to ${target}`);
    }
  }
}

/** The tree of a directory as that of a workspace: filters are relative to one. */
function underWorkspace(tree: Tree): Tree {
  return tree.map((entry) => ({ ...entry, path: `${WORKSPACE_IN_TREE}/${entry.path}` }));
}

/** `hidden` are the topmost paths that go, as a workspace's. */
function withoutHidden(tree: Tree, hidden: ReadonlySet<string>): Tree {
  let gone: string | null = null;
  return tree.filter(({ path }) => {
    if (gone !== null && isBelow(path, gone)) return false;
    gone = hidden.has(`${WORKSPACE_IN_TREE}/${path}`) ? path : null;
    return gone === null;
  });
}
