// File names between bytes and text, without loss. A name is bytes to the kernel; bytes that are not UTF-8 become lone
// surrogates U+DC80..U+DCFF (the "surrogateescape" of PEP 383), which no valid UTF-8 yields, so that the way back is exact.

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ENCODER = new TextEncoder();
const ESCAPE_BASE = 0xdc00;

/** Names that are the same in ASCII, Latin-1 and UTF-8. */
export const PLAIN_NAME = /^[\0-\x7f]*$/;

/** Text of a file name or path. */
export function textOfName(bytes: Uint8Array): string {
  try {
    return STRICT.decode(bytes);
  } catch {
    return escapeInvalid(bytes);
  }
}

/** Bytes of a name or path made by `textOfName`. A lone surrogate that is no escape becomes U+FFFD, as everywhere else. */
export function bytesOfName(text: string): Uint8Array {
  if (text.isWellFormed()) return ENCODER.encode(text);
  const bytes: number[] = [];
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    if (code >= ESCAPE_BASE + 0x80 && code <= ESCAPE_BASE + 0xff) bytes.push(code - ESCAPE_BASE);
    else bytes.push(...ENCODER.encode(char));
  }
  return Uint8Array.from(bytes);
}

/** Decodes the longest valid sequences and escapes each byte that belongs to none. */
function escapeInvalid(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at);
    if (length === 0) text += String.fromCharCode(ESCAPE_BASE + (bytes[at] ?? 0));
    else text += STRICT.decode(bytes.subarray(at, at + length));
    at += Math.max(1, length);
  }
  return text;
}

/** Length of the valid UTF-8 sequence that starts at `at`, or 0. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0;
  const length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  try {
    STRICT.decode(bytes.subarray(at, at + length));
    return length;
  } catch {
    return 0;
  }
}
