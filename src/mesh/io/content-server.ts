// Serves this store's content to other machines of the mesh: what is here, and what of it has arrived while it is still arriving.
// It answers members only (the transport sees to that), takes no path from anybody, and serves so many streams at once.

import { readSync } from "node:fs";
import type { Digest } from "../../base/digest.ts";
import { shortDigest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import { chunkSpan } from "../../store/chunks.ts";
import * as raw from "../../store/io/raw-files.ts";
import { breathe } from "../../store/io/scan.ts";
import type { Store } from "../../store/io/store.ts";
import {
  bitmapOf,
  CONTENT,
  type Moving,
  movingKey,
  PRESENCE,
  readBlobsRequest,
  readChunkRequest,
  readDigestParam,
  readFilesRequest,
  readMoving,
  readRefs,
} from "../content-messages.ts";
import { ABSENT_HEAD, FILE_HEAD_BYTES, putFileHead } from "../file-stream.ts";
import type { Caller, Peers } from "../peers.ts";
import type { Swarms } from "../swarms.ts";
import { BufferPool, type PooledBuffer } from "./buffer-pool.ts";
import { closeContent, type OpenContent, readSpan, type ServedContent } from "./served-content.ts";
import { Slots } from "./slots.ts";

/** Bytes handed to the transport at once. */
const PIECE_BYTES = 256 << 10;
const SLICE_MS = 5;

export interface ServerParts {
  readonly store: Store;
  readonly peers: Peers;
  readonly served: ServedContent;
  readonly swarms: Swarms;
}

/** Registers what answers other machines. */
export function serveContent(parts: ServerParts): void {
  const server = new ContentServer(parts);
  const { peers } = parts;
  peers.onCall(CONTENT.locate, (params) => server.locate(params));
  peers.onCall(CONTENT.join, (params, caller) => server.join(params, caller));
  peers.onStream(CONTENT.tree, (params, caller) => server.tree(params, caller));
  peers.onStream(CONTENT.files, (params, caller) => server.files(params, caller));
  peers.onStream(CONTENT.blobs, (params, caller) => server.blobs(params, caller));
  peers.onStream(CONTENT.chunk, (params, caller) => server.chunk(params, caller));
}

class ContentServer {
  readonly #store: Store;
  readonly #served: ServedContent;
  readonly #swarms: Swarms;
  readonly #buffers = new BufferPool();
  readonly #slots = new Slots<PeerId>({
    each: LIMITS.servedPerPeer,
    all: LIMITS.served,
    waiting: LIMITS.servedWaiting,
  });

  constructor(parts: ServerParts) {
    this.#store = parts.store;
    this.#served = parts.served;
    this.#swarms = parts.swarms;
  }

  locate(params: unknown): unknown {
    const refs = readRefs(params);
    const sizes: number[] = [];
    const states = Uint8Array.from(refs, ({ kind, digest }) => {
      const arriving = this.#served.arriving.get(movingKey({ kind, digest }));
      const isWhole = kind === "blob" ? this.#store.blobs.has(digest) : this.#store.layers.has(digest);
      sizes.push(kind === "blob" ? (isWhole ? this.#sizeOf(digest) : (arriving?.list?.sizeBytes ?? 0)) : 0);
      return PRESENCE.indexOf(isWhole ? "whole" : arriving ? "part" : "none");
    });
    return { states, sizes };
  }

  async join(params: unknown, caller: Caller): Promise<unknown> {
    const moving = readMoving(params);
    const key = movingKey(moving);
    const swarm = this.#swarms.join(key, caller.peer);
    const arriving = this.#served.arriving.get(key);
    if (arriving) {
      arriving.newcomer(caller.peer);
      const have = bitmapOf(arriving.pieces, (piece) => arriving.has(piece));
      return {
        isWhole: false,
        have,
        swarm,
        sizeBytes: arriving.list?.sizeBytes ?? 0,
        digests: arriving.list?.digests ?? new Uint8Array(0),
        ...arriving.time,
      };
    }
    const nothing = { isWhole: true, have: new Uint8Array(0), swarm };
    if (moving.kind === "layer") {
      if (!this.#store.layers.has(moving.digest)) throw missing(moving);
      return { ...nothing, sizeBytes: 0, digests: new Uint8Array(0), seconds: 0, nanoseconds: 0 };
    }
    using _slot = await this.#slots.take(caller.peer, caller.signal);
    const content = this.#served.open(moving);
    if (!content) throw missing(moving);
    try {
      const list = await this.#served.list(moving.digest, content);
      if (!list) throw missing(moving);
      return { ...nothing, sizeBytes: list.sizeBytes, digests: list.digests, ...content.time };
    } finally {
      await closeContent(content);
    }
  }

  async *tree(params: unknown, caller: Caller): AsyncIterable<Uint8Array> {
    const digest = readDigestParam(params);
    using _slot = await this.#slots.take(caller.peer, caller.signal);
    if (!this.#store.layers.knowsTree(digest)) throw missing({ kind: "layer", digest });
    const bytes = this.#store.layers.treeBytes(digest);
    yield* inPieces(bytes);
  }

  async *files(params: unknown, caller: Caller): AsyncIterable<Uint8Array> {
    const { layer, entries } = readFilesRequest(params);
    using _slot = await this.#slots.take(caller.peer, caller.signal);
    const files = this.#served.layerFiles(layer);
    if (!files) throw missing({ kind: "layer", digest: layer });
    try {
      yield* streamOf(this.#buffers, entries, (entry) => files.open(entry), caller.signal);
    } finally {
      files.close();
    }
  }

  async *blobs(params: unknown, caller: Caller): AsyncIterable<Uint8Array> {
    const digests = readBlobsRequest(params);
    using _slot = await this.#slots.take(caller.peer, caller.signal);
    const open = (digest: Digest): number =>
      this.#store.blobs.has(digest)
        ? Math.max(-1, raw.openAt(raw.HERE, this.#store.blobs.path(digest), raw.READ_FILE))
        : -1;
    yield* streamOf(this.#buffers, digests, open, caller.signal);
  }

  async *chunk(params: unknown, caller: Caller): AsyncIterable<Uint8Array> {
    const { moving, index } = readChunkRequest(params);
    using _slot = await this.#slots.take(caller.peer, caller.signal);
    const buffer = this.#arrivedChunk(moving, index) ?? (await this.#ownChunk(moving, index));
    yield* inPieces(buffer.bytes);
    // Only here: of a stream that was given up the last piece may still be on its way.
    buffer[Symbol.dispose]();
  }

  /** A chunk of content that is arriving; null when it is not there, or the content has arrived. */
  #arrivedChunk(moving: Moving, index: number): PooledBuffer | null {
    const arriving = this.#served.arriving.get(movingKey(moving));
    if (!arriving?.list) return null;
    const buffer = this.#buffers.take(chunkSpan(arriving.list, index).length);
    if (arriving.read(index, buffer.bytes)) return buffer;
    buffer[Symbol.dispose]();
    return null;
  }

  async #ownChunk(moving: Moving, index: number): Promise<PooledBuffer> {
    const content: OpenContent | null = this.#served.open(moving);
    if (!content) throw missing(moving);
    try {
      const list = await this.#served.list(moving.digest, content);
      if (!list) throw missing(moving);
      const { at, length } = chunkSpan(list, index);
      const buffer = this.#buffers.take(length);
      if (!(await readSpan(content.fd, at, buffer.bytes))) throw missing(moving);
      return buffer;
    } finally {
      await closeContent(content);
    }
  }

  #sizeOf(digest: Digest): number {
    const stat = raw.statAt(raw.HERE, this.#store.blobs.path(digest));
    return typeof stat === "number" ? 0 : stat.size;
  }
}

function* inPieces(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}

/** Small files one after another, in pieces; one that can't be read, or is not small, is absent. */
async function* streamOf<T>(
  buffers: BufferPool,
  wanted: readonly T[],
  open: (one: T) => number,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const buffer = buffers.take(PIECE_BYTES);
  // One file may be larger than the pieces are.
  let piece = buffer.bytes;
  let filled = 0;
  let until = performance.now() + SLICE_MS;
  for (const one of wanted) {
    const fd = open(one);
    try {
      const stat = fd < 0 ? null : raw.statFd(fd);
      const isFile = stat !== null && (stat.mode & raw.TYPE_MASK) === raw.TYPE_FILE;
      const needed = isFile && stat.size <= LIMITS.smallContentBytes ? FILE_HEAD_BYTES + stat.size : ABSENT_HEAD.length;
      if (filled > 0 && filled + needed > piece.length) {
        yield piece.subarray(0, filled);
        filled = 0;
      }
      if (needed > piece.length) piece = Buffer.allocUnsafe(needed);
      if (!isFile || needed === ABSENT_HEAD.length || !readWhole(fd, piece, filled + FILE_HEAD_BYTES, stat.size)) {
        piece.set(ABSENT_HEAD, filled);
        filled += ABSENT_HEAD.length;
      } else {
        putFileHead(piece, filled, { sizeBytes: stat.size, seconds: stat.mtimeSec, nanoseconds: stat.mtimeNsec });
        filled += needed;
      }
    } finally {
      if (fd >= 0) raw.closeFd(fd);
    }
    if (performance.now() > until) {
      await breathe();
      if (signal.aborted) return;
      until = performance.now() + SLICE_MS;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
  // Only here: of a stream that was given up the last piece may still be on its way.
  buffer[Symbol.dispose]();
}

function readWhole(fd: number, target: Uint8Array, at: number, length: number): boolean {
  for (let done = 0; done < length;) {
    const count = readSync(fd, target, at + done, length - done, done);
    if (count === 0) return false;
    done += count;
  }
  return true;
}

function missing(moving: Pick<Moving, "kind" | "digest">): MeshError {
  return new MeshError("blob.missing", `Cannot find ${moving.kind} ${shortDigest(moving.digest)}`);
}
