// Makes a directory on disk out of a tree and the directories its entries come from, by hardlinks or copies. It only ever makes
// new entries in a fresh directory, relative to open directories, and follows no link: nothing can lead it out of its target.

import { constants } from "node:fs";
import { type IdMaps, outsideId } from "../ids.ts";
import { isBelow, parentOf, type Tree, type TreeEntry } from "../tree.ts";
import { copyOpenFile } from "./copy-file.ts";
import { openReadable } from "./file-hasher.ts";
import { ERRNO, check } from "./errno.ts";
import * as raw from "./raw-files.ts";
import { breathe } from "./scan.ts";

export interface BuildOptions {
  readonly tree: Tree;
  /** Directories that entries come from. */
  readonly sources: readonly string[];
  /** For each entry, the number of its source; all from the first when left out. */
  readonly sourceOf?: readonly number[];
  /** Path in the sources that the tree's root stands for, "" for their root. */
  readonly below: string;
  readonly how: "link" | "copy";
  /** Give entries the owners that the tree says; without, they belong to this process and lose setuid and setgid. */
  readonly ids: IdMaps | null;
  readonly signal?: AbortSignal | undefined;
}

const SLICE_MS = 5;
const OPAQUE = "user.overlay.opaque";
const YES = Uint8Array.of(0x79);

/** Fills the directory `target`, which is made. Throws system errors; what was made by then is the caller's to remove. */
export async function buildTree(target: string, options: BuildOptions): Promise<void> {
  check(raw.makeDirectoryAt(raw.HERE, target, 0o700), "make", target);
  const builder = new Builder(target, options);
  try {
    await builder.run();
  } finally {
    builder.close();
  }
}

interface OpenDirectory {
  readonly entry: TreeEntry | null;
  readonly path: string;
  readonly fd: number;
  readonly source: number;
}

class Builder {
  readonly #options: BuildOptions;
  readonly #open: OpenDirectory[] = [];
  /** First path made of each hardlink group. */
  readonly #groups = new Map<number, string>();
  readonly #target: string;

  constructor(target: string, options: BuildOptions) {
    this.#target = target;
    this.#options = options;
    const fd = check(raw.openAt(raw.HERE, target, raw.READ_DIRECTORY), "open", target);
    this.#open.push({ entry: null, path: "", fd, source: 0 });
  }

  async run(): Promise<void> {
    let until = performance.now() + SLICE_MS;
    for (const [index, entry] of this.#options.tree.entries()) {
      if ((index & 31) === 31 && performance.now() > until) {
        this.#options.signal?.throwIfAborted();
        await breathe();
        until = performance.now() + SLICE_MS;
      }
      while (this.#open.length > 1 && !isBelow(entry.path, this.#open.at(-1)?.path ?? "")) this.#leave();
      this.#make(entry, this.#options.sourceOf?.[index] ?? 0);
    }
    while (this.#open.length > 1) this.#leave();
  }

  close(): void {
    for (const directory of this.#open.splice(0)) raw.closeFd(directory.fd);
  }

  #make(entry: TreeEntry, source: number): void {
    const parent = this.#open.at(-1);
    if (!parent) return;
    const name = entry.path.slice(parent.path === "" ? 0 : parent.path.length + 1);
    switch (entry.kind) {
      case "directory": {
        check(raw.makeDirectoryAt(parent.fd, name, 0o700), "make", entry.path);
        const fd = check(raw.openAt(parent.fd, name, raw.READ_DIRECTORY), "open", entry.path);
        this.#open.push({ entry, path: entry.path, fd, source });
        return;
      }
      case "whiteout":
        check(raw.makeWhiteoutAt(parent.fd, name), "make", entry.path);
        return;
      case "fifo":
        check(raw.makeFifoAt(parent.fd, name, 0o600), "make", entry.path);
        this.#own(parent.fd, name, entry);
        check(raw.chmodAt(parent.fd, name, this.#modeOf(entry)), "chmod", entry.path);
        return;
      case "symlink":
        check(raw.makeSymlinkAt(entry.target ?? "", parent.fd, name), "make", entry.path);
        this.#own(parent.fd, name, entry);
        this.#copyTimes(entry.path, source, parent.fd, name);
        return;
      case "file":
        this.#file(parent.fd, name, entry, source);
        return;
    }
  }

  #file(directory: number, name: string, entry: TreeEntry, source: number): void {
    const first = entry.hardlink > 0 ? this.#groups.get(entry.hardlink) : undefined;
    if (first !== undefined) {
      check(raw.linkAt(raw.HERE, `${this.#target}/${first}`, directory, name), "link", entry.path);
      return;
    }
    if (entry.hardlink > 0) this.#groups.set(entry.hardlink, entry.path);
    const from = this.#sourcePath(entry.path, source);
    if (this.#options.how === "link") {
      const code = raw.linkAt(raw.HERE, from, directory, name);
      if (code === 0) return;
      const mayCopy = [ERRNO.EXDEV, ERRNO.EMLINK, ERRNO.EPERM].some((errno) => code === -errno);
      if (!mayCopy) check(code, "link", entry.path);
    }
    const fd = check(openReadable(raw.HERE, from), "read", from);
    try {
      copyOpenFile(fd, directory, name);
      const stat = raw.statFd(fd);
      this.#own(directory, name, entry);
      this.#setXattrs(directory, name, entry);
      check(raw.chmodAt(directory, name, this.#modeOf(entry)), "chmod", entry.path);
      raw.setTimesAt(directory, name, stat.mtimeSec, stat.mtimeNsec);
    } finally {
      raw.closeFd(fd);
    }
  }

  /** A directory gets its attributes when it is full: making entries would change its times, and may need rights it lacks. */
  #leave(): void {
    const directory = this.#open.pop();
    const parent = this.#open.at(-1);
    if (!directory?.entry || !parent) return;
    const { entry, fd } = directory;
    const name = entry.path.slice(parent.path === "" ? 0 : parent.path.length + 1);
    if (this.#options.ids) {
      for (const xattr of entry.xattrs) raw.setXattr(fd, xattr.name, xattr.value);
      if (entry.opaque) check(raw.setXattr(fd, OPAQUE, YES), "mark", entry.path);
    }
    this.#own(parent.fd, name, entry);
    check(raw.chmodFd(fd, this.#modeOf(entry)), "chmod", entry.path);
    raw.closeFd(fd);
    this.#copyTimes(entry.path, directory.source, parent.fd, name);
  }

  #own(directory: number, name: string, entry: TreeEntry): void {
    if (!this.#options.ids) return;
    const uid = outsideId(this.#options.ids.uids, entry.uid);
    const gid = outsideId(this.#options.ids.gids, entry.gid);
    if (uid === null || gid === null) return;
    if (uid === process.geteuid?.() && gid === process.getegid?.()) return;
    check(raw.chownAt(directory, name, uid, gid), "chown", entry.path);
  }

  #setXattrs(directory: number, name: string, entry: TreeEntry): void {
    if (!this.#options.ids || entry.xattrs.length === 0) return;
    const fd = check(raw.openAt(directory, name, raw.READ_FILE), "open", entry.path);
    try {
      for (const xattr of entry.xattrs) raw.setXattr(fd, xattr.name, xattr.value);
    } finally {
      raw.closeFd(fd);
    }
  }

  #modeOf(entry: TreeEntry): number {
    return this.#options.ids ? entry.mode : entry.mode & ~(constants.S_IFMT | 0o6000);
  }

  #copyTimes(path: string, source: number, directory: number, name: string): void {
    const stat = raw.statAt(raw.HERE, this.#sourcePath(path, source));
    if (typeof stat !== "number") raw.setTimesAt(directory, name, stat.mtimeSec, stat.mtimeNsec);
  }

  #sourcePath(path: string, source: number): string {
    const root = this.#options.sources[source] ?? "";
    return this.#options.below === "" ? `${root}/${path}` : `${root}/${this.#options.below}/${path}`;
  }
}

/** Symlinks of a tree whose target leads out of it: absolute, or with more ".." than there are directories above. */
export function linksPointingOut(tree: Tree): readonly string[] {
  return tree
    .filter((entry) => entry.target !== null && leadsOut(parentOf(entry.path), entry.target))
    .map((entry) => entry.path);
}

function leadsOut(directory: string, target: string): boolean {
  if (target.startsWith("/")) return true;
  let depth = directory === "" ? 0 : directory.split("/").length;
  for (const name of target.split("/")) {
    if (name === "..") depth--;
    else if (name !== "" && name !== ".") depth++;
    if (depth < 0) return true;
  }
  return false;
}
