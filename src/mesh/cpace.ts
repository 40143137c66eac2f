// CPace over ristretto255 with SHA-512 in its initiator-responder form (draft-irtf-cfrg-cpace-21): two who share a short secret get a
// strong key; whoever does not know the secret gets one guess for each exchange and learns nothing else. The only door to
// @noble/curves: its loading takes some 10 ms, so that only who pairs imports this.

import { ristretto255, ristretto255_hasher } from "@noble/curves/ed25519.js";
import { assert } from "../base/assert.ts";

/** Length of a share: an encoded element of the group. */
export const SHARE_BYTES = 32;
/** Chance that a share is made of. */
export const SCALAR_BYTES = 32;

/** What both must have in common. */
export interface CpaceInputs {
  /** PRS, the secret. */
  readonly password: Uint8Array;
  /** CI: who talks to whom over what. Made from what each side knows, not sent. */
  readonly channel: Uint8Array;
  /** sid: bytes that are this exchange's own. */
  readonly session: Uint8Array;
}

/** A share and what is said with it (Y and AD). */
export interface CpaceMessage {
  readonly share: Uint8Array;
  readonly data: Uint8Array;
}

/** Makes the share of a scalar (`scalar` is 32 fresh random bytes, kept for `cpaceKey`). */
export function cpaceShare(inputs: CpaceInputs, scalar: Uint8Array): Uint8Array {
  const generator = ristretto255_hasher.deriveToCurve?.(sha512(generatorString(inputs)));
  assert(generator !== undefined, "ristretto255 derives elements");
  return generator.multiply(scalarOf(scalar)).toBytes();
}

/**
 * The intermediate session key (ISK, 64 bytes) of whoever holds `scalar`; null, and the exchange must end, when the other's share
 * is no element of the group or its neutral one. It is the same on both sides only if inputs and messages are.
 */
export function cpaceKey(
  inputs: CpaceInputs,
  scalar: Uint8Array,
  messages: { readonly initiator: CpaceMessage; readonly responder: CpaceMessage; readonly other: Uint8Array },
): Uint8Array | null {
  const shared = multiplied(scalar, messages.other);
  if (shared === null) return null;
  const { initiator, responder } = messages;
  const head = lengthValue(utf8(`${DOMAIN}_ISK`), inputs.session, shared);
  const transcript = [lengthValue(initiator.share, initiator.data), lengthValue(responder.share, responder.data)];
  return sha512(Buffer.concat([head, ...transcript]));
}

/** The tag by which a side proves that it has the key: over the message that it sent (10.4 of the draft). 64 bytes. */
export function cpaceTag(key: Uint8Array, session: Uint8Array, sent: CpaceMessage): Uint8Array {
  const macKey = sha512(Buffer.concat([utf8("CPaceMac"), session, key]));
  return new Bun.CryptoHasher("sha512", macKey).update(lengthValue(sent.share, sent.data)).digest();
}

/** Each part after its length in LEB128 (`lv_cat` of the draft). */
export function lengthValue(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts.flatMap((part) => [leb128(part.length), part]));
}

/** The string that the generator is derived from (8.1 of the draft): secret and padding fill the hash's first block. */
export function generatorString({ password, channel, session }: CpaceInputs): Uint8Array {
  const taken = lengthValue(password).length + lengthValue(utf8(DOMAIN)).length + 1;
  const padding = new Uint8Array(Math.max(0, SHA512_BLOCK_BYTES - taken));
  return lengthValue(utf8(DOMAIN), password, padding, channel, session);
}

/** `scalar * element`, encoded (`scalar_mult_vfy` of the draft); null in place of the neutral element. */
export function multiplied(scalar: Uint8Array, element: Uint8Array): Uint8Array | null {
  const point = elementOrNull(element);
  if (point === null || point.is0()) return null;
  const product = point.multiply(scalarOf(scalar));
  return product.is0() ? null : product.toBytes();
}

const DOMAIN = "CPaceRistretto255";
const SHA512_BLOCK_BYTES = 128;

function elementOrNull(bytes: Uint8Array) {
  if (bytes.length !== SHARE_BYTES) return null;
  try {
    return ristretto255.Point.fromBytes(bytes);
  } catch {
    return null; // No canonical encoding of an element (RFC 9496, 4.3.1).
  }
}

/** Bits above the group's 252 are cleared, the rest read as little-endian (8.3 of the draft). */
function scalarOf(bytes: Uint8Array): bigint {
  assert(bytes.length === SCALAR_BYTES, "a scalar is made of 32 bytes");
  const scalar = BigInt(`0x${bytes.toReversed().toHex()}`) & ((1n << 252n) - 1n);
  assert(scalar !== 0n, "a scalar of fresh random bytes is not zero");
  return scalar;
}

function leb128(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Uint8Array.from([...bytes, rest]);
}

function sha512(bytes: Uint8Array): Uint8Array {
  return new Bun.CryptoHasher("sha512").update(bytes).digest();
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
