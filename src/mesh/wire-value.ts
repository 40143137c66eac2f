// Values as they cross the wire: plain MessagePack, nothing else. What a peer sent is checked byte by byte before the decoder
// sees it, so that no extension, record, class, expression or huge allocation is ever reached. The only door to msgpackr.

// By this name comes the package's plain JavaScript; by its main name it would look for a native library.
import { Packr } from "msgpackr/pack";
import { MeshError } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";

const OPTIONS = {
  useRecords: false,
  variableMapSize: true,
  encodeUndefinedAsNil: true,
  /** Missing in the package's types. */
  skipValues: [undefined],
  copyBuffers: true,
};
const packr = new Packr(OPTIONS);

/** msgpackr's mode that leaves up to 255 bytes free before a value. */
const RESERVE_START_SPACE = 2048;

/**
 * The bytes of a value, after `headBytes` (<= 255) that the caller fills. Fields that are undefined are left out, as in JSON; maps, sets
 * and instances of classes are packed as the objects or lists that they look like. Throws `usage.invalid` for a date, a 64-bit
 * integer or what is nested or counted beyond the limits.
 */
export function packValue(value: unknown, headBytes = 0): Uint8Array {
  const bytes = packr.pack(value, RESERVE_START_SPACE | headBytes) as Uint8Array;
  const fault = valueFault(bytes, headBytes);
  if (fault !== null) throw new MeshError("usage.invalid", `Cannot send a value to another machine: ${fault}`);
  return bytes;
}

/** Reads a value that came from outside. Throws `peer.misbehaved` when the bytes are not exactly one plain value. */
export function unpackValue(bytes: Uint8Array): unknown {
  const fault = valueFault(bytes, 0);
  if (fault !== null)
    throw new MeshError("peer.misbehaved", `Cannot read a message of ${bytes.length} bytes: ${fault}`);
  return packr.unpack(bytes) as unknown;
}

/** How many bytes a token has after it, by its code from 0xc0 on; -1: it is refused; -2: it is read by a case of its own. */
// prettier-ignore
const FIXED: Int8Array = Int8Array.of(
  0, -1, 0, 0, -2, -2, -2, -1, // nil, (unused), false, true, bin 8, 16, 32, ext 8
  -1, -1, 4, 8, 1, 2, 4, -1, // ext 16, 32, float 32, 64, uint 8, 16, 32, 64
  1, 2, 4, -1, -1, -1, -1, -1, // int 8, 16, 32, 64, fixext 1, 2, 4, 8
  -1, -2, -2, -2, -2, -2, -2, -2, // fixext 16, str 8, 16, 32, array 16, 32, map 16, 32
);
const PROTO = new TextEncoder().encode("__proto__");

/** What is wrong with bytes that should be exactly one plain value; null when nothing is. Linear, without recursion. */
function valueFault(bytes: Uint8Array, from: number): string | null {
  // One entry per open list or map: how many values it still wants; a map's entry counts keys too, and is even before a key.
  const wanted: number[] = [1];
  const isMap: boolean[] = [false];
  let budget: number = LIMITS.messageValues;
  let at = from;
  while (wanted.length > 0) {
    const depth = wanted.length - 1;
    const left = wanted[depth] ?? 0;
    if (left === 0) {
      wanted.pop();
      isMap.pop();
      continue;
    }
    wanted[depth] = left - 1;
    if (budget-- === 0) return `it has more than ${LIMITS.messageValues} values`;
    if (at >= bytes.length) return "it ends early";
    const token = bytes[at] ?? 0;
    const size = sizeAfter(bytes, at);
    if (size === null) return `the type 0x${token.toString(16)} at byte ${at} is not allowed`;
    const { head, body, count } = size;
    at += head;
    if (isMap[depth] === true && left % 2 === 0) {
      if (!isText(token)) return `the key at byte ${at - head} is not text`;
      if (body === PROTO.length && PROTO.every((byte, index) => bytes[at + index] === byte))
        return "it names __proto__";
    }
    at += body;
    if (at > bytes.length) return "it ends early";
    if (count === 0) continue;
    if (count > bytes.length - at) return "it counts more values than it holds";
    if (wanted.length > LIMITS.messageDepth) return `it is nested deeper than ${LIMITS.messageDepth}`;
    wanted.push(count);
    isMap.push(isMapToken(token));
  }
  return at === bytes.length ? null : "bytes follow its end";
}

/** A token's own bytes, the bytes of its content, and how many values follow inside it. */
interface TokenSize {
  readonly head: number;
  readonly body: number;
  readonly count: number;
}

const ONE_BYTE: TokenSize = { head: 1, body: 0, count: 0 };

function sizeAfter(bytes: Uint8Array, at: number): TokenSize | null {
  const token = bytes[at] ?? 0;
  if (token < 0x80 || token >= 0xe0) return ONE_BYTE;
  if (token < 0x90) return { head: 1, body: 0, count: 2 * (token & 0x0f) };
  if (token < 0xa0) return { head: 1, body: 0, count: token & 0x0f };
  if (token < 0xc0) return { head: 1, body: token & 0x1f, count: 0 };
  const fixed = FIXED[token - 0xc0] ?? -1;
  if (fixed === -1) return null;
  if (fixed >= 0) return { head: 1, body: fixed, count: 0 };
  switch (token) {
    case 0xc4:
    case 0xd9:
      return { head: 2, body: bytes[at + 1] ?? 0, count: 0 };
    case 0xc5:
    case 0xda:
      return { head: 3, body: uint16(bytes, at + 1), count: 0 };
    case 0xc6:
    case 0xdb:
      return { head: 5, body: uint32(bytes, at + 1), count: 0 };
    case 0xdc:
      return { head: 3, body: 0, count: uint16(bytes, at + 1) };
    case 0xdd:
      return { head: 5, body: 0, count: uint32(bytes, at + 1) };
    case 0xde:
      return { head: 3, body: 0, count: 2 * uint16(bytes, at + 1) };
    default:
      return { head: 5, body: 0, count: 2 * uint32(bytes, at + 1) };
  }
}

function isText(token: number): boolean {
  return (token >= 0xa0 && token < 0xc0) || (token >= 0xd9 && token <= 0xdb);
}

function isMapToken(token: number): boolean {
  return (token >= 0x80 && token < 0x90) || token === 0xde || token === 0xdf;
}

function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 0x100 + (bytes[at + 1] ?? 0);
}

/** Reads a big-endian number of 4 bytes; those past the end count as 0. */
export function uint32(bytes: Uint8Array, at: number): number {
  return uint16(bytes, at) * 0x10000 + uint16(bytes, at + 2);
}
