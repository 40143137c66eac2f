// Brings one blob or one layer here: finds who has it, takes what is here already, gets the rest from all of them, and shows it in
// the store when all of it is verified. Who sends something else is dropped for that content and named.

import { type Digest, shortDigest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import type { LayerWriter } from "../../store/io/layer-writer.ts";
import { cutLayer } from "../batches.ts";
import { type Moving, movingKey, type Word } from "../content-messages.ts";
import { ChunkFetcher } from "./chunk-fetcher.ts";
import { readFilesFrom, readTreeFrom } from "./content-wire.ts";
import type { Arriving } from "./served-content.ts";
import { SmallBlobs } from "./small-blobs.ts";
import { LocalFailure } from "./transfer.ts";
import { type FetchContext, type FetcherParts, locally, Transfers } from "./transfers.ts";

export class ContentFetcher {
  readonly #parts: FetcherParts;
  readonly #transfers: Transfers;
  readonly #chunks: ChunkFetcher;

  readonly #small: SmallBlobs;

  constructor(parts: FetcherParts) {
    this.#parts = parts;
    this.#transfers = new Transfers(parts);
    this.#chunks = new ChunkFetcher(parts, this.#transfers);
    this.#small = new SmallBlobs(parts.store, parts.peers);
  }

  /** Another machine told of a piece. */
  heard(peer: PeerId, word: Word): void {
    this.#transfers.heard(peer, word);
  }

  /** Brings a blob. Throws `blob.missing`, `store.full`. */
  async fetchBlob(digest: Digest, context: FetchContext): Promise<void> {
    const { store, served, holders } = this.#parts;
    if (store.blobs.has(digest) || (await this.#reuseFile(digest, context))) return;
    for (const holder of await holders.of({ kind: "blob", digest }, context.holders)) {
      if (holder.presence !== "whole" || holder.sizeBytes > LIMITS.smallContentBytes) continue;
      context.signal.throwIfAborted();
      const small = await this.#small.fetch(holder.peer, { digest, sizeBytes: holder.sizeBytes });
      if (small === "lied") context.lied(holder.peer);
      if (small !== "done") continue;
      context.missing(holder.sizeBytes);
      context.received(holder.sizeBytes);
      return;
    }
    const list = await this.#chunks.fetch({ kind: "blob", digest }, context, ({ content }) => {
      store.blobs.adopt(content.path, digest);
      content.release();
    });
    served.keepList(digest, list);
  }

  async #reuseFile(digest: Digest, context: FetchContext): Promise<boolean> {
    const { store } = this.#parts;
    await store.places.refresh(context.signal);
    const place = store.places.find(digest);
    if (place?.kind !== "layer") return false;
    using _room = store.room.take(place.entry.size);
    const path = `${store.layers.directory(place.layer)}/${place.entry.path}`;
    const found = await store.blobs.putFile(path, { move: false }).catch(() => null);
    if (found !== digest) return false;
    context.reused(place.entry.size);
    return true;
  }

  /** Brings a layer's tree. Throws `blob.missing`. */
  async fetchTree(layer: Digest, context: FetchContext): Promise<void> {
    const { store, peers } = this.#parts;
    if (store.layers.knowsTree(layer)) return;
    const asked = new Set<PeerId>();
    const believed = (): Promise<readonly PeerId[]> => Promise.resolve(context.holders);
    const others = async (): Promise<readonly PeerId[]> =>
      (await this.#parts.holders.of({ kind: "layer", digest: layer })).map(({ peer }) => peer);
    for (const ask of [believed, others, () => Promise.resolve(this.#parts.holders.reachable())]) {
      for (const peer of await ask()) {
        if (asked.has(peer)) continue;
        asked.add(peer);
        try {
          const bytes = await readTreeFrom(peers, peer, layer, context.signal);
          locally(() => store.layers.learn(layer, bytes));
          context.received(bytes.length);
          return;
        } catch (error) {
          context.signal.throwIfAborted();
          const cause = error instanceof LocalFailure ? error.cause : error;
          const isLie =
            cause instanceof MeshError && (cause.code === "store.corrupt" || cause.code === "peer.misbehaved");
          if (isLie) context.lied(peer);
          else if (error instanceof LocalFailure || !(error instanceof MeshError)) throw cause;
        }
      }
    }
    throw new MeshError("blob.missing", `Cannot find the tree of layer ${shortDigest(layer)} on any machine`);
  }

  /** Brings a layer. Throws `blob.missing`, `store.full`, `layer.unfit`. */
  async fetchLayer(layer: Digest, context: FetchContext): Promise<void> {
    const { store } = this.#parts;
    if (store.layers.has(layer)) return;
    await this.fetchTree(layer, context);
    using writer = store.writeLayer(layer);
    await writer.prepare(context.signal);
    context.reused(await writer.reuse(context.signal));
    const missing = writer.contents.filter((_, index) => !writer.has(index));
    const missingBytes = missing.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    using _room = store.room.take(missingBytes);
    if (missing.length > 0) {
      context.missing(missingBytes);
      await this.#fetchContents(writer, context);
    }
    await writer.finish(context.signal);
  }

  async #fetchContents(writer: LayerWriter, context: FetchContext): Promise<void> {
    const cut = cutLayer(writer.contents);
    const moving: Moving = { kind: "layer", digest: writer.digest };
    const key = movingKey(moving);
    const indexOf = new Map(
      writer.contents.flatMap((content, index) => content.entries.map((entry) => [entry, index])),
    );
    const isDone = (piece: number): boolean => cut.batches[piece]?.every((index) => writer.has(index)) ?? false;
    const { arriving } = this.#parts.served;
    const here: Arriving = {
      pieces: cut.batches.length,
      list: null,
      time: { seconds: 0, nanoseconds: 0 },
      has: isDone,
      read: () => false,
      openEntry: (entry) => writer.open(indexOf.get(entry) ?? -1),
      newcomer: (peer) => this.#transfers.meet(peer, key),
    };
    // While it is being built it is served from where it is built.
    arriving.set(key, here);
    const stop = new AbortController();
    const signal = AbortSignal.any([context.signal, stop.signal]);
    const inner = { ...context, signal };
    const holders = await this.#transfers.peersWith(moving, context.holders);
    try {
      const large = cut.large.filter((index) => !writer.has(index));
      const small = this.#fetchBatches(writer, { moving, batches: cut.batches, isDone }, { ...inner, holders });
      await Promise.all([small, this.#fetchLarge(writer, large, { ...inner, holders })]);
    } catch (error) {
      stop.abort(error);
      throw error;
    } finally {
      arriving.delete(key);
    }
  }

  async #fetchBatches(
    writer: LayerWriter,
    layer: {
      readonly moving: Moving;
      readonly batches: readonly (readonly number[])[];
      readonly isDone: (piece: number) => boolean;
    },
    context: FetchContext,
  ): Promise<void> {
    const contentOf = (index: number) => writer.contents[index];
    const bytesOf = (batch: readonly number[]): number =>
      batch.reduce((sum, index) => sum + (writer.has(index) ? 0 : (contentOf(index)?.sizeBytes ?? 0)), 0);
    await this.#transfers.run(
      {
        moving: layer.moving,
        pieces: layer.batches.map(bytesOf),
        isDone: layer.isDone,
        fits: () => true,
        fetch: async (peer, piece, signal) => {
          const indexes = (layer.batches[piece] ?? []).filter((index) => !writer.has(index));
          const wanted = {
            layer: writer.digest,
            entries: indexes.map((index) => contentOf(index)?.entries[0] ?? 0),
            sizes: indexes.map((index) => contentOf(index)?.sizeBytes ?? 0),
          };
          const each = (at: number, file: { bytes: Uint8Array; seconds: number; nanoseconds: number } | null): void => {
            const index = indexes[at];
            if (!file || index === undefined || signal.aborted) return;
            const isNew = !writer.has(index);
            if (!locally(() => writer.put(index, file.bytes, file)))
              throw new MeshError("peer.misbehaved", `Cannot take file ${at}: it has another digest`);
            if (isNew) context.received(file.bytes.length);
          };
          await readFilesFrom(this.#parts.peers, peer, { ...wanted, each }, signal);
          return layer.isDone(piece) ? "done" : "missing";
        },
      },
      context,
    );
  }

  async #fetchLarge(writer: LayerWriter, large: readonly number[], context: FetchContext): Promise<void> {
    const queue = [...large];
    const work = async (): Promise<void> => {
      for (let index = queue.shift(); index !== undefined; index = queue.shift()) {
        const content = writer.contents[index];
        const entry = content?.entries[0];
        if (!content || entry === undefined) continue;
        const moving: Moving = { kind: "file", digest: content.digest, layer: writer.digest, entry };
        const at = index;
        await this.#chunks.fetch(moving, context, ({ content: arrived, time }) => {
          writer.place(at, arrived.path, time);
          arrived.release();
        });
      }
    };
    await Promise.all(Array.from({ length: Math.min(LIMITS.transfers, large.length) }, work));
  }
}
