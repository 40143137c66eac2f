// Many small files as one stream of bytes: a head for each file that was asked for, in that order, then its content. The reader
// knows what it asked for: what is longer, shorter, more or less than that is refused as it comes.

import { MeshError } from "../base/errors.ts";

const ABSENT = 0;
const PRESENT = 1;
/** State, size, seconds (float, so that they are exact far beyond 2038), nanoseconds. */
export const FILE_HEAD_BYTES = 17;

export interface StreamedFile {
  readonly bytes: Uint8Array;
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** Writes a file's head at `at`. */
export function putFileHead(
  target: Uint8Array,
  at: number,
  file: { readonly sizeBytes: number; readonly seconds: number; readonly nanoseconds: number },
): void {
  const view = new DataView(target.buffer, target.byteOffset + at, FILE_HEAD_BYTES);
  view.setUint8(0, PRESENT);
  view.setUint32(1, file.sizeBytes, true);
  view.setFloat64(5, file.seconds, true);
  view.setUint32(13, file.nanoseconds, true);
}

/** What stands for a file that is not there. */
export const ABSENT_HEAD: Uint8Array = Uint8Array.of(ABSENT);

/** Takes the stream apart as its pieces come. */
export class FileStreamReader {
  readonly #sizes: readonly number[];
  readonly #each: (index: number, file: StreamedFile | null) => void;
  #index = 0;
  #rest: Uint8Array = new Uint8Array(0);

  /**
   * @param sizes Bytes of each file that was asked for, in order; null where they are not known, bounded by `mostBytes`.
   * @param each Called for each file in order, with null for one that is not there. The bytes are only valid during the call.
   */
  constructor(sizes: readonly number[], each: (index: number, file: StreamedFile | null) => void) {
    this.#sizes = sizes;
    this.#each = each;
  }

  /** Takes a piece of any size, valid during the call only. Throws `peer.misbehaved` when the stream is not what was asked for. */
  push(piece: Uint8Array): void {
    let bytes = piece;
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + piece.length);
      bytes.set(this.#rest);
      bytes.set(piece, this.#rest.length);
    }
    let at = 0;
    while (at < bytes.length) {
      const wanted = this.#sizes[this.#index];
      if (wanted === undefined) throw misbehaved("more files than were asked for");
      const state = bytes[at];
      if (state === ABSENT) {
        this.#each(this.#index++, null);
        at++;
        continue;
      }
      if (state !== PRESENT) throw misbehaved("a file in no known state");
      if (bytes.length - at < FILE_HEAD_BYTES) break;
      const view = new DataView(bytes.buffer, bytes.byteOffset + at, FILE_HEAD_BYTES);
      if (view.getUint32(1, true) !== wanted) throw misbehaved("a file of another size");
      const end = at + FILE_HEAD_BYTES + wanted;
      if (bytes.length < end) break;
      const seconds = view.getFloat64(5, true);
      this.#each(this.#index++, {
        bytes: bytes.subarray(at + FILE_HEAD_BYTES, end),
        seconds: Number.isSafeInteger(seconds) && Math.abs(seconds) < 2 ** 36 ? seconds : 0,
        nanoseconds: Math.min(view.getUint32(13, true), 999_999_999),
      });
      at = end;
    }
    // A copy, also of a Buffer: what was given is valid during the call only.
    this.#rest = new Uint8Array(bytes.subarray(at));
  }

  /** Throws `peer.misbehaved` when the stream ended too soon. */
  end(): void {
    if (this.#index < this.#sizes.length || this.#rest.length > 0) throw misbehaved("fewer files than were asked for");
  }
}

function misbehaved(what: string): MeshError {
  return new MeshError("peer.misbehaved", `Cannot take a stream of files: it has ${what}`);
}
