// Content digests: one algorithm for everything, so that an OCI blob and one of ours are the same thing.

import { MeshError } from "./errors.ts";

/** `sha256:` and 64 lower-case hex digits (OCI image-spec, descriptor.md). */
export type Digest = `sha256:${string}` & { readonly __digest: true };

const PATTERN = /^sha256:[0-9a-f]{64}$/;

/** Digest of bytes or of a text's UTF-8 form. */
export function digestOf(content: string | Uint8Array): Digest {
  return `sha256:${Bun.SHA256.hash(content, "hex")}` as Digest;
}

/** Whether a text is a digest. */
export function isDigest(text: string): text is Digest {
  return PATTERN.test(text);
}

/** Checks text that claims to be a digest. Throws `store.corrupt`. */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new MeshError("store.corrupt", `Cannot read ${JSON.stringify(text.slice(0, 80))} as a sha256 digest`);
}

/** Digest from the bare hex form. */
export function digestFromHex(hex: string): Digest {
  return parseDigest(`sha256:${hex}`);
}

/** The 64 hex digits, without the algorithm. */
export function hexOf(digest: Digest): string {
  return digest.slice(7);
}

/** First 12 hex digits, for people. */
export function shortDigest(digest: Digest): string {
  return digest.slice(7, 19);
}
