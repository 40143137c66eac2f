// Asks other machines about content and reads their answers, with a bound on all that they may send.

import type { Digest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import { CONTENT, type Moving, packDigests, packEntries } from "../content-messages.ts";
import { FileStreamReader, type StreamedFile } from "../file-stream.ts";
import type { Peers } from "../peers.ts";

/** A layer's tree, as bytes that nobody has checked. */
export async function readTreeFrom(
  peers: Peers,
  peer: PeerId,
  digest: Digest,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  await pull(peers, peer, { method: CONTENT.tree, params: { digest }, signal }, (piece) => {
    length += piece.length;
    if (length > LIMITS.treeBytes) throw misbehaved(`more than ${LIMITS.treeBytes} bytes`);
    parts.push(new Uint8Array(piece));
  });
  return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts, length);
}

/** Reads one chunk into `target`, which it must fill exactly, unverified. Throws `peer.misbehaved` when it is longer or shorter. */
export async function readChunkFrom(
  peers: Peers,
  peer: PeerId,
  chunk: { readonly of: Moving; readonly index: number; readonly target: Uint8Array },
  signal: AbortSignal,
): Promise<void> {
  const { of, index, target } = chunk;
  let length = 0;
  await pull(peers, peer, { method: CONTENT.chunk, params: { of, index }, signal }, (piece) => {
    if (length + piece.length > target.length) throw misbehaved(`more than ${target.length} bytes as a chunk`);
    target.set(piece, length);
    length += piece.length;
  });
  if (length < target.length) throw misbehaved(`${length} bytes of a chunk of ${target.length}`);
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
  await pull(peers, peer, { method: CONTENT.files, params, signal }, (piece) => reader.push(piece));
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
  await pull(peers, peer, { method: CONTENT.blobs, params, signal }, (piece) => reader.push(piece));
  reader.end();
}

/** Reads a stream, which fails with `peer.timeout` when nothing comes for a while. */
function pull(
  peers: Peers,
  peer: PeerId,
  { method, params, signal }: { readonly method: string; readonly params: unknown; readonly signal: AbortSignal },
  take: (piece: Uint8Array) => void,
): Promise<void> {
  return peers.pull(peer, method, params, {
    timeoutMs: LIMITS.contentStallMs,
    signal,
    take: (piece) => {
      take(piece);
      return undefined;
    },
  });
}

function misbehaved(what: string): MeshError {
  return new MeshError("peer.misbehaved", `Cannot take what a machine sent: ${what}`);
}
