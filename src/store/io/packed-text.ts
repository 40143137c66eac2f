// Long texts of the index, compressed: fewer pages to write, to keep and to read again. Short ones stay as they are, and so does
// what an earlier version wrote. It never decides which columns are packed.

/** Below this, a page is read either way. */
const PACKED_FROM_CHARS = 4_096;

/** What is stored for a text. */
export function packText(text: string): string | Uint8Array {
  // level 1: time counts here, and repetition is found all the same
  return text.length < PACKED_FROM_CHARS ? text : Bun.zstdCompressSync(text, { level: 1 });
}

/** The text of what is stored. Throws what Bun says of bytes that are damaged. */
export function unpackText(stored: string | Uint8Array): string {
  return typeof stored === "string" ? stored : Bun.zstdDecompressSync(stored).toString("utf8");
}
