// The bytes of a task's log: frames of what it printed, each with its stream and time, so that stdout and stderr stay apart
// and in order. The reader takes any cut of the bytes, so that a log can be followed while it grows.
//
// A frame is: kind (1 byte), milliseconds since the log's start (varint), length (varint), then that many bytes.
// A frame of kind "dropped" has no bytes; its length says how many bytes of output were left out at that place.

export type LogFrame =
  | { readonly kind: "output"; readonly stream: "stdout" | "stderr"; readonly atMs: number; readonly bytes: Uint8Array }
  | { readonly kind: "dropped"; readonly atMs: number; readonly droppedBytes: number };

const STDOUT = 0;
const STDERR = 1;
const DROPPED = 2;

/** Bytes of a frame without its payload. */
export function frameHead(frame: LogFrame): Uint8Array {
  const head: number[] = [frame.kind === "dropped" ? DROPPED : frame.stream === "stdout" ? STDOUT : STDERR];
  pushVarint(head, Math.max(0, Math.round(frame.atMs)));
  pushVarint(head, frame.kind === "dropped" ? frame.droppedBytes : frame.bytes.length);
  return Uint8Array.from(head);
}

/** A frame's bytes. */
export function encodeFrame(frame: LogFrame): Uint8Array {
  const head = frameHead(frame);
  if (frame.kind === "dropped") return head;
  const whole = new Uint8Array(head.length + frame.bytes.length);
  whole.set(head);
  whole.set(frame.bytes, head.length);
  return whole;
}

/** Reads frames from bytes that arrive in any pieces. */
export class LogReader {
  #rest: Uint8Array = new Uint8Array(0);

  /** Frames that are complete with these bytes. Stops for good at a byte that starts no frame. */
  push(bytes: Uint8Array): readonly LogFrame[] {
    const input = this.#rest.length === 0 ? bytes : joined(this.#rest, bytes);
    const frames: LogFrame[] = [];
    let at = 0;
    for (;;) {
      const next = readFrame(input, at);
      if (!next) break;
      frames.push(next.frame);
      at = next.end;
    }
    this.#rest = input.slice(at);
    return frames;
  }
}

/** All whole frames in these bytes. */
export function decodeFrames(bytes: Uint8Array): readonly LogFrame[] {
  return new LogReader().push(bytes);
}

function readFrame(input: Uint8Array, at: number): { readonly frame: LogFrame; readonly end: number } | null {
  const kind = input[at];
  const time = readVarint(input, at + 1);
  const length = time && readVarint(input, time.end);
  if (kind === undefined || !time || !length) return null;
  const atMs = time.value;
  if (kind === DROPPED) return { frame: { kind: "dropped", atMs, droppedBytes: length.value }, end: length.end };
  const end = length.end + length.value;
  if ((kind !== STDOUT && kind !== STDERR) || end > input.length) return null;
  const bytes = input.slice(length.end, end);
  return { frame: { kind: "output", stream: kind === STDOUT ? "stdout" : "stderr", atMs, bytes }, end };
}

/** LEB128 of a whole number up to 2^53. */
function pushVarint(bytes: number[], value: number): void {
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
}

function readVarint(bytes: Uint8Array, from: number): { readonly value: number; readonly end: number } | null {
  let value = 0;
  for (let at = from, scale = 1; at < bytes.length && at - from < 8; at++, scale *= 0x80) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return { value, end: at + 1 };
  }
  return null;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}
