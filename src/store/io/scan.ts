// Reads a directory into a tree: the upper directory of an overlay, or any plain one. Directories, links and marks are read
// here; files are only listed, and get their content and metadata from the hashing that follows. What a layer can't hold
// (sockets, devices) is left out and named.

import type { Digest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import { type IdMaps, insideId } from "../ids.ts";
import { isContentXattr, NO_XATTRS, type Tree, type TreeEntry, type Xattr } from "../tree.ts";
import { CHANGED, FileHasher, openReadable, STOPPED } from "./file-hasher.ts";
import { FileList } from "./file-list.ts";
import { ERRNO, check, fileError } from "./errno.ts";
import * as raw from "./raw-files.ts";

export interface ScanOptions {
  readonly ids: IdMaps;
  /** Tree paths of directories whose opaque mark means nothing and is taken off. */
  readonly maskedDirectories: ReadonlySet<string>;
  /** Remove sockets and devices from the disk, so that the directory is what the tree says. */
  readonly removeForeign: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** An entry while it is being filled. */
export type PendingEntry = { -readonly [Field in keyof TreeEntry]: TreeEntry[Field] };

const SLICE_MS = 5;
const SAFE_PATH_CHARS = 1_200;
const IS_ROOT = process.geteuid?.() === 0;
/** The mark of a directory that hides what lower layers hold below it. */
export const OPAQUE = "user.overlay.opaque";

interface Frame {
  readonly fd: number;
  readonly path: string;
  readonly children: readonly Child[];
  next: number;
  /** Number of the directory in the file list, or -1 while it has no file there. */
  listed: number;
  /** Hash in place: the path is too long, or the directory has to be closed to its owner again. */
  readonly inPlace: boolean;
  /** Permissions to put back, or -1. */
  readonly restoreMode: number;
}

interface Child {
  readonly name: string;
  readonly type: number;
  /** Where the name's bytes are kept. */
  readonly at: number;
}

/** Gives the event loop one turn. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Walks the directory, letting other work in every few milliseconds. Throws `io.failed` for what can't be kept. */
export async function scanDirectory(root: string, options: ScanOptions): Promise<Scan> {
  const scan = new Scan(root, options);
  try {
    while (!scan.step(SLICE_MS)) {
      options.signal?.throwIfAborted();
      await breathe();
    }
    return scan;
  } finally {
    scan.close();
  }
}

/** The walk and what it found so far. */
export class Scan {
  readonly root: string;
  readonly entries: PendingEntry[] = [];
  /** Files to hash, and the entry of each. */
  readonly files = new FileList();
  readonly fileEntries: PendingEntry[] = [];
  /** Paths of sockets and devices that were left out. */
  readonly dropped: string[] = [];
  /** Bytes of all files, hardlinks counted once. */
  sizeBytes = 0;

  readonly #options: ScanOptions;
  readonly #frames: Frame[] = [];
  /** Inodes with several names: the entries of each. */
  readonly #inodes = new Map<string, PendingEntry[]>();
  #hasher: FileHasher | null = null;

  constructor(root: string, options: ScanOptions) {
    this.root = root;
    this.#options = options;
    const fd = check(raw.openAt(raw.HERE, root, raw.READ_DIRECTORY), "open", root);
    this.#enter(fd, "", root.length > SAFE_PATH_CHARS, -1);
  }

  /** Goes on for about `forMs`; true when all is read. */
  step(forMs: number): boolean {
    const until = performance.now() + forMs;
    for (let frame = this.#frames.at(-1); frame; frame = this.#frames.at(-1)) {
      const child = frame.children[frame.next++];
      if (child === undefined) this.#leave();
      else this.#visit(frame, child);
      if ((frame.next & 63) === 0 && performance.now() > until) return false;
    }
    return true;
  }

  close(): void {
    while (this.#frames.length > 0) this.#leave();
  }

  /** Takes what hashing found of file number `index`. */
  fill(index: number, digest: string, stat: raw.FileStat, xattrs: readonly Xattr[]): void {
    const entry = this.fileEntries[index];
    if (entry) this.#fill(entry, digest, stat, xattrs);
  }

  /** The tree, once every file is filled. */
  tree(): Tree {
    const groups = [...this.#inodes.values()].filter((group) => group.length > 1);
    if (groups.length > 0) {
      const first = new Map(groups.map((group) => [group[0], group]));
      let number = 0;
      for (const entry of this.entries) {
        const group = first.get(entry);
        if (!group) continue;
        number++;
        for (const member of group) member.hardlink = number;
      }
    }
    return this.entries;
  }

  #fill(entry: PendingEntry, digest: string, stat: raw.FileStat, xattrs: readonly Xattr[]): void {
    entry.digest = `sha256:${digest}` as Digest;
    entry.mode = stat.mode & 0o7777;
    entry.uid = insideId(this.#options.ids.uids, stat.uid);
    entry.gid = insideId(this.#options.ids.gids, stat.gid);
    entry.size = stat.size;
    entry.xattrs = xattrs;
    if (stat.nlink > 1) {
      const inode = `${stat.device}:${stat.ino}`;
      const group = this.#inodes.get(inode);
      if (group) {
        group.push(entry);
        return;
      }
      this.#inodes.set(inode, [entry]);
    }
    this.sizeBytes += stat.size;
  }

  #enter(fd: number, path: string, inPlace: boolean, restoreMode: number): void {
    if (this.#frames.length >= LIMITS.treeDepth) {
      raw.closeFd(fd);
      throw new MeshError("io.failed", `Cannot keep ${shown(path)}: it is deeper than ${LIMITS.treeDepth} directories`);
    }
    const children: Child[] = [];
    raw.readDirectory(fd, path, (name, type, bytes) => {
      const at = type === raw.TYPE_FILE ? this.files.keepName(bytes) : -1;
      children.push({ name, type, at });
    });
    children.sort((a, b) => (a.name < b.name ? -1 : 1));
    this.#frames.push({ fd, path, children, next: 0, listed: -1, inPlace, restoreMode });
  }

  #leave(): void {
    const frame = this.#frames.pop();
    if (!frame) return;
    if (frame.restoreMode >= 0) raw.chmodFd(frame.fd, frame.restoreMode);
    raw.closeFd(frame.fd);
  }

  #visit(frame: Frame, child: Child): void {
    const path = frame.path === "" ? child.name : `${frame.path}/${child.name}`;
    if (child.type === raw.TYPE_FILE) {
      this.#file(frame, child, path);
      return;
    }
    const stat = raw.statAt(frame.fd, child.name);
    if (typeof stat === "number") throw fileError(-stat, "stat", path);
    switch (stat.mode & raw.TYPE_MASK) {
      case raw.TYPE_FILE:
        this.#hashInPlace(frame, child.name, this.#push(path, "file", null));
        return;
      case raw.TYPE_DIRECTORY:
        this.#directory(frame, child.name, path, stat);
        return;
      case raw.TYPE_SYMLINK: {
        const target = raw.readLinkAt(frame.fd, child.name);
        if (typeof target === "number") throw fileError(-target, "read link", path);
        this.#push(path, "symlink", stat).target = target;
        return;
      }
      case raw.TYPE_FIFO:
        this.#push(path, "fifo", stat).mode = stat.mode & 0o7777;
        return;
      case raw.TYPE_CHARACTER:
        if (stat.rdev === 0) {
          this.#push(path, "whiteout", null);
          return;
        }
        break;
    }
    this.dropped.push(path);
    if (this.#options.removeForeign) check(raw.unlinkAt(frame.fd, child.name), "remove", path);
  }

  #file(frame: Frame, child: Child, path: string): void {
    const entry = this.#push(path, "file", null);
    if (frame.inPlace) {
      this.#hashInPlace(frame, child.name, entry);
      return;
    }
    if (frame.listed < 0) frame.listed = this.files.addDirectory(frame.path);
    this.files.addFile(frame.listed, child.at);
    this.fileEntries.push(entry);
  }

  #directory(frame: Frame, name: string, path: string, stat: raw.FileStat): void {
    const mode = stat.mode & 0o7777;
    let restoreMode = -1;
    let fd = raw.openAt(frame.fd, name, raw.READ_DIRECTORY);
    if (fd === -ERRNO.EACCES || (fd >= 0 && (mode & 0o100) === 0 && !IS_ROOT)) {
      if (fd >= 0) raw.closeFd(fd);
      // Closed even to its owner (one that can't be searched can be listed, no more): open it while it is read.
      check(raw.chmodAt(frame.fd, name, mode | 0o700), "open", path);
      restoreMode = mode;
      fd = raw.openAt(frame.fd, name, raw.READ_DIRECTORY);
    }
    check(fd, "open", path);
    const entry = this.#push(path, "directory", stat);
    entry.mode = mode;
    if (raw.hasXattrs(fd)) {
      entry.opaque = raw.getXattr(fd, OPAQUE)?.[0] === 0x79;
      if (entry.opaque && this.#options.maskedDirectories.has(path)) {
        check(raw.removeXattr(fd, OPAQUE), "unmark", path);
        entry.opaque = false;
      }
      entry.xattrs = contentXattrs(fd);
    }
    this.#enter(fd, path, frame.inPlace || restoreMode >= 0 || path.length > SAFE_PATH_CHARS, restoreMode);
  }

  /** Adds an entry, with the owner of `stat`, or none while that is unknown. */
  #push(path: string, kind: TreeEntry["kind"], stat: raw.FileStat | null): PendingEntry {
    const entry: PendingEntry = {
      path,
      kind,
      mode: 0,
      uid: stat ? insideId(this.#options.ids.uids, stat.uid) : 0,
      gid: stat ? insideId(this.#options.ids.gids, stat.gid) : 0,
      size: 0,
      digest: null,
      target: null,
      xattrs: NO_XATTRS,
      hardlink: 0,
      opaque: false,
    };
    this.entries.push(entry);
    return entry;
  }

  #hashInPlace(frame: Frame, name: string, entry: PendingEntry): void {
    this.#hasher ??= new FileHasher();
    const fd = check(openReadable(frame.fd, name), "read", entry.path);
    try {
      const code = this.#hasher.hash(fd, {
        restingSinceMs: 0,
        smallOnly: false,
        goOn: () => this.#options.signal?.aborted !== true,
      });
      if (code < 0) throw hashFailure(code, entry.path);
      const xattrs = this.#hasher.hasXattrs ? contentXattrs(fd) : NO_XATTRS;
      this.#fill(entry, this.#hasher.digest.toHex(), raw.statFromWords(this.#hasher.stat), xattrs);
    } finally {
      raw.closeFd(fd);
    }
  }
}

/** The error for a file that could not be hashed. */
export function hashFailure(code: number, path: string): Error {
  if (code === STOPPED) return new DOMException("The hashing was stopped", "AbortError");
  if (code !== CHANGED) return fileError(-code, "read", path);
  return new MeshError("io.failed", `Cannot hash ${shown(path)}: it changed while it was read`, {
    hint: "Something still writes to it; it must end with the task.",
  });
}

/** Extended attributes of an open file that belong to its content, sorted by name. */
export function contentXattrs(fd: number): readonly Xattr[] {
  const xattrs: Xattr[] = [];
  for (const name of raw.listXattrs(fd)) {
    if (!isContentXattr(name)) continue;
    const value = raw.getXattr(fd, name);
    if (value) xattrs.push({ name, value });
  }
  return xattrs.length === 0 ? NO_XATTRS : xattrs.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function shown(path: string): string {
  return JSON.stringify(path.slice(0, 200));
}
