// Directories of whiteouts and empty directories that go into an overlay beside layers: masks above them, underlays below. Each is
// made once and named by the digest of its tree.

import { existsSync } from "node:fs";
import { IDENTITY_IDS } from "../ids.ts";
import { type MaskParent, underlayDirectories } from "../merged.ts";
import { maskPath } from "../paths.ts";
import { comparePaths, NO_XATTRS, parentOf, type Tree } from "../tree.ts";
import { treeDigest } from "../tree-codec.ts";
import { defaultIds } from "./ownership.ts";
import { check, ERRNO } from "./errno.ts";
import { storeFailure } from "./failures.ts";
import type { Home } from "./home.ts";
import * as raw from "./raw-files.ts";

const NO_PARENTS: ReadonlyMap<string, MaskParent> = new Map();

export class Skeletons {
  readonly #home: Home;

  constructor(home: Home) {
    this.#home = home;
  }

  /**
   * Directory of whiteouts that hides these tree paths when it lies above the layers. `parents` are the directories above
   * them with the attributes that the layers give them: the mask has to repeat them, as the topmost ones count.
   */
  mask(hidden: readonly string[], parents: readonly MaskParent[]): string {
    const attributes = new Map(parents.map((parent) => [parent.path, parent]));
    const directories = new Set<string>();
    for (const path of hidden) {
      for (let above = parentOf(path); above !== "" && !directories.has(above); above = parentOf(above)) {
        directories.add(above);
      }
    }
    const paths = [...directories, ...hidden].toSorted(comparePaths);
    return this.directory(paths.map((path) => entryOf(path, directories.has(path), attributes)));
  }

  /** Directory with these directories and whiteouts. */
  directory(tree: Tree): string {
    const target = maskPath(this.#home.paths, treeDigest(tree));
    if (existsSync(target)) return target;
    const temporary = this.#home.temporary();
    try {
      make(temporary, tree);
      const code = raw.renameAt(raw.HERE, temporary, raw.HERE, target);
      // Another process may have been faster.
      if (code === -ERRNO.ENOTEMPTY || code === -ERRNO.EEXIST) this.#home.discard(temporary);
      else check(code, "rename", target);
    } catch (error) {
      this.#home.discard(temporary);
      throw storeFailure(error, "make a mask");
    }
    return target;
  }
}

/** Empty directories to lay below these trees, as a tree. */
export function underlayOf(trees: readonly Tree[]): Tree {
  return underlayDirectories(trees).map((path) => entryOf(path, true, NO_PARENTS));
}

function entryOf(path: string, isDirectory: boolean, attributes: ReadonlyMap<string, MaskParent>): Tree[number] {
  const found = attributes.get(path) ?? { mode: 0o755, uid: 0, gid: 0 };
  const { mode, uid, gid } = isDirectory ? found : { mode: 0, uid: 0, gid: 0 };
  const kind = isDirectory ? "directory" : "whiteout";
  return {
    path,
    kind,
    mode,
    uid,
    gid,
    size: 0,
    digest: null,
    target: null,
    xattrs: NO_XATTRS,
    hardlink: 0,
    opaque: false,
  };
}

function make(root: string, tree: Tree): void {
  check(raw.makeDirectoryAt(raw.HERE, root, 0o755), "make", root);
  for (const entry of tree) {
    const path = `${root}/${entry.path}`;
    if (entry.kind === "whiteout") check(raw.makeWhiteoutAt(raw.HERE, path), "make", path);
    else check(raw.makeDirectoryAt(raw.HERE, path, 0o700), "make", path);
  }
  const canChown = defaultIds() === IDENTITY_IDS;
  for (const entry of tree.toReversed()) {
    if (entry.kind !== "directory") continue;
    const path = `${root}/${entry.path}`;
    // An ordinary user owns all of it anyway.
    if (canChown) check(raw.chownAt(raw.HERE, path, entry.uid, entry.gid), "chown", path);
    check(raw.chmodAt(raw.HERE, path, entry.mode), "chmod", path);
  }
}
