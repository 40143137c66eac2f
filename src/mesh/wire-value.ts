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

const SCALAR = 0;
const LIST = 1;
const MAP = 2;
/** Of each token: its bytes with those of a size after it; 0 for what is refused (extensions, 64-bit integers, the unused one). */
const HEAD_BYTES = new Uint8Array(256);
/** Of a token without a size after it: how many bytes, values or entries follow. */
const OWN_SIZE = new Uint8Array(256);
const SHAPE = new Uint8Array(256);
for (let token = 0; token < 256; token++) {
  if (token < 0xc0 || token >= 0xe0) HEAD_BYTES[token] = 1;
  if (token >= 0x80 && token < 0xa0) {
    SHAPE[token] = token < 0x90 ? MAP : LIST;
    OWN_SIZE[token] = token & 0x0f;
  } else if (token >= 0xa0 && token < 0xc0) OWN_SIZE[token] = token & 0x1f;
}
for (const token of [0xc0, 0xc2, 0xc3]) HEAD_BYTES[token] = 1; // nil, false, true
for (const [first, sizes] of [
  [0xca, [4, 8, 1, 2, 4]], // floats, unsigned integers
  [0xd0, [1, 2, 4]], // integers
] as const) {
  for (const [index, size] of sizes.entries()) {
    HEAD_BYTES[first + index] = 1;
    OWN_SIZE[first + index] = size;
  }
}
for (const first of [0xc4, 0xd9]) HEAD_BYTES.set([2, 3, 5], first); // bytes, text
HEAD_BYTES.set([3, 5, 3, 5], 0xdc);
SHAPE.set([LIST, LIST, MAP, MAP], 0xdc);
const PROTO = new TextEncoder().encode("__proto__");

/** What is wrong with bytes that should be exactly one plain value; null when nothing is. Linear, without recursion. */
function valueFault(bytes: Uint8Array, from: number): string | null {
  // Values that the list or map at hand still wants, a map's keys counted too; and of those around it, negative for a map.
  let left = 1;
  let isMap = false;
  const around: number[] = [];
  let at = from;
  for (let budget: number = LIMITS.messageValues; ; budget--) {
    while (left === 0) {
      const outer = around.pop();
      if (outer === undefined) return at === bytes.length ? null : "bytes follow its end";
      isMap = outer < 0;
      left = Math.abs(outer) - 1;
    }
    if (budget === 0) return `it has more than ${LIMITS.messageValues} values`;
    if (at >= bytes.length) return "it ends early";
    const token = bytes[at] ?? 0;
    const headBytes = HEAD_BYTES[token] ?? 0;
    const size = headBytes === 1 ? (OWN_SIZE[token] ?? 0) : uint(bytes, at + 1, headBytes - 1);
    if (headBytes === 0) return `the type 0x${token.toString(16)} at byte ${at} is not allowed`;
    if (isMap && left % 2 === 0) {
      if (!isText(token)) return `the key at byte ${at} is not text`;
      if (isProto(bytes, at + headBytes, size)) return "it names __proto__";
    }
    const shape = SHAPE[token] ?? SCALAR;
    at += shape === SCALAR ? headBytes + size : headBytes;
    if (at > bytes.length) return "it ends early";
    left--;
    if (shape === SCALAR || size === 0) continue;
    if (shape * size > bytes.length - at) return "it counts more values than it holds";
    if (around.length === LIMITS.messageDepth) return `it is nested deeper than ${LIMITS.messageDepth}`;
    around.push(isMap ? -(left + 1) : left + 1);
    left = shape * size; // A map has two for each entry.
    isMap = shape === MAP;
  }
}

function isProto(bytes: Uint8Array, at: number, length: number): boolean {
  return length === PROTO.length && PROTO.every((byte, index) => bytes[at + index] === byte);
}

function isText(token: number): boolean {
  return (token >= 0xa0 && token < 0xc0) || (token >= 0xd9 && token <= 0xdb);
}

/** Reads a big-endian number; bytes past the end count as 0. */
function uint(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let index = at; index < at + length; index++) value = value * 0x100 + (bytes[index] ?? 0);
  return value;
}

/** Reads a big-endian number of 4 bytes; those past the end count as 0. */
export function uint32(bytes: Uint8Array, at: number): number {
  return uint(bytes, at, 4);
}
