// Opens directories of one tree below a root, each from the one above it, by names alone: no link is followed, no path is too
// long, and what is asked for in tree order costs one open a directory.

import { isBelow } from "../tree.ts";
import { ERRNO, check } from "./errno.ts";
import * as raw from "./raw-files.ts";

export class DirectoryWalk implements Disposable {
  readonly #open: { readonly path: string; readonly fd: number }[] = [];

  /** Throws a system error when there is no directory at `root`. */
  constructor(root: string) {
    this.#open.push({ path: "", fd: check(raw.openAt(raw.HERE, root, raw.READ_DIRECTORY), "open", root) });
  }

  /** Descriptor of the directory at a tree path, valid until the next call. Throws a system error when there is none. */
  enter(path: string): number {
    for (let top = this.#open.at(-1); top !== undefined; top = this.#open.at(-1)) {
      if (top.path === path) return top.fd;
      if (top.path === "" || isBelow(path, top.path)) break;
      raw.closeFd(top.fd);
      this.#open.pop();
    }
    const above = this.#open.at(-1)?.path ?? "";
    for (let at = above === "" ? 0 : above.length + 1; at <= path.length;) {
      const slash = path.indexOf("/", at);
      const end = slash < 0 ? path.length : slash;
      const parent = this.#open.at(-1)?.fd ?? -1;
      const fd = check(openDirectory(parent, path.slice(at, end)), "open", path);
      this.#open.push({ path: path.slice(0, end), fd });
      at = end + 1;
    }
    return this.#open.at(-1)?.fd ?? -1;
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#open.splice(0)) raw.closeFd(fd);
  }
}

/** Opens a directory; one that is closed to its owner is opened up for that moment. */
function openDirectory(parent: number, name: string): number {
  const fd = raw.openAt(parent, name, raw.READ_DIRECTORY);
  if (fd !== -ERRNO.EACCES) return fd;
  const stat = raw.statAt(parent, name);
  if (typeof stat === "number" || (stat.mode & raw.TYPE_MASK) !== raw.TYPE_DIRECTORY) return fd;
  const mode = stat.mode & 0o7777;
  if (raw.chmodAt(parent, name, mode | 0o700) < 0) return fd;
  const opened = raw.openAt(parent, name, raw.READ_DIRECTORY);
  if (opened < 0) raw.chmodAt(parent, name, mode);
  else raw.chmodFd(opened, mode);
  return opened;
}
