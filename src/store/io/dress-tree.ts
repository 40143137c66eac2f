// Gives what lies in a directory the owners, attributes and permissions that a tree says: for a layer whose files came from another
// machine, by a process that has the ids. It changes no content and follows no link.

import { fchownSync } from "node:fs";
import { type IdMaps, outsideId } from "../ids.ts";
import { parentOf, type Tree, type TreeEntry } from "../tree.ts";
import { DirectoryWalk } from "./directory-walk.ts";
import { check } from "./errno.ts";
import * as raw from "./raw-files.ts";
import { breathe, OPAQUE } from "./scan.ts";

const YES = Uint8Array.of(0x79);
const SLICE = 512;

/** Owners on disk; null when new files of this process have them anyway. */
export interface DiskOwner {
  readonly uid: number;
  readonly gid: number;
}

export function diskOwnerOf(entry: TreeEntry, ids: IdMaps): DiskOwner | null {
  const uid = outsideId(ids.uids, entry.uid) ?? -1;
  const gid = outsideId(ids.gids, entry.gid) ?? -1;
  return uid === process.geteuid?.() && gid === process.getegid?.() ? null : { uid, gid };
}

/** Dresses all entries of the tree below `root`, from the last to the first: a directory is closed after what is in it. */
export async function dressTree(root: string, tree: Tree, ids: IdMaps): Promise<void> {
  using walk = new DirectoryWalk(root);
  for (let at = tree.length - 1; at >= 0; at--) {
    const entry = tree[at];
    if (!entry || entry.kind === "whiteout") continue;
    if (entry.kind === "directory") dressOpen(walk.enter(entry.path), entry, ids);
    else dressEntry(walk.enter(parentOf(entry.path)), entry, ids);
    if (at % SLICE === 0) await breathe();
  }
}

/** Owner, attributes and permissions of one entry of an open directory, in an order in which none undoes another (chown(2)). */
export function dressEntry(directory: number, entry: TreeEntry, ids: IdMaps): void {
  const name = entry.path.slice(entry.path.lastIndexOf("/") + 1);
  const owner = diskOwnerOf(entry, ids);
  if (owner) check(raw.chownAt(directory, name, owner.uid, owner.gid), "chown", entry.path);
  if (entry.kind === "symlink") return;
  if (entry.xattrs.length > 0) {
    const fd = check(raw.openAt(directory, name, raw.READ_FILE), "open", entry.path);
    try {
      setXattrs(fd, entry);
    } finally {
      raw.closeFd(fd);
    }
  }
  check(raw.chmodAt(directory, name, entry.mode), "chmod", entry.path);
}

/** The same of an open file or directory. */
export function dressOpen(fd: number, entry: TreeEntry, ids: IdMaps): void {
  const owner = diskOwnerOf(entry, ids);
  if (owner) fchownSync(fd, owner.uid, owner.gid);
  setXattrs(fd, entry);
  if (entry.opaque) check(raw.setXattr(fd, OPAQUE, YES), "mark", entry.path);
  check(raw.chmodFd(fd, entry.mode), "chmod", entry.path);
}

function setXattrs(fd: number, entry: TreeEntry): void {
  for (const { name, value } of entry.xattrs) check(raw.setXattr(fd, name, value), `set ${name} of`, entry.path);
}
