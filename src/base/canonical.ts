// Deterministic CBOR (RFC 8949, section 4.2): the bytes of whatever is hashed or signed. The only door to cborg.

import { decode, encode } from "cborg";
import { type Digest, digestOf } from "./digest.ts";

export type Canonical =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Canonical[]
  | { readonly [key: string]: Canonical };

/** The one byte form of a value: equal values give equal bytes. Keys are sorted; `undefined` is refused. */
export function canonicalBytes(value: Canonical): Uint8Array {
  return encode(value);
}

/** Digest of a value's canonical bytes. */
export function canonicalDigest(value: Canonical): Digest {
  return digestOf(encode(value));
}

/** Reads canonical bytes back. Throws when they are not strict, definite-length CBOR. */
export function parseCanonical(bytes: Uint8Array): Canonical {
  return decode(bytes, { strict: true, allowIndefinite: false, allowUndefined: false }) as Canonical;
}
