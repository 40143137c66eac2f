// Files of other layers and blobs, opened or linked as sources of a layer that is being built. A source may be pruned at any
// moment: then it is none.

import type { Digest } from "../../base/digest.ts";
import { parentOf, type TreeEntry } from "../tree.ts";
import { DirectoryWalk } from "./directory-walk.ts";
import { ERRNO, check } from "./errno.ts";
import { openReadable } from "./file-hasher.ts";
import type { FilePlace } from "./file-places.ts";
import type { Layers } from "./layers.ts";
import * as raw from "./raw-files.ts";

export class FileSources implements Disposable {
  readonly #layers: Layers;
  #from: { readonly layer: Digest; readonly walk: DirectoryWalk } | null = null;

  constructor(layers: Layers) {
    this.#layers = layers;
  }

  /** Whether a file of that size is there. */
  has(place: FilePlace, sizeBytes: number): boolean {
    const directory = place.kind === "blob" ? raw.HERE : this.#directoryOf(place.layer, place.entry);
    if (place.kind === "layer" && directory < 0) return false;
    const stat = raw.statAt(directory, place.kind === "blob" ? place.path : nameOf(place.entry));
    return typeof stat !== "number" && (stat.mode & raw.TYPE_MASK) === raw.TYPE_FILE && stat.size === sizeBytes;
  }

  /** A descriptor of the caller's, or a negative number when the file is not there any more. */
  open(place: FilePlace): number {
    if (place.kind === "blob") return raw.openAt(raw.HERE, place.path, raw.READ_FILE);
    const directory = this.#directoryOf(place.layer, place.entry);
    return directory < 0 ? -1 : openReadable(directory, nameOf(place.entry));
  }

  /** Gives a layer's file another name; false where that can't be done and a copy must do. Throws other system errors. */
  link(place: FilePlace & { readonly kind: "layer" }, directory: number, name: string): boolean {
    const from = this.#directoryOf(place.layer, place.entry);
    if (from < 0) return false;
    const code = raw.linkAt(from, nameOf(place.entry), directory, name);
    if (code === 0) return true;
    if (![ERRNO.EXDEV, ERRNO.EMLINK, ERRNO.EPERM, ERRNO.ENOENT].some((errno) => code === -errno))
      check(code, "link", name);
    return false;
  }

  [Symbol.dispose](): void {
    this.#from?.walk[Symbol.dispose]();
    this.#from = null;
  }

  #directoryOf(layer: Digest, entry: TreeEntry): number {
    try {
      if (this.#from?.layer !== layer) {
        this[Symbol.dispose]();
        this.#from = { layer, walk: new DirectoryWalk(this.#layers.directory(layer)) };
      }
      return this.#from?.walk.enter(parentOf(entry.path)) ?? -1;
    } catch {
      return -1;
    }
  }
}

function nameOf(entry: TreeEntry): string {
  return entry.path.slice(entry.path.lastIndexOf("/") + 1);
}
