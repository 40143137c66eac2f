// Removes a directory and all below it, whatever its task left there: directories closed to their owner, names that are not
// text, nesting deeper than paths may be. It never follows a link and never leaves the directory.

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
  check(raw.removeDirectoryAt(raw.HERE, path), "remove", path);
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
  raw.readDirectory(fd, path, (name, type) => {
    const code = type === raw.TYPE_DIRECTORY ? -ERRNO.EISDIR : raw.unlinkAt(fd, name);
    if (code === -ERRNO.EISDIR || code === -ERRNO.EPERM) directories.push(name);
    else if (code !== -ERRNO.ENOENT) check(code, "remove", `${path}/${name}`);
  });
  for (const name of directories) {
    if (performance.now() > removal.until) {
      await breathe();
      removal.until = performance.now() + SLICE_MS;
    }
    if (raw.removeDirectoryAt(fd, name) === 0) continue;
    if (depth >= MOST_DEPTH) {
      check(raw.renameAt(fd, name, removal.root, `.mesh-removed-${removal.round}-${removal.moved++}`), "move", name);
      continue;
    }
    const child = openForRemoval(fd, name, `${path}/${name}`);
    try {
      await empty(child, depth + 1, path, removal);
    } finally {
      raw.closeFd(child);
    }
    check(raw.removeDirectoryAt(fd, name), "remove", `${path}/${name}`);
  }
}

function openForRemoval(directory: number, name: string, path: string): number {
  let fd = raw.openAt(directory, name, raw.READ_DIRECTORY);
  if (fd === -ERRNO.EACCES) {
    check(raw.chmodAt(directory, name, 0o700), "open", path);
    fd = raw.openAt(directory, name, raw.READ_DIRECTORY);
  }
  check(fd, "open", path);
  raw.chmodFd(fd, 0o700);
  return fd;
}
