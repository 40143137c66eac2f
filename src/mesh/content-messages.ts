// What machines say to each other about content: the messages as values, and their reading, which takes nothing on trust. A
// message names content by digest and position only; no path is ever in one.

import { type Digest, digestFromHex, hexOf, parseDigest } from "../base/digest.ts";
import { MeshError } from "../base/errors.ts";
import { parsePeerId, type PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import { type ChunkList, chunkListOf, DIGEST_BYTES } from "../store/chunks.ts";
import type { ContentRef } from "./content.ts";

/** Methods, by what they carry. */
export const CONTENT = {
  locate: "content.locate",
  tree: "content.tree",
  join: "content.join",
  files: "content.files",
  blobs: "content.blobs",
  chunk: "content.chunk",
  word: "content.word",
} as const;

/** Something that moves in pieces: a blob, all small files of a layer, or one large file of a layer. */
export type Moving =
  | { readonly kind: "blob"; readonly digest: Digest }
  | { readonly kind: "layer"; readonly digest: Digest }
  | { readonly kind: "file"; readonly digest: Digest; readonly layer: Digest; readonly entry: number };

/** One text for each moving content, the same on all machines. Its chunks are the same wherever a file of that digest lies. */
export function movingKey(moving: Moving): string {
  return moving.kind === "layer" ? `layer ${moving.digest}` : moving.digest;
}

/** How much of some content a machine has. */
export const PRESENCE = ["none", "part", "whole"] as const;
export type Presence = (typeof PRESENCE)[number];

export interface Located {
  readonly presence: Presence;
  /** Bytes of a blob; 0 for a layer, and where it is not known. A claim, like all of it. */
  readonly sizeBytes: number;
}

/** What a machine answers to one that begins to fetch. */
export interface JoinAnswer {
  readonly isWhole: boolean;
  /** Pieces it has, when it has not all: one bit each, lowest first. */
  readonly have: Uint8Array;
  /** Machines that fetch the same or did so lately. */
  readonly swarm: readonly PeerId[];
  /** Chunks of a blob or file; null for a layer, whose pieces follow from its tree. */
  readonly list: ChunkList | null;
  /** When a file was last changed there, Unix seconds and nanoseconds. */
  readonly seconds: number;
  readonly nanoseconds: number;
}

export function readRefs(params: unknown): readonly ContentRef[] {
  const refs = listIn(params, "refs", LIMITS.locateRefs);
  return refs.map((ref) => {
    const kind = textIn(ref, "kind");
    if (kind !== "blob" && kind !== "layer") throw unreadable("an unknown kind of content");
    return { kind, digest: digestIn(ref, "digest") };
  });
}

export function readDigestParam(params: unknown): Digest {
  return digestIn(params, "digest");
}

/** Reads the answer to `locate` for `count` references. */
export function readLocated(value: unknown, count: number): readonly Located[] {
  const states = bytesIn(value, "states", count);
  const sizes = listIn(value, "sizes", count);
  if (states.length !== count || sizes.length !== count)
    throw unreadable("another number of answers than of questions");
  return sizes.map((size, at) => {
    const presence = PRESENCE[states[at] ?? 0];
    if (presence === undefined || !isCount(size)) throw unreadable("an unknown state of content");
    return { presence, sizeBytes: size };
  });
}

export function readMoving(params: unknown): Moving {
  const kind = textIn(params, "kind");
  const digest = digestIn(params, "digest");
  if (kind === "blob" || kind === "layer") return { kind, digest };
  if (kind !== "file") throw unreadable("an unknown kind of content");
  return { kind, digest, layer: digestIn(params, "layer"), entry: countIn(params, "entry") };
}

export function readChunkRequest(params: unknown): { readonly moving: Moving; readonly index: number } {
  const index = countIn(params, "index");
  if (index >= LIMITS.chunks) throw unreadable("a chunk that no content has");
  return { moving: readMoving(fieldIn(params, "of")), index };
}

/** Positions in a layer's tree, as 32-bit numbers. */
export function readFilesRequest(params: unknown): { readonly layer: Digest; readonly entries: readonly number[] } {
  const bytes = bytesIn(params, "entries", LIMITS.batchFiles * 4);
  if (bytes.length % 4 !== 0) throw unreadable("half a position");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    layer: digestIn(params, "layer"),
    entries: Array.from({ length: bytes.length / 4 }, (_, at) => view.getUint32(at * 4, true)),
  };
}

export function packEntries(entries: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(entries.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [at, entry] of entries.entries()) view.setUint32(at * 4, entry, true);
  return bytes;
}

export function readBlobsRequest(params: unknown): readonly Digest[] {
  const bytes = bytesIn(params, "digests", LIMITS.batchFiles * DIGEST_BYTES);
  if (bytes.length % DIGEST_BYTES !== 0) throw unreadable("half a digest");
  return Array.from({ length: bytes.length / DIGEST_BYTES }, (_, at) =>
    digestFromHex(bytes.subarray(at * DIGEST_BYTES, (at + 1) * DIGEST_BYTES).toHex()),
  );
}

export function packDigests(digests: readonly Digest[]): Uint8Array {
  const bytes = new Uint8Array(digests.length * DIGEST_BYTES);
  for (const [at, digest] of digests.entries()) bytes.set(Uint8Array.fromHex(hexOf(digest)), at * DIGEST_BYTES);
  return bytes;
}

/** Reads the answer to `join`; `isLayer` when no chunks are expected. */
export function readJoinAnswer(value: unknown, isLayer: boolean): JoinAnswer {
  const sizeBytes = countIn(value, "sizeBytes");
  const digests = bytesIn(value, "digests", LIMITS.chunks * DIGEST_BYTES);
  const list = isLayer ? null : chunkListOf(sizeBytes, digests);
  if (!isLayer && list === null) throw unreadable("chunks that do not fit their content");
  const swarm = listIn(value, "swarm", LIMITS.swarmPeers).flatMap((peer) => {
    const id = typeof peer === "string" ? parsePeerId(peer) : null;
    return id === null ? [] : [id];
  });
  return {
    isWhole: fieldIn(value, "isWhole") === true,
    have: bytesIn(value, "have", LIMITS.chunks),
    swarm,
    list,
    seconds: countIn(value, "seconds"),
    nanoseconds: Math.min(countIn(value, "nanoseconds"), 999_999_999),
  };
}

/** What a machine that fetches says to the others: it has got a piece, or all of them, or is getting one. */
export type Word =
  | { readonly kind: "got" | "promised"; readonly key: string; readonly piece: number }
  | { readonly kind: "all"; readonly key: string };

export function readWord(params: unknown): Word {
  const kind = textIn(params, "kind");
  const key = textIn(params, "key");
  if (kind === "all") return { kind, key };
  if (kind !== "got" && kind !== "promised") throw unreadable("an unknown kind of word");
  return { kind, key, piece: countIn(params, "piece") };
}

export function bitmapOf(count: number, has: (piece: number) => boolean): Uint8Array {
  const bits = new Uint8Array(Math.ceil(count / 8));
  for (let piece = 0; piece < count; piece++)
    if (has(piece)) bits[piece >> 3] = (bits[piece >> 3] ?? 0) | (1 << (piece & 7));
  return bits;
}

export function piecesIn(bits: Uint8Array, count: number): readonly number[] {
  const pieces: number[] = [];
  for (let piece = 0; piece < count; piece++) if (((bits[piece >> 3] ?? 0) >> (piece & 7)) & 1) pieces.push(piece);
  return pieces;
}

function fieldIn(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) throw unreadable(`no ${name}`);
  return (value as Readonly<Record<string, unknown>>)[name];
}

function textIn(value: unknown, name: string): string {
  const text = fieldIn(value, name);
  if (typeof text !== "string" || text.length > 200) throw unreadable(`no text as ${name}`);
  return text;
}

function digestIn(value: unknown, name: string): Digest {
  const text = textIn(value, name);
  try {
    return parseDigest(text);
  } catch {
    throw unreadable(`no digest as ${name}`);
  }
}

function bytesIn(value: unknown, name: string, most: number): Uint8Array {
  const bytes = fieldIn(value, name);
  if (!(bytes instanceof Uint8Array) || bytes.length > most) throw unreadable(`no bytes, or too many, as ${name}`);
  return bytes;
}

function listIn(value: unknown, name: string, most: number): readonly unknown[] {
  const list = fieldIn(value, name);
  if (!Array.isArray(list) || list.length > most) throw unreadable(`no list, or too long a one, as ${name}`);
  return list;
}

function countIn(value: unknown, name: string): number {
  const count = fieldIn(value, name);
  if (!isCount(count)) throw unreadable(`no amount as ${name}`);
  return count;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function unreadable(what: string): MeshError {
  return new MeshError("peer.misbehaved", `Cannot read a message about content: it has ${what}`);
}
