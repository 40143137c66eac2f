// Builds a layer's directory out of its tree and of file contents that come in any order, each verified before it is written. It
// only makes new entries in a directory of its own, relative to open directories, follows no link, and shows nothing before all
// is there: `finish` publishes the whole, and a writer that is disposed of before leaves nothing.

import { type Digest, hexOf, shortDigest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import { readText } from "../../base/io/text-files.ts";
import { contentsOf, type LayerContent } from "../contents.ts";
import { type IdMaps, outsideId } from "../ids.ts";
import type { LayerRef } from "../layer.ts";
import { sameAttributes } from "../received-tree.ts";
import { contentBytes, parentOf, type Tree, type TreeEntry } from "../tree.ts";
import { copyOpenFile } from "./copy-file.ts";
import { DirectoryWalk } from "./directory-walk.ts";
import { diskOwnerOf, dressEntry, dressOpen } from "./dress-tree.ts";
import { check } from "./errno.ts";
import { storeFailure } from "./failures.ts";
import { openReadable } from "./file-hasher.ts";
import type { FilePlace, FilePlaces } from "./file-places.ts";
import { FileSources } from "./file-sources.ts";
import type { Home } from "./home.ts";
import type { Layers } from "./layers.ts";
import type { Ownership } from "./ownership.ts";
import * as raw from "./raw-files.ts";
import { breathe } from "./scan.ts";

const SLICE_MS = 5;
/** Permissions that new files of this process never get (proc_pid_status(5)); all of them where the system does not say. */
const UMASK = Number.parseInt(/^Umask:\s*(\d+)/m.exec(readText("/proc/self/status"))?.[1] ?? "7777", 8);
/** When a file was last changed: no part of its identity, and kept for tools that compare times. */
export interface FileTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

interface WriterParts {
  readonly home: Home;
  readonly layers: Layers;
  readonly places: FilePlaces;
  readonly ownership: Ownership;
}

export class LayerWriter implements Disposable {
  readonly digest: Digest;
  readonly tree: Tree;
  /** Each content once, in the order of the tree. */
  readonly contents: readonly LayerContent[];
  readonly directory: string;
  readonly #parts: WriterParts;
  readonly #ids: IdMaps;
  /** Who gives files their owners at the end, when this process can't; null when it does so as it writes. */
  readonly #dressLater: Ownership["perform"];
  readonly #done: Uint8Array;
  readonly #walk: DirectoryWalk;
  readonly #second: DirectoryWalk;
  readonly #sources: FileSources;
  #left: number;
  #isOpen = true;

  /** Throws `layer.unfit` when the tree has owners that these id maps can't give, and what making a directory throws. */
  constructor(parts: WriterParts, layer: { readonly digest: Digest; readonly tree: Tree }) {
    this.#parts = parts;
    this.digest = layer.digest;
    this.tree = layer.tree;
    this.#ids = parts.ownership.ids();
    checkOwners(layer.digest, layer.tree, this.#ids);
    const { perform } = parts.ownership;
    this.#dressLater = layer.tree.some(({ uid, gid }) => uid !== 0 || gid !== 0) ? perform : null;
    this.contents = contentsOf(layer.tree);
    this.#sources = new FileSources(parts.layers);
    this.#left = this.contents.length;
    this.#done = new Uint8Array(this.contents.length);
    this.directory = parts.home.temporary();
    try {
      check(raw.makeDirectoryAt(raw.HERE, this.directory, 0o700), "make", this.directory);
      this.#walk = new DirectoryWalk(this.directory);
      this.#second = new DirectoryWalk(this.directory);
    } catch (error) {
      throw storeFailure(error, `begin layer ${shortDigest(layer.digest)}`);
    }
  }

  /** Whether content number `index` is in its places. */
  has(index: number): boolean {
    return this.#done[index] === 1;
  }

  /** Contents that are not there yet. */
  get missing(): number {
    return this.#left;
  }

  /** Makes directories, links, fifos and whiteouts. Call once, before anything else. */
  async prepare(signal?: AbortSignal): Promise<void> {
    await this.#inSlices(this.tree.length, signal, (at) => {
      const entry = this.tree[at];
      if (entry && entry.kind !== "file") this.#make(entry);
    });
  }

  /** Takes what is here already, in other layers or blobs; the bytes that need not come. */
  async reuse(signal?: AbortSignal): Promise<number> {
    await this.#parts.places.refresh(signal);
    let bytes = 0;
    await this.#inSlices(this.contents.length, signal, (index) => {
      const content = this.contents[index];
      if (!content || this.has(index)) return;
      if (content.sizeBytes === 0) this.put(index, new Uint8Array(0), null);
      else {
        const place = this.#parts.places.find(content.digest);
        if (place && this.#takeFrom(place, content)) {
          this.#finished(index);
          bytes += content.sizeBytes;
        }
      }
    });
    return bytes;
  }

  /** Writes content that came, when it is what it should be; false when it is not, and then nothing is written. */
  put(index: number, bytes: Uint8Array, time: FileTime | null): boolean {
    const content = this.contents[index];
    if (!content || bytes.length !== content.sizeBytes) return false;
    if (Bun.SHA256.hash(bytes, "hex") !== hexOf(content.digest)) return false;
    if (this.has(index)) return true;
    this.#guarded(() => {
      for (const at of content.entries) {
        const entry = this.tree[at];
        if (entry) this.#write(entry, bytes, time);
      }
    });
    this.#finished(index);
    return true;
  }

  /** Moves a file of this filesystem, whose content is known to be right, to its places. */
  place(index: number, path: string, time: FileTime | null): void {
    const content = this.contents[index];
    if (!content || this.has(index)) return;
    this.#guarded(() => {
      const [first, ...others] = content.entries.map((at) => this.tree[at]).filter((entry) => entry !== undefined);
      if (!first) return;
      const directory = this.#walk.enter(parentOf(first.path));
      check(raw.renameAt(raw.HERE, path, directory, nameOf(first)), "rename", first.path);
      const source = check(raw.openAt(directory, nameOf(first), raw.READ_FILE), "open", first.path);
      try {
        for (const entry of others) {
          raw.rewind(source);
          this.#copy(source, entry, time);
        }
      } finally {
        raw.closeFd(source);
      }
      this.#dress(this.#walk.enter(parentOf(first.path)), first, time);
    });
    this.#finished(index);
  }

  /** Opens content that is in its place, for reading: a descriptor of the caller's, or -1. */
  open(index: number): number {
    const at = this.contents[index]?.entries[0];
    const entry = at === undefined || !this.#isOpen || !this.has(index) ? undefined : this.tree[at];
    return entry ? Math.max(-1, openReadable(this.#second.enter(parentOf(entry.path)), nameOf(entry))) : -1;
  }

  /** Gives directories their attributes and makes the layer visible. Every content must be there. */
  async finish(signal?: AbortSignal): Promise<LayerRef> {
    if (this.#left > 0) throw new Error(`Layer ${shortDigest(this.digest)} lacks ${this.#left} contents`);
    const firsts = new Map<number, TreeEntry>();
    await this.#inSlices(this.tree.length, signal, (at) => {
      const entry = this.tree[at];
      if (entry?.kind !== "file" || entry.hardlink === 0) return;
      const first = firsts.get(entry.hardlink);
      if (!first) firsts.set(entry.hardlink, entry);
      else this.#link(first, entry);
    });
    const last = this.tree.length - 1;
    // From the last to the first: what lies in a directory is done before the directory is closed.
    await this.#inSlices(this.tree.length, signal, (back) => {
      const entry = this.tree[last - back];
      if (entry?.kind === "directory" && this.#dressLater === null)
        dressOpen(this.#walk.enter(entry.path), entry, this.#ids);
    });
    this.#close();
    await this.#dressLater?.({ kind: "dress", directory: this.directory, digest: this.digest });
    return this.#guarded(() =>
      this.#parts.layers.publish(
        this.directory,
        { tree: () => this.tree, sizeBytes: contentBytes(this.tree) },
        this.#ids,
      ),
    );
  }

  /** Removes what was made, unless it was published. */
  [Symbol.dispose](): void {
    this.#close();
    this.#parts.home.discard(this.directory);
  }

  #close(): void {
    this.#isOpen = false;
    this.#walk[Symbol.dispose]();
    this.#second[Symbol.dispose]();
    this.#sources[Symbol.dispose]();
  }

  #finished(index: number): void {
    if (this.#done[index] === 1) return;
    this.#done[index] = 1;
    this.#left--;
  }

  async #inSlices(count: number, signal: AbortSignal | undefined, each: (at: number) => void): Promise<void> {
    let until = performance.now() + SLICE_MS;
    for (let at = 0; at < count; at++) {
      if ((at & 15) === 15 && performance.now() > until) {
        await breathe();
        signal?.throwIfAborted();
        until = performance.now() + SLICE_MS;
      }
      this.#guarded(() => each(at));
    }
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw storeFailure(error, `write layer ${shortDigest(this.digest)}`);
    }
  }

  #make(entry: TreeEntry): void {
    const directory = this.#walk.enter(parentOf(entry.path));
    const name = nameOf(entry);
    switch (entry.kind) {
      case "directory":
        check(raw.makeDirectoryAt(directory, name, 0o700), "make", entry.path);
        return;
      case "whiteout":
        check(raw.makeWhiteoutAt(directory, name), "make", entry.path);
        return;
      case "symlink":
        check(raw.makeSymlinkAt(entry.target ?? "", directory, name), "make", entry.path);
        this.#dress(directory, entry, null);
        return;
      case "fifo":
        check(raw.makeFifoAt(directory, name, 0o600), "make", entry.path);
        this.#dress(directory, entry, null);
        return;
      case "file":
        return;
    }
  }

  #write(entry: TreeEntry, bytes: Uint8Array, time: FileTime | null): void {
    const directory = this.#walk.enter(parentOf(entry.path));
    const name = nameOf(entry);
    const isPlain = this.#dressLater !== null || isPlainFile(entry, this.#ids);
    const mode = this.#dressLater === null ? entry.mode & 0o777 : 0o600;
    const fd = check(raw.openAt(directory, name, raw.CREATE_FILE, mode), "create", entry.path);
    try {
      if (bytes.length > 0) raw.writeAll(fd, bytes, entry.path);
      if (!isPlain) dressOpen(fd, entry, this.#ids);
      if (time) raw.setTimesFd(fd, time.seconds, time.nanoseconds);
    } finally {
      raw.closeFd(fd);
    }
  }

  #copy(source: number, entry: TreeEntry, time: FileTime | null): void {
    const directory = this.#walk.enter(parentOf(entry.path));
    copyOpenFile(source, directory, nameOf(entry));
    this.#dress(directory, entry, time);
  }

  #dress(directory: number, entry: TreeEntry, time: FileTime | null): void {
    if (this.#dressLater === null) dressEntry(directory, entry, this.#ids);
    if (time) raw.setTimesAt(directory, nameOf(entry), time.seconds, time.nanoseconds);
  }

  #link(first: TreeEntry, entry: TreeEntry): void {
    const directory = this.#walk.enter(parentOf(entry.path));
    const from = this.#second.enter(parentOf(first.path));
    check(raw.linkAt(from, nameOf(first), directory, nameOf(entry)), "link", entry.path);
  }

  /**
   * Takes content from a place that is here. Another layer's file is linked when it would be the same in all, and only once:
   * two names of one inode would be a hardlink. False when the place did not hold what it should.
   */
  #takeFrom(place: FilePlace, content: LayerContent): boolean {
    const entries = content.entries.map((at) => this.tree[at]).filter((entry) => entry !== undefined);
    const [first] = entries;
    if (!first || !this.#sources.has(place, content.sizeBytes)) return false;
    const made: TreeEntry[] = [];
    try {
      if (this.#linkFrom(place, first)) made.push(first);
      if (made.length < entries.length) this.#copyAll(place, entries.slice(made.length), made);
    } catch (error) {
      this.#unmake(made);
      throw error;
    }
    if (made.length < entries.length) this.#unmake(made);
    return made.length === entries.length;
  }

  /** Copies to each of `entries` and notes what is made; makes none when the source is gone. */
  #copyAll(place: FilePlace, entries: readonly TreeEntry[], made: TreeEntry[]): void {
    const source = this.#sources.open(place);
    if (source < 0) return;
    try {
      for (const entry of entries) {
        raw.rewind(source);
        this.#copyFrom(source, entry);
        made.push(entry);
      }
    } finally {
      raw.closeFd(source);
    }
  }

  #unmake(made: readonly TreeEntry[]): void {
    for (const entry of made) raw.unlinkAt(this.#walk.enter(parentOf(entry.path)), nameOf(entry));
  }

  #linkFrom(place: FilePlace, entry: TreeEntry): boolean {
    if (place.kind !== "layer" || !sameAttributes(place.entry, entry)) return false;
    return this.#sources.link(place, this.#walk.enter(parentOf(entry.path)), nameOf(entry));
  }

  #copyFrom(source: number, entry: TreeEntry): void {
    const stat = raw.statFd(source);
    this.#copy(source, entry, { seconds: stat.mtimeSec, nanoseconds: stat.mtimeNsec });
  }
}

function checkOwners(digest: Digest, tree: Tree, ids: IdMaps): void {
  for (const entry of tree) {
    if (entry.kind === "whiteout") continue;
    if (outsideId(ids.uids, entry.uid) !== null && outsideId(ids.gids, entry.gid) !== null) continue;
    throw new MeshError(
      "layer.unfit",
      `Cannot keep layer ${shortDigest(digest)} here: ${JSON.stringify(entry.path.slice(0, 200))} belongs to ${entry.uid}:${entry.gid}, which stands for nobody`,
    );
  }
}

/** Whether creating a file with this entry's mode is all that it needs. */
function isPlainFile(entry: TreeEntry, ids: IdMaps): boolean {
  const isPlainMode = (entry.mode & 0o7000) === 0 && (entry.mode & UMASK) === 0;
  return isPlainMode && entry.xattrs.length === 0 && diskOwnerOf(entry, ids) === null;
}

function nameOf(entry: TreeEntry): string {
  return entry.path.slice(entry.path.lastIndexOf("/") + 1);
}
