// Content of this store as it is read for others: files of layers by their position in the tree, and chunks of blobs and large
// files. What is asked for is named by digest; only what that digest's own layer or blob holds can ever be opened.

import { close, read } from "node:fs";
import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import type { Digest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import { type ChunkList, chunkBytesOf, chunkListOf, chunkSpan, DIGEST_BYTES } from "../../store/chunks.ts";
import { DirectoryWalk } from "../../store/io/directory-walk.ts";
import { openReadable } from "../../store/io/file-hasher.ts";
import type { FileTime } from "../../store/io/layer-writer.ts";
import * as raw from "../../store/io/raw-files.ts";
import type { Store } from "../../store/io/store.ts";
import { parentOf, type TreeEntry } from "../../store/tree.ts";
import type { Moving } from "../content-messages.ts";

const readAsync = promisify(read);
const closeAsync = promisify(close);

/** Chunks of one content that are hashed at once. */
const HASHED_AT_ONCE = 4;
/** Chunk lists that are kept, by their bytes. */
const KEPT_LIST_BYTES = 8 << 20;

/** An open file of content, and what it is expected to be. */
export interface OpenContent {
  readonly fd: number;
  readonly sizeBytes: number;
  readonly time: FileTime;
}

/** Content that is arriving, as far as it can be served already. */
export interface Arriving {
  readonly pieces: number;
  readonly list: ChunkList | null;
  readonly time: FileTime;
  has(piece: number): boolean;
  /** Reads a verified chunk into bytes of its length; false when it is not there. */
  read(index: number, target: Uint8Array): boolean;
  /** A descriptor for the file at a position of the layer's tree, or -1. */
  openEntry(entry: number): number;
  /** Somebody else fetches the same. */
  newcomer(peer: PeerId): void;
}

export class ServedContent {
  readonly #store: Store;
  /** By `movingKey`. */
  readonly arriving = new Map<string, Arriving>();
  readonly #lists = new Map<Digest, ChunkList>();
  readonly #listing = new Map<Digest, Promise<ChunkList | null>>();
  #listBytes = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Opens a blob, or a file of a layer, that is here as a whole; null when it is not. The caller closes it. */
  open(moving: Moving): OpenContent | null {
    if (moving.kind === "layer") return null;
    if (this.#store.blobs.has(moving.digest))
      return opened(raw.openAt(raw.HERE, this.#store.blobs.path(moving.digest), raw.READ_FILE));
    if (moving.kind !== "file") return null;
    const entry = this.#entry(moving.layer, moving.entry);
    if (entry?.digest !== moving.digest) return null;
    try {
      using walk = new DirectoryWalk(this.#store.layers.directory(moving.layer));
      return opened(openReadable(walk.enter(parentOf(entry.path)), nameOf(entry)));
    } catch {
      return null;
    }
  }

  /**
   * The chunks of an open file; read through once, then remembered. null when the file ends too soon. Whether
   * the whole has its digest is for the receiver to see.
   */
  async list(digest: Digest, content: OpenContent): Promise<ChunkList | null> {
    const known = this.#lists.get(digest);
    if (known) return known;
    const running = this.#listing.get(digest);
    if (running) return running;
    const listing = hashChunks(content).finally(() => this.#listing.delete(digest));
    this.#listing.set(digest, listing);
    const list = await listing;
    if (list) this.keepList(digest, list);
    return list;
  }

  /** Remembers the chunks of content whose digest was verified. */
  keepList(digest: Digest, list: ChunkList): void {
    if (this.#lists.has(digest)) return;
    this.#lists.set(digest, list);
    this.#listBytes += list.digests.length;
    for (const [oldest, { digests }] of this.#lists) {
      if (this.#listBytes <= KEPT_LIST_BYTES || oldest === digest) break;
      this.#lists.delete(oldest);
      this.#listBytes -= digests.length;
    }
  }

  /** Opens files of one layer, in the order of its tree for speed. Files that are not here are -1. */
  layerFiles(layer: Digest): LayerFiles | null {
    const arriving = this.arriving.get(`layer ${layer}`);
    if (arriving) return { open: (entry) => arriving.openEntry(entry), close: () => {} };
    if (!this.#store.layers.has(layer)) return null;
    let walk: DirectoryWalk;
    try {
      walk = new DirectoryWalk(this.#store.layers.directory(layer));
    } catch {
      return null;
    }
    return {
      open: (at) => {
        const entry = this.#entry(layer, at);
        if (!entry || entry.kind !== "file") return -1;
        try {
          return Math.max(-1, openReadable(walk.enter(parentOf(entry.path)), nameOf(entry)));
        } catch {
          return -1;
        }
      },
      close: () => walk[Symbol.dispose](),
    };
  }

  #entry(layer: Digest, at: number): TreeEntry | undefined {
    return this.#store.layers.has(layer) ? this.#store.layers.tree(layer)[at] : undefined;
  }
}

export interface LayerFiles {
  /** A descriptor of the caller's, or -1. */
  open(entry: number): number;
  close(): void;
}

/** Fills `target` with the part of an open file that begins at `at`; false when it ends before. */
export async function readSpan(fd: number, at: number, target: Uint8Array): Promise<boolean> {
  for (let done = 0; done < target.length;) {
    const { bytesRead } = await readAsync(fd, target, done, target.length - done, at + done);
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return true;
}

export async function closeContent(content: OpenContent): Promise<void> {
  await closeAsync(content.fd);
}

/** Several chunks at once, each on a thread of the runtime's: this one stays free meanwhile. */
async function hashChunks(content: OpenContent): Promise<ChunkList | null> {
  const chunkBytes = chunkBytesOf(content.sizeBytes);
  const count = Math.ceil(content.sizeBytes / chunkBytes);
  if (count > LIMITS.chunks) throw new MeshError("io.failed", `Cannot send content of ${content.sizeBytes} bytes`);
  const digests = new Uint8Array(count * DIGEST_BYTES);
  let next = 0;
  let isWhole = true;
  const hash = async (): Promise<void> => {
    const buffer = new Uint8Array(Math.min(chunkBytes, content.sizeBytes));
    while (next < count && isWhole) {
      const index = next++;
      const { at, length } = chunkSpan({ sizeBytes: content.sizeBytes, chunkBytes }, index);
      const bytes = buffer.subarray(0, length);
      if (await readSpan(content.fd, at, bytes))
        digests.set(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)), index * DIGEST_BYTES);
      else isWhole = false;
    }
  };
  await Promise.all(Array.from({ length: Math.min(HASHED_AT_ONCE, availableParallelism(), count) }, hash));
  return isWhole ? chunkListOf(content.sizeBytes, digests) : null;
}

function opened(fd: number): OpenContent | null {
  if (fd < 0) return null;
  const { size, mtimeSec, mtimeNsec } = raw.statFd(fd);
  return { fd, sizeBytes: size, time: { seconds: Math.max(0, mtimeSec), nanoseconds: mtimeNsec } };
}

function nameOf(entry: TreeEntry): string {
  return entry.path.slice(entry.path.lastIndexOf("/") + 1);
}
