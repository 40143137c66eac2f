// One-time codes as people read and type them: `k7q-m2x-dn4`. Nine characters of Crockford's base 32: which of the open codes it is
// (said in the clear when pairing), seven secret ones (35 bits), and a check that catches what people mistype before a guess is
// lost. It never knows which codes are open.

import { assert } from "../base/assert.ts";

/** Random bytes that a code is made of. */
export const CODE_RANDOM_BYTES = 5;
/** How many codes can be told apart by their first character. */
export const CODE_SLOTS = 32;

export interface InviteCode {
  /** As it is shown: "k7q-m2x-dn4". A secret. */
  readonly text: string;
  /** 0 to 31; no secret. */
  readonly slot: number;
  /** What pairing takes for the secret. */
  readonly password: Uint8Array;
}

/** Makes a code. `random` are 5 fresh random bytes. */
export function makeInviteCode(slot: number, random: Uint8Array): InviteCode {
  assert(Number.isInteger(slot) && slot >= 0 && slot < CODE_SLOTS, "a slot is one character");
  assert(random.length === CODE_RANDOM_BYTES, "a code is made of 5 random bytes");
  const bits = random.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const secret = Array.from({ length: SECRET_CHARS }, (_, index) => Number((bits >> BigInt(5 * index)) & 31n));
  const symbols = [slot, ...secret];
  return codeOf([...symbols, checkOf(symbols)]);
}

export type ParsedCode =
  | { readonly kind: "code"; readonly code: InviteCode }
  /** It has the form of a code, but no code is written so: something was mistyped. */
  | { readonly kind: "mistyped" }
  | { readonly kind: "malformed" };

/** Reads what a person typed: case, spaces and hyphens do not matter, O is 0, I and L are 1. */
export function parseInviteCode(typed: string): ParsedCode {
  if (typed.length > MAX_TYPED_CHARS) return { kind: "malformed" };
  const text = typed.toLowerCase().replace(/[\s-]/g, "").replace(/o/g, "0").replace(/[il]/g, "1");
  const symbols = text.split("").map((char) => ALPHABET.indexOf(char));
  if (symbols.length !== SECRET_CHARS + 2 || symbols.includes(-1)) return { kind: "malformed" };
  return symbols.at(-1) === checkOf(symbols.slice(0, -1))
    ? { kind: "code", code: codeOf(symbols) }
    : { kind: "mistyped" };
}

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const SECRET_CHARS = 7;
const MAX_TYPED_CHARS = 64;

function codeOf(symbols: readonly number[]): InviteCode {
  const text = symbols.map((symbol) => ALPHABET.charAt(symbol)).join("");
  return {
    text: `${text.slice(0, 3)}-${text.slice(3, 6)}-${text.slice(6)}`,
    slot: symbols[0] ?? 0,
    password: new TextEncoder().encode(text),
  };
}

/**
 * A weighted sum over GF(32) (x^5 + x^2 + 1), the weights being powers of x that all differ: one wrong character, and any two that
 * changed places, give another sum.
 */
function checkOf(symbols: readonly number[]): number {
  let sum = 0;
  for (const symbol of symbols) sum = timesX(sum ^ symbol);
  return sum;
}

function timesX(element: number): number {
  const shifted = element << 1;
  return shifted < 32 ? shifted : shifted ^ 0b100101;
}
