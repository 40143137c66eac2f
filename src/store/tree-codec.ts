// Trees to their canonical bytes and back. The bytes equal `canonicalBytes(treeValue(tree))`; this writer and its reader exist
// because a layer of 20,000 entries is on the way of every task that makes or takes one: they are five to ten times faster than
// a general codec.

import { type Digest, digestOf } from "../base/digest.ts";
import { MeshError } from "../base/errors.ts";
import { bytesOfName, PLAIN_NAME } from "./names.ts";
import { checkTree, ENTRY_KINDS, inWorkspace, type Tree, type TreeEntry } from "./tree.ts";
import { ENTRY_FIELDS, readTree } from "./tree-reader.ts";

/** CBOR major types (RFC 8949, section 3.1), shifted into place. */
const UNSIGNED = 0x00;
const BYTES = 0x40;
const TEXT = 0x60;
const ARRAY = 0x80;
const FALSE = 0xf4;
const TRUE = 0xf5;
const NULL = 0xf6;

const KIND_NUMBERS = new Map(ENTRY_KINDS.map((kind, number) => [kind, number]));

/** A tree's bytes and the digests of its two parts. */
export interface EncodedTree {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  /** Digest of the entries at and below /workspace, as a tree of their own. */
  readonly workspace: Digest;
  /** Digest of all other entries, as a tree of their own. */
  readonly system: Digest;
}

/** Canonical bytes of a tree. */
export function encodeTree(tree: Tree): Uint8Array {
  const writer = new TreeWriter(tree.length * 96 + 16);
  writer.head(ARRAY, tree.length);
  for (const entry of tree) writer.entry(entry);
  return writer.bytes();
}

/** Digest of a tree: its identity. */
export function treeDigest(tree: Tree): Digest {
  return digestOf(encodeTree(tree));
}

/** Encodes once and hashes the whole, the workspace's part and the rest. */
export function encodeParts(tree: Tree): EncodedTree {
  const writer = new TreeWriter(tree.length * 96 + 16);
  let from = -1;
  let to = -1;
  let inside = 0;
  for (const entry of tree) {
    if (inWorkspace(entry.path)) {
      if (from < 0) from = writer.length;
      inside++;
    } else if (from >= 0 && to < 0) to = writer.length;
    writer.entry(entry);
  }
  const body = writer.bytes();
  if (from < 0) from = body.length;
  if (to < 0) to = body.length;
  const bytes = concatenate([headOf(ARRAY, tree.length), body]);
  return {
    bytes,
    digest: digestOf(bytes),
    workspace: digestOf(concatenate([headOf(ARRAY, inside), body.subarray(from, to)])),
    system: digestOf(concatenate([headOf(ARRAY, tree.length - inside), body.subarray(0, from), body.subarray(to)])),
  };
}

/**
 * Reads a tree's bytes; `below` as in `checkTree`. Throws `store.corrupt` when they are not what `encodeTree` would write
 * for a sound tree.
 */
export function decodeTree(bytes: Uint8Array, below = ""): Tree {
  const tree = read(bytes);
  checkTree(tree, below);
  // A tree has one form, or its digest would name two things.
  if (!Buffer.from(encodeTree(tree)).equals(bytes)) throw unreadable(bytes, "it is written in another form");
  return tree;
}

function read(bytes: Uint8Array): Tree {
  try {
    return readTree(bytes);
  } catch (cause) {
    throw unreadable(bytes, cause);
  }
}

function unreadable(bytes: Uint8Array, cause: unknown): MeshError {
  return new MeshError("store.corrupt", `Cannot read ${bytes.length} bytes as a tree`, { cause });
}

function headOf(major: number, value: number): Uint8Array {
  const writer = new TreeWriter(16);
  writer.head(major, value);
  return writer.bytes();
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Node's Buffer, with the native writers that its types leave out: they are as fast in the first call as in the last. */
interface NativeWriters {
  latin1Write(text: string, at: number, length: number): number;
  hexWrite(text: string, at: number, length: number): number;
}

/** A growing buffer that knows how to write one entry. */
class TreeWriter {
  #buffer: Buffer & NativeWriters;
  #at = 0;

  constructor(capacity: number) {
    this.#buffer = Buffer.allocUnsafe(capacity) as Buffer & NativeWriters;
  }

  get length(): number {
    return this.#at;
  }

  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#at);
  }

  entry(entry: TreeEntry): void {
    this.#room(entry.path.length * 3 + (entry.target?.length ?? 0) * 3 + 128);
    this.#buffer[this.#at++] = ARRAY | ENTRY_FIELDS;
    this.#name(entry.path);
    this.#buffer[this.#at++] = UNSIGNED | (KIND_NUMBERS.get(entry.kind) ?? 0);
    this.head(UNSIGNED, entry.mode);
    this.head(UNSIGNED, entry.uid);
    this.head(UNSIGNED, entry.gid);
    this.head(UNSIGNED, entry.size);
    if (entry.digest !== null) this.#digest(entry.digest);
    else if (entry.target !== null) this.#name(entry.target);
    else this.#byte(NULL);
    this.head(ARRAY, entry.xattrs.length);
    for (const xattr of entry.xattrs) {
      this.#room(xattr.name.length * 3 + xattr.value.length + 32);
      this.#byte(ARRAY | 2);
      this.#name(xattr.name);
      this.head(BYTES, xattr.value.length);
      this.#raw(xattr.value);
    }
    this.#room(16);
    this.head(UNSIGNED, entry.hardlink);
    this.#byte(entry.opaque ? TRUE : FALSE);
  }

  /** Major type and shortest form of its argument; integers up to 2^53. */
  head(major: number, value: number): void {
    if (value < 24) this.#buffer[this.#at++] = major | value;
    else if (value < 0x100) {
      this.#byte(major | 24);
      this.#byte(value);
    } else if (value < 0x10000) {
      this.#byte(major | 25);
      this.#byte(value >>> 8);
      this.#byte(value & 0xff);
    } else if (value < 0x1_0000_0000) {
      this.#byte(major | 26);
      this.#word(value);
    } else {
      this.#byte(major | 27);
      this.#word(Math.floor(value / 0x1_0000_0000));
      this.#word(value % 0x1_0000_0000);
    }
  }

  #byte(value: number): void {
    this.#buffer[this.#at++] = value;
  }

  #word(value: number): void {
    this.#byte((value >>> 24) & 0xff);
    this.#byte((value >>> 16) & 0xff);
    this.#byte((value >>> 8) & 0xff);
    this.#byte(value & 0xff);
  }

  #raw(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #digest(digest: Digest): void {
    this.#buffer[this.#at++] = BYTES | 24;
    this.#buffer[this.#at++] = 32;
    this.#at += this.#buffer.hexWrite(digest.slice(7), this.#at, 32);
  }

  /** Text when it is well formed, else the bytes that it stands for. Plain ASCII is written without a detour. */
  #name(text: string): void {
    if (PLAIN_NAME.test(text)) {
      this.head(TEXT, text.length);
      this.#at += this.#buffer.latin1Write(text, this.#at, text.length);
      return;
    }
    const bytes = bytesOfName(text);
    this.head(text.isWellFormed() ? TEXT : BYTES, bytes.length);
    this.#raw(bytes);
  }

  #room(more: number): void {
    if (this.#at + more <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + more)) as Buffer & NativeWriters;
    grown.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = grown;
  }
}
