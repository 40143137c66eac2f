// Reads the bytes of a tree, entry by entry, in one pass. It takes any CBOR that has the shape of a tree (RFC 8949); whether the
// bytes are the one form of a sound tree is for its caller to check.

import { digestFromHex } from "../base/digest.ts";
import { PLAIN_NAME, textOfName } from "./names.ts";
import { ENTRY_KINDS, NO_XATTRS, type Tree, type TreeEntry, type Xattr } from "./tree.ts";

/** CBOR major types (section 3.1) and simple values (section 3.3). */
const UNSIGNED = 0;
const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;
const SIMPLE = 7;
const FALSE = 20;
const TRUE = 21;
const NULL = 22;

/** Fields of an entry, in bytes a list of so many. */
export const ENTRY_FIELDS = 10;
const DIGEST_BYTES = 32;
/** Bytes of the smallest entry: a list can't promise more of them than its bytes hold. */
const LEAST_ENTRY_BYTES = 11;

/** Node's Buffer, with the native readers that its types leave out: they are as fast in the first call as in the last. */
interface NativeReaders {
  latin1Slice(from: number, to: number): string;
  hexSlice(from: number, to: number): string;
}

/** Entries in the order of the bytes. Throws a plain error when they have not the shape of a tree. */
export function readTree(bytes: Uint8Array): Tree {
  return new TreeReader(bytes).tree();
}

class TreeReader {
  readonly #bytes: Buffer & NativeReaders;
  #at = 0;
  /** Argument of the head that was read last. */
  #argument = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length) as Buffer & NativeReaders;
  }

  tree(): Tree {
    const count = this.#expect(ARRAY);
    if (count * LEAST_ENTRY_BYTES > this.#bytes.length) throw new TypeError("it promises more entries than it has");
    const entries: TreeEntry[] = [];
    for (let read = 0; read < count; read++) entries.push(this.#entry());
    if (this.#at !== this.#bytes.length) throw new TypeError("bytes follow the tree");
    return entries;
  }

  #entry(): TreeEntry {
    if (this.#expect(ARRAY) !== ENTRY_FIELDS) throw new TypeError("an entry has another number of fields");
    const path = this.#name();
    const kind = ENTRY_KINDS[this.#expect(UNSIGNED)];
    if (kind === undefined) throw new TypeError("unknown kind of entry");
    const [mode, uid, gid, size] = [
      this.#expect(UNSIGNED),
      this.#expect(UNSIGNED),
      this.#expect(UNSIGNED),
      this.#expect(UNSIGNED),
    ];
    const digest = kind === "file" ? this.#digest() : null;
    const target = kind === "symlink" ? this.#name() : null;
    if (digest === null && target === null && this.#simple() !== NULL) throw new TypeError("an entry has content");
    const xattrs = this.#xattrs();
    const hardlink = this.#expect(UNSIGNED);
    return { path, kind, mode, uid, gid, size, digest, target, xattrs, hardlink, opaque: this.#boolean() };
  }

  #xattrs(): readonly Xattr[] {
    const count = this.#expect(ARRAY);
    if (count === 0) return NO_XATTRS;
    const xattrs: Xattr[] = [];
    for (let read = 0; read < count; read++) {
      if (this.#expect(ARRAY) !== 2) throw new TypeError("an attribute is no pair");
      const name = this.#name();
      const length = this.#expect(BYTES);
      const from = this.#at;
      this.#skip(length);
      xattrs.push({ name, value: Uint8Array.from(this.#bytes.subarray(from, this.#at)) });
    }
    return xattrs;
  }

  /** A file's content. */
  #digest(): TreeEntry["digest"] {
    if (this.#expect(BYTES) !== DIGEST_BYTES) throw new TypeError("a digest has another length");
    const from = this.#at;
    this.#skip(DIGEST_BYTES);
    return digestFromHex(this.#bytes.hexSlice(from, this.#at));
  }

  /** Text, or the bytes of a name that is no text. */
  #name(): string {
    const major = this.#head();
    if (major !== TEXT && major !== BYTES) throw new TypeError("a name is neither text nor bytes");
    const from = this.#at;
    this.#skip(this.#argument);
    const text = this.#bytes.latin1Slice(from, this.#at);
    return PLAIN_NAME.test(text) ? text : textOfName(this.#bytes.subarray(from, this.#at));
  }

  #boolean(): boolean {
    const value = this.#simple();
    if (value !== TRUE && value !== FALSE) throw new TypeError("opaque is no boolean");
    return value === TRUE;
  }

  #simple(): number {
    return this.#expect(SIMPLE);
  }

  /** The argument of a head of this major type. */
  #expect(major: number): number {
    if (this.#head() !== major) throw new TypeError(`byte ${this.#at} is no CBOR of type ${major}`);
    return this.#argument;
  }

  /** Major type of the next head; its argument is kept. */
  #head(): number {
    const first = this.#byte();
    const short = first & 31;
    if (short < 24) this.#argument = short;
    else if (short > 27) throw new TypeError("no definite length");
    else {
      let value = 0;
      for (let left = 1 << (short - 24); left > 0; left--) value = value * 256 + this.#byte();
      if (!Number.isSafeInteger(value)) throw new TypeError("a number is too large");
      this.#argument = value;
    }
    return first >> 5;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new TypeError("the bytes end within an entry");
    return byte;
  }

  #skip(length: number): void {
    if (length > this.#bytes.length - this.#at) throw new TypeError("the bytes end within an entry");
    this.#at += length;
  }
}
