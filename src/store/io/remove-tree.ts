// Removes a directory and all below it, whatever its task left there: directories closed to their owner, names that are not
// text, nesting deeper than paths may be, and whoever else removes it at the same time. It never follows a link and never
// leaves the directory.

import { errnoOf } from "../../base/errors.ts";
import { breathe } from "./scan.ts";
import { ERRNO, check } from "./errno.ts";
import * as raw from "./raw-files.ts";

const SLICE_MS = 5;
/** Directories below this depth are moved up to the root before they are emptied: descriptors stay few. */
const MOST_DEPTH = 128;

/** Removes what is at `path`, which need not be there. Lets other work in every few milliseconds. */
export async function removeTree(path: string): Promise<void> {
  const code = raw.unlinkAt(raw.HERE, path);
  if (code === 0 || code === -ERRNO.ENOENT) return;
  const root = openForRemoval(raw.HERE, path, path);
  if (root === null) return;
  const removal: Removal = { root, round: 0, moved: 0, until: performance.now() + SLICE_MS };
  try {
    // What was moved up is emptied in the next round.
    do {
      removal.moved = 0;
      raw.rewind(root);
      await empty(root, 0, path, removal);
      removal.round++;
    } while (removal.moved > 0);
  } finally {
    raw.closeFd(root);
  }
  checkOrGone(raw.removeDirectoryAt(raw.HERE, path), "remove", path);
}

interface Removal {
  readonly root: number;
  round: number;
  /** Directories moved up to the root in this round. */
  moved: number;
  until: number;
}

async function empty(fd: number, depth: number, path: string, removal: Removal): Promise<void> {
  const directories: string[] = [];
  readUnlessGone(fd, path, (name, type) => {
    const code = type === raw.TYPE_DIRECTORY ? -ERRNO.EISDIR : raw.unlinkAt(fd, name);
    if (code === -ERRNO.EISDIR || code === -ERRNO.EPERM) directories.push(name);
    else checkOrGone(code, "remove", `${path}/${name}`);
  });
  for (const name of directories) {
    if (performance.now() > removal.until) {
      await breathe();
      removal.until = performance.now() + SLICE_MS;
    }
    if (raw.removeDirectoryAt(fd, name) === 0) continue;
    if (depth >= MOST_DEPTH) {
      const aside = `.mesh-removed-${process.pid}-${removal.round}-${removal.moved++}`;
      checkOrGone(raw.renameAt(fd, name, removal.root, aside), "move", name);
      continue;
    }
    const child = openForRemoval(fd, name, `${path}/${name}`);
    if (child === null) continue;
    try {
      await empty(child, depth + 1, path, removal);
    } finally {
      raw.closeFd(child);
    }
    checkOrGone(raw.removeDirectoryAt(fd, name), "remove", `${path}/${name}`);
  }
}

/** The open directory, or null when somebody else removed it meanwhile. */
function openForRemoval(directory: number, name: string, path: string): number | null {
  let fd = raw.openAt(directory, name, raw.READ_DIRECTORY);
  if (fd === -ERRNO.EACCES) {
    checkOrGone(raw.chmodAt(directory, name, 0o700), "open", path);
    fd = raw.openAt(directory, name, raw.READ_DIRECTORY);
  }
  if (fd === -ERRNO.ENOENT) return null;
  check(fd, "open", path);
  raw.chmodFd(fd, 0o700);
  return fd;
}

/** A directory that was removed while it is open cannot be listed: nothing is in it. */
function readUnlessGone(fd: number, path: string, each: (name: string, type: number) => void): void {
  try {
    raw.readDirectory(fd, path, each);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

/** Throws for -errno, unless it says that what was to go is gone. */
function checkOrGone(result: number, action: string, path: string): void {
  if (result !== -ERRNO.ENOENT) check(result, action, path);
}
