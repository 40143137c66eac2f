// Frames: how a connection's bytes are cut into messages. A frame is its kind (1 byte), the length of its body (3 bytes), an id
// (4 bytes, big-endian as the length), and its body: one MessagePack value, or raw bytes for the kinds that move bulk. It knows
// nothing of what messages mean.

import { MeshError } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
import { packValue, uint32 } from "./wire-value.ts";

/** Kinds of frames. From 0x80 on: whoever does not know one skips it; below: whoever does not know one cannot go on. */
export const FRAME = {
  /** First in each direction: versions. Its form never changes. */
  hello: 1,
  /** [method, params], answered by `answer` or `failure` of the same id. */
  call: 2,
  answer: 3,
  /** [code, message]: a call failed, or a stream. */
  failure: 4,
  /** Whoever called, or opened a stream, does not want it any more. */
  cancel: 5,
  /** [method, params] */
  word: 6,
  /** [method, params, credit in bytes]: asks for a stream of bytes. */
  open: 7,
  /** Raw bytes of a stream. */
  data: 8,
  /** A stream is complete. */
  end: 9,
  /** 4 raw bytes: as many more bytes may be sent on a stream. */
  credit: 10,
  /** Answered by `pong` of the same id. */
  ping: 11,
  pong: 12,
  /** The sender makes no new calls and opens no streams; what is under way is finished. */
  bye: 13,
} as const;

const FIRST_OPTIONAL_KIND = 0x80;

/** Whether a frame whose kind is not known may be skipped. */
export function isOptionalKind(kind: number): boolean {
  return kind >= FIRST_OPTIONAL_KIND;
}

const HEAD_BYTES = 8;
/** Most bytes in a frame's body. */
export const BODY_BYTES = LIMITS.frameBytes - HEAD_BYTES;

/** A frame's head; its body of `length` bytes follows. */
export function frameHead(kind: number, id: number, length: number): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  fillHead(head, kind, id);
  head[1] = length >>> 16;
  head[2] = length >>> 8;
  head[3] = length;
  return head;
}

/** A whole frame around one value. Throws `usage.invalid` when the value is not plain or too large for a frame. */
export function valueFrame(kind: number, id: number, value: unknown): Uint8Array {
  const frame = packValue(value, HEAD_BYTES);
  const length = frame.length - HEAD_BYTES;
  if (length > BODY_BYTES)
    throw new MeshError("usage.invalid", `Cannot send a message of ${length} bytes: ${BODY_BYTES} is the most`);
  fillHead(frame, kind, id);
  frame[1] = length >>> 16;
  frame[2] = length >>> 8;
  frame[3] = length;
  return frame;
}

function fillHead(frame: Uint8Array, kind: number, id: number): void {
  frame[0] = kind;
  frame[4] = id >>> 24;
  frame[5] = id >>> 16;
  frame[6] = id >>> 8;
  frame[7] = id;
}

/** A frame, or a piece of one of kind `data`: those are passed on as their bytes come. */
export interface Frame {
  readonly kind: number;
  readonly id: number;
  /** May be a view of the bytes given to `push`: valid as long as they are. */
  readonly body: Uint8Array;
}

const EMPTY = new Uint8Array(0);
const FIRST_BODY_BYTES = 4 * 1024;

/** Reads frames from bytes that come in any pieces. It holds at most one frame, and grows only as bytes come. */
export class FrameReader {
  readonly #head = new Uint8Array(HEAD_BYTES);
  #headFilled = 0;
  /** The body under way; null between frames and while data is passed on. */
  #body: Uint8Array | null = null;
  #bodyFilled = 0;
  /** Bytes of the body that have not come yet. */
  #missing = 0;

  /** Bytes that are held for a frame that is not complete. */
  get heldBytes(): number {
    return this.#body?.length ?? 0;
  }

  /** Whether a frame has begun and not ended. */
  get isInside(): boolean {
    return this.#headFilled > 0;
  }

  /** Gives every frame that these bytes complete to `take`, in order. Throws `peer.misbehaved` for a frame that is too long. */
  push(bytes: Uint8Array, take: (frame: Frame) => void): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#headFilled < HEAD_BYTES) {
        at += this.#fillHead(bytes, at);
        if (this.#headFilled < HEAD_BYTES) return;
        this.#missing = this.#checkedLength();
        if (this.#missing === 0) {
          this.#headFilled = 0;
          take({ kind: this.#head[0] ?? 0, id: uint32(this.#head, 4), body: EMPTY });
        }
        continue;
      }
      const part = bytes.subarray(at, Math.min(bytes.length, at + this.#missing));
      at += part.length;
      this.#missing -= part.length;
      const body = this.#bodyWith(part);
      if (this.#missing === 0) this.#headFilled = 0;
      if (body !== null) take({ kind: this.#head[0] ?? 0, id: uint32(this.#head, 4), body });
    }
  }

  #fillHead(bytes: Uint8Array, at: number): number {
    const count = Math.min(HEAD_BYTES - this.#headFilled, bytes.length - at);
    for (let index = 0; index < count; index++) this.#head[this.#headFilled + index] = bytes[at + index] ?? 0;
    this.#headFilled += count;
    return count;
  }

  #checkedLength(): number {
    const length = uint32(this.#head, 0) & 0xffffff;
    if (length > BODY_BYTES)
      throw new MeshError("peer.misbehaved", `Cannot take a frame of ${length} bytes: ${BODY_BYTES} is the most`);
    return length;
  }

  /** What is to be passed on after a part of the body came: the whole body, a piece of data, or null. */
  #bodyWith(part: Uint8Array): Uint8Array | null {
    if (this.#head[0] === FRAME.data) return part;
    if (this.#body === null) {
      if (this.#missing === 0) return part;
      this.#body = new Uint8Array(Math.max(FIRST_BODY_BYTES, part.length));
      this.#bodyFilled = 0;
    }
    const filled = this.#bodyFilled + part.length;
    if (filled > this.#body.length) {
      const grown = new Uint8Array(Math.min(filled + this.#missing, Math.max(filled, 2 * this.#body.length)));
      grown.set(this.#body.subarray(0, this.#bodyFilled));
      this.#body = grown;
    }
    this.#body.set(part, this.#bodyFilled);
    this.#bodyFilled = filled;
    if (this.#missing > 0) return null;
    const whole = this.#body.subarray(0, filled);
    this.#body = null;
    return whole;
  }
}
