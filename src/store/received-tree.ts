// Trees that came from another machine: bytes that nobody here wrote. They are taken only when a layer could have that tree, so
// that building it can do nothing but make new entries below one directory.

import { type Digest, digestOf, shortDigest } from "../base/digest.ts";
import { MeshError } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
import { bytesOfName } from "./names.ts";
import { isContentXattr, type Tree, type TreeEntry } from "./tree.ts";
import { decodeTree } from "./tree-codec.ts";

const NAME_BYTES = 255;
const TARGET_BYTES = 4_095;
const XATTR_NAME_BYTES = 255;
const XATTR_BYTES = 65_536;

/** Reads the tree of layer `digest`. Throws `store.corrupt` when the bytes are not that tree, or no layer could have it. */
export function readReceivedTree(bytes: Uint8Array, digest: Digest): Tree {
  if (digestOf(bytes) !== digest)
    throw new MeshError("store.corrupt", `Cannot use ${bytes.length} bytes as the tree ${shortDigest(digest)}`);
  const tree = decodeTree(bytes);
  const groups = new Map<number, TreeEntry>();
  for (const entry of tree) {
    const fault = faultOf(entry, groups);
    if (fault === null) continue;
    const path = JSON.stringify(entry.path.slice(0, 200));
    throw new MeshError("store.corrupt", `Cannot use the tree ${shortDigest(digest)}: entry ${path} ${fault}`);
  }
  return tree;
}

function faultOf(entry: TreeEntry, groups: Map<number, TreeEntry>): string | null {
  if (entry.mode > 0o7777) return "has an unknown mode";
  if (entry.uid > 0xffff_fffe || entry.gid > 0xffff_fffe) return "has an unknown owner";
  const isFile = entry.kind === "file";
  if (isFile !== (entry.digest !== null)) return "has no content";
  if (!isFile && (entry.size !== 0 || entry.hardlink !== 0)) return "has what only a file can have";
  if (entry.opaque && entry.kind !== "directory") return "has what only a directory can have";
  if (entry.xattrs.length > 0 && !isFile && entry.kind !== "directory") return "can't have attributes";
  if (entry.kind === "whiteout" && (entry.mode !== 0 || entry.uid !== 0 || entry.gid !== 0)) return "hides with a mode";
  if (entry.kind === "symlink" && !isTarget(entry.target ?? "")) return "has no target that a link can have";
  if (depthOf(entry.path) > LIMITS.treeDepth) return "lies too deep";
  const name = entry.path.slice(entry.path.lastIndexOf("/") + 1);
  if (bytesOfName(name).length > NAME_BYTES) return "has too long a name";
  if (!areXattrs(entry)) return "has attributes that no content has";
  return linkFault(entry, groups);
}

function isTarget(target: string): boolean {
  return target !== "" && !target.includes("\0") && bytesOfName(target).length <= TARGET_BYTES;
}

function areXattrs({ xattrs }: TreeEntry): boolean {
  return xattrs.every(({ name, value }, at) => {
    const before = xattrs[at - 1];
    return (
      isContentXattr(name) &&
      !name.includes("\0") &&
      bytesOfName(name).length <= XATTR_NAME_BYTES &&
      value.length <= XATTR_BYTES &&
      (before === undefined || before.name < name)
    );
  });
}

/** Hardlinks are one file under several names; groups are numbered as they appear. */
function linkFault(entry: TreeEntry, groups: Map<number, TreeEntry>): string | null {
  if (entry.hardlink === 0) return null;
  const first = groups.get(entry.hardlink);
  if (first === undefined) {
    groups.set(entry.hardlink, entry);
    return entry.hardlink === groups.size ? null : "is out of order among the hardlinks";
  }
  return sameInode(first, entry) ? null : "is another file than the one it is linked to";
}

function sameInode(a: TreeEntry, b: TreeEntry): boolean {
  return a.digest === b.digest && a.size === b.size && sameAttributes(a, b);
}

/** Whether two entries have the same mode, owner and extended attributes. */
export function sameAttributes(a: TreeEntry, b: TreeEntry): boolean {
  return (
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.xattrs.length === b.xattrs.length &&
    a.xattrs.every(({ name, value }, at) => {
      const other = b.xattrs[at];
      return other?.name === name && Buffer.compare(other.value, value) === 0;
    })
  );
}

function depthOf(path: string): number {
  let depth = 0;
  for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) depth++;
  return depth;
}
