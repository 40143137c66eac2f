// A tree: what a directory holds, as a sorted list of entries whose canonical bytes are its identity. Times are not in it:
// the same bytes are the same tree, whenever they were written. It never touches a disk.

import type { Canonical } from "../base/canonical.ts";
import { type Digest, hexOf } from "../base/digest.ts";
import { MeshError } from "../base/errors.ts";
import { bytesOfName } from "./names.ts";

/** Kinds of entries; the position in this list is the kind's number in the canonical form. */
export const ENTRY_KINDS = ["file", "directory", "symlink", "fifo", "whiteout"] as const;

export type EntryKind = (typeof ENTRY_KINDS)[number];

/** An extended attribute that matters to the content (`user.*`, file capabilities, ACLs). */
export interface Xattr {
  readonly name: string;
  readonly value: Uint8Array;
}

export interface TreeEntry {
  /** From the tree's root, names joined by "/", no leading slash. Bytes that are not UTF-8 are escaped (names.ts). */
  readonly path: string;
  readonly kind: EntryKind;
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. 0 for a whiteout and a symlink. */
  readonly mode: number;
  /** Owner as the context sees it. 0 for a whiteout. */
  readonly uid: number;
  readonly gid: number;
  /** Bytes of a file's content; 0 for all else. */
  readonly size: number;
  /** Digest of a file's content; null for all else. */
  readonly digest: Digest | null;
  /** Target of a symlink as it was written; null for all else. */
  readonly target: string | null;
  /** Sorted by name. */
  readonly xattrs: readonly Xattr[];
  /** Files with the same number above 0 are one inode. Numbered from 1 in order of first appearance. */
  readonly hardlink: number;
  /** A directory that hides what lower layers hold below it. */
  readonly opaque: boolean;
}

/** Entries in the order of `comparePaths`, each path once, parents before children. The root itself is no entry. */
export type Tree = readonly TreeEntry[];

export const NO_XATTRS: readonly Xattr[] = [];

/**
 * Orders paths as lists of names (a directory's content follows it at once), names by UTF-16 code units.
 * Negative when `a` comes first, 0 when equal.
 */
export function comparePaths(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left === right) continue;
    if (left === 47) return -1;
    if (right === 47) return 1;
    return left - right;
  }
  return a.length - b.length;
}

/** Whether `path` lies below `directory` (not the directory itself). */
export function isBelow(path: string, directory: string): boolean {
  return path.length > directory.length && path.charCodeAt(directory.length) === 47 && path.startsWith(directory);
}

/** Path of the directory that holds `path`; "" for the root. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

/** Whether a path is inside the part of the tree that is the workspace, its own directory included. */
export function inWorkspace(path: string): boolean {
  return path === "workspace" || path.startsWith("workspace/");
}

/** The value whose canonical form (base/canonical.ts) is the tree's bytes: one array for each entry, fields in fixed order. */
export function treeValue(tree: Tree): Canonical {
  return tree.map((entry) => [
    nameValue(entry.path),
    ENTRY_KINDS.indexOf(entry.kind),
    entry.mode,
    entry.uid,
    entry.gid,
    entry.size,
    entry.digest !== null
      ? Uint8Array.fromHex(hexOf(entry.digest))
      : entry.target !== null
        ? nameValue(entry.target)
        : null,
    entry.xattrs.map((xattr) => [nameValue(xattr.name), xattr.value]),
    entry.hardlink,
    entry.opaque,
  ]);
}

/**
 * Throws `store.corrupt` when the entries are no tree: unsorted, doubled, unsafe, or with a parent that is no directory.
 * `below` names the directory that holds all of them and is no entry itself; "" is the root.
 */
export function checkTree(tree: Tree, below = ""): void {
  let before: TreeEntry | null = null;
  const open: TreeEntry[] = [];
  for (const entry of tree) {
    if (before && comparePaths(before.path, entry.path) >= 0) throw badTree(entry, "is out of order");
    while (open.length > 0 && !isBelow(entry.path, open.at(-1)?.path ?? "")) open.pop();
    if (parentOf(entry.path) !== (open.at(-1)?.path ?? below)) throw badTree(entry, "has no directory above it");
    if (!isSafeName(entry.path.slice(parentOf(entry.path) === "" ? 0 : parentOf(entry.path).length + 1))) {
      throw badTree(entry, "is no safe path");
    }
    if (entry.kind === "directory") open.push(entry);
    before = entry;
  }
}

/** One name of a path: not empty, no "." or "..", no slash and no NUL. */
export function isSafeName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !name.includes("/") && !name.includes("\0");
}

/** Whether an extended attribute is content's: the kernel's own marks, security labels and trusted ones are the machine's. */
export function isContentXattr(name: string): boolean {
  if (name.startsWith("user.")) return !name.startsWith("user.overlay.");
  return name === "security.capability" || name.startsWith("system.posix_acl_");
}

/** Bytes of a tree's files, hardlinks counted once. */
export function contentBytes(tree: Tree): number {
  const seen = new Set<number>();
  let size = 0;
  for (const entry of tree) {
    if (entry.hardlink > 0 && seen.has(entry.hardlink)) continue;
    if (entry.hardlink > 0) seen.add(entry.hardlink);
    size += entry.size;
  }
  return size;
}

function nameValue(text: string): string | Uint8Array {
  return text.isWellFormed() ? text : bytesOfName(text);
}

function badTree(entry: TreeEntry, why: string): MeshError {
  return new MeshError(
    "store.corrupt",
    `Cannot use the tree: entry ${JSON.stringify(entry.path.slice(0, 200))} ${why}`,
  );
}
