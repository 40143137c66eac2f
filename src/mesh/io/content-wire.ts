// Asks other machines about content and reads their answers, with a bound on all that they may send.

import type { Digest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import { CONTENT, type Moving, packDigests, packEntries } from "../content-messages.ts";
import { FileStreamReader, type StreamedFile } from "../file-stream.ts";
import type { Peers } from "../peers.ts";

/** A layer's tree, as bytes that nobody has checked. */
export function readTreeFrom(peers: Peers, peer: PeerId, digest: Digest, signal: AbortSignal): Promise<Uint8Array> {
  return collect(pull(peers, peer, { method: CONTENT.tree, params: { digest }, signal }), { most: LIMITS.treeBytes });
}

/** One chunk, of exactly `length` bytes, unverified. Throws `peer.misbehaved` when it is longer or shorter. */
export async function readChunkFrom(
  peers: Peers,
  peer: PeerId,
  chunk: { readonly of: Moving; readonly index: number; readonly length: number },
  signal: AbortSignal,
): Promise<Uint8Array> {
  const params = { of: chunk.of, index: chunk.index };
  const bytes = await collect(pull(peers, peer, { method: CONTENT.chunk, params, signal }), { most: chunk.length });
  if (bytes.length < chunk.length) throw misbehaved(`${bytes.length} bytes of a chunk of ${chunk.length}`);
  return bytes;
}

interface WantedFiles {
  /** Bytes of each, in order. */
  readonly sizes: readonly number[];
  /** Takes each as it comes, null for one that is not there; its bytes are only valid during the call. */
  readonly each: (index: number, file: StreamedFile | null) => void;
}

/** Small files of a layer, at these positions of its tree and of these sizes, unverified. */
export async function readFilesFrom(
  peers: Peers,
  peer: PeerId,
  wanted: WantedFiles & { readonly layer: Digest; readonly entries: readonly number[] },
  signal: AbortSignal,
): Promise<void> {
  const reader = new FileStreamReader(wanted.sizes, wanted.each);
  const params = { layer: wanted.layer, entries: packEntries(wanted.entries) };
  for await (const piece of pull(peers, peer, { method: CONTENT.files, params, signal })) reader.push(piece);
  reader.end();
}

/** Small blobs of these sizes, unverified. */
export async function readBlobsFrom(
  peers: Peers,
  peer: PeerId,
  wanted: WantedFiles & { readonly digests: readonly Digest[] },
  signal: AbortSignal,
): Promise<void> {
  const reader = new FileStreamReader(wanted.sizes, wanted.each);
  const params = { digests: packDigests(wanted.digests) };
  for await (const piece of pull(peers, peer, { method: CONTENT.blobs, params, signal })) reader.push(piece);
  reader.end();
}

/** A stream that is given up when nothing comes for a while. Throws `peer.timeout` then. */
async function* pull(
  peers: Peers,
  peer: PeerId,
  request: { readonly method: string; readonly params: unknown; readonly signal: AbortSignal },
): AsyncIterable<Uint8Array> {
  const stall = new AbortController();
  const signal = AbortSignal.any([request.signal, stall.signal]);
  let timer = setTimeout(() => {}, 0);
  const arm = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => stall.abort(), LIMITS.contentStallMs);
  };
  const stream = peers.stream(peer, request.method, request.params, { timeoutMs: LIMITS.contentStallMs, signal });
  const iterator = stream[Symbol.asyncIterator]();
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener(
      "abort",
      () => {
        reject(
          request.signal.reason instanceof Error
            ? request.signal.reason
            : new MeshError("peer.timeout", `Cannot go on: nothing came for ${LIMITS.contentStallMs} ms`),
        );
      },
      { once: true },
    );
  });
  aborted.catch(() => {});
  let isEnded = false;
  try {
    arm();
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted]);
      if (next.done === true) {
        isEnded = true;
        return;
      }
      // Nothing at all is no sign of life.
      if (next.value.length > 0) arm();
      yield next.value;
    }
  } finally {
    clearTimeout(timer);
    // Ending early stops the sender; a sender that hangs is not waited for.
    if (!isEnded) iterator.return?.().catch(() => {});
  }
}

async function collect(pieces: AsyncIterable<Uint8Array>, { most }: { readonly most: number }): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    length += piece.length;
    if (length > most) throw misbehaved(`more than ${most} bytes`);
    parts.push(piece);
  }
  return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts, length);
}

function misbehaved(what: string): MeshError {
  return new MeshError("peer.misbehaved", `Cannot take what a machine sent: ${what}`);
}
