// Opens directories of one tree below a root, each from the one above it, by names alone: no link is followed, no path is too
// long, and what is asked for in tree order costs one open a directory.

import { isBelow } from "../tree.ts";
import { ERRNO, check } from "./errno.ts";
import * as raw from "./raw-files.ts";

interface OpenDirectory {
  readonly path: string;
  readonly fd: number;
  /** Permissions to put back, or -1. */
  readonly restoreMode: number;
}

const IS_ROOT = process.geteuid?.() === 0;

export class DirectoryWalk implements Disposable {
  readonly #open: OpenDirectory[] = [];

  /** Throws a system error when there is no directory at `root`. */
  constructor(root: string) {
    const fd = check(raw.openAt(raw.HERE, root, raw.READ_DIRECTORY), "open", root);
    this.#open.push({ path: "", fd, restoreMode: -1 });
  }

  /** Descriptor of the directory at a tree path, valid until the next call. Throws a system error when there is none. */
  enter(path: string): number {
    for (let top = this.#open.at(-1); top !== undefined; top = this.#open.at(-1)) {
      if (top.path === path) return top.fd;
      if (top.path === "" || isBelow(path, top.path)) break;
      this.#leave();
    }
    const above = this.#open.at(-1)?.path ?? "";
    for (let at = above === "" ? 0 : above.length + 1; at <= path.length;) {
      const slash = path.indexOf("/", at);
      const end = slash < 0 ? path.length : slash;
      const parent = this.#open.at(-1)?.fd ?? -1;
      this.#open.push({ path: path.slice(0, end), ...openDirectory(parent, path.slice(at, end)) });
      at = end + 1;
    }
    return this.#open.at(-1)?.fd ?? -1;
  }

  [Symbol.dispose](): void {
    while (this.#open.length > 0) this.#leave();
  }

  #leave(): void {
    const directory = this.#open.pop();
    if (!directory) return;
    if (directory.restoreMode >= 0) raw.chmodFd(directory.fd, directory.restoreMode);
    raw.closeFd(directory.fd);
  }
}

/** Opens a directory. One that is closed to its owner is open while the walk is in it: looking names up needs it. */
function openDirectory(parent: number, name: string): Omit<OpenDirectory, "path"> {
  const fd = raw.openAt(parent, name, raw.READ_DIRECTORY);
  if (IS_ROOT || (fd < 0 && fd !== -ERRNO.EACCES)) return { fd: check(fd, "open", name), restoreMode: -1 };
  const stat = fd < 0 ? raw.statAt(parent, name) : raw.statFd(fd);
  if (typeof stat === "number" || (stat.mode & raw.TYPE_MASK) !== raw.TYPE_DIRECTORY)
    return { fd: check(fd, "open", name), restoreMode: -1 };
  const mode = stat.mode & 0o7777;
  if (fd >= 0 && (mode & 0o100) !== 0) return { fd, restoreMode: -1 };
  if (fd >= 0) raw.closeFd(fd);
  check(raw.chmodAt(parent, name, mode | 0o700), "open", name);
  const opened = raw.openAt(parent, name, raw.READ_DIRECTORY);
  if (opened < 0) raw.chmodAt(parent, name, mode);
  return { fd: check(opened, "open", name), restoreMode: mode };
}
