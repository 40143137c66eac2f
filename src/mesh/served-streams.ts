// Streams that a peer reads from this machine over one connection: each sends only what its reader gave credit for, and all share
// the connection in turn. It never holds more than one piece of each.

import { LIMITS } from "../base/limits.ts";
import type { ChannelEffect } from "./channel-event.ts";
import { FRAME, frameHead } from "./frames.ts";

interface Served {
  creditBytes: number;
  /** What is left of the piece under way; null while the next one is awaited. */
  rest: Uint8Array | null;
  /** How much the connection had been given with the end of the last piece, until that has left; null before and after. */
  leavesAtBytes: number | null;
  /** Since when `rest` has waited for credit. */
  starvedAtMs: number | null;
}

interface Output {
  /** Gives bytes to the connection; answers with all that it was ever given. */
  readonly send: (bytes: Uint8Array) => number;
  readonly effect: (effect: ChannelEffect) => void;
  /** Bytes that the connection's queue takes before bulk must wait. */
  readonly roomBytes: () => number;
}

/** Most bytes of a stream in one frame, so that streams take turns. */
const FRAME_DATA_BYTES = 512 * 1024;
const MOST_CREDIT_BYTES = 1024 * 1024 * 1024;

export class ServedStreams {
  readonly #streams = new Map<number, Served>();
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** False when the credit is none. */
  add(id: number, credit: unknown): boolean {
    if (!isCredit(credit)) return false;
    this.#streams.set(id, { creditBytes: credit, rest: null, leavesAtBytes: null, starvedAtMs: null });
    return true;
  }

  delete(id: number): boolean {
    return this.#streams.delete(id);
  }

  /** Takes the next piece of a stream; asks for another when it has left. */
  piece(id: number, bytes: Uint8Array, nowMs: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (bytes.length === 0) return this.#output.effect({ kind: "wanted", id });
    stream.rest = bytes;
    this.pump(nowMs);
  }

  /** More may be sent. False when the credit is none, or goes beyond all measure. */
  grant(id: number, credit: number, nowMs: number): boolean {
    const stream = this.#streams.get(id);
    if (stream === undefined) return true; // It has ended meanwhile.
    if (!isCredit(credit) || stream.creditBytes + credit > MOST_CREDIT_BYTES) return false;
    stream.creditBytes += credit;
    stream.starvedAtMs = null;
    this.pump(nowMs);
    return true;
  }

  /** Sends what credit and room allow, a frame of each stream in turn. */
  pump(nowMs: number): void {
    // A stream that was served goes to the end of the line, so that this walk meets it again while it has more.
    for (const [id, stream] of this.#streams) {
      if (this.#output.roomBytes() <= 0) return;
      this.#sendFrame(id, stream, nowMs);
    }
  }

  /** So much of what the connection was given has left: streams whose last piece was in it can take another. */
  left(bytes: number): void {
    for (const [id, stream] of this.#streams) {
      if (stream.leavesAtBytes === null || stream.leavesAtBytes > bytes) continue;
      stream.leavesAtBytes = null;
      this.#output.effect({ kind: "wanted", id });
    }
  }

  /** Streams that have had bytes but no credit for too long. */
  stalled(nowMs: number): readonly number[] {
    return [...this.#streams]
      .filter(([, { starvedAtMs }]) => starvedAtMs !== null && nowMs - starvedAtMs > LIMITS.streamStallMs)
      .map(([id]) => id);
  }

  #sendFrame(id: number, stream: Served, nowMs: number): void {
    const { rest } = stream;
    if (rest === null) return;
    const length = Math.min(rest.length, stream.creditBytes, FRAME_DATA_BYTES);
    if (length === 0) {
      stream.starvedAtMs ??= nowMs;
      return;
    }
    this.#output.send(frameHead(FRAME.data, id, length));
    const givenBytes = this.#output.send(length === rest.length ? rest : rest.subarray(0, length));
    stream.creditBytes -= length;
    stream.rest = length === rest.length ? null : rest.subarray(length);
    this.#streams.delete(id);
    this.#streams.set(id, stream);
    if (stream.rest === null) stream.leavesAtBytes = givenBytes;
  }
}

function isCredit(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= MOST_CREDIT_BYTES;
}
