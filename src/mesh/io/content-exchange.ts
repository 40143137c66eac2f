// The exchange of content between this store and the other machines: answers `ContentExchange`, fetches the same content once for
// all who want it, and serves what is here.

import type { Digest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import type { Store } from "../../store/io/store.ts";
import type { ContentExchange, ContentRef, FetchOptions, FetchReport } from "../content.ts";
import { CONTENT, readWord } from "../content-messages.ts";
import type { Peers } from "../peers.ts";
import { Swarms } from "../swarms.ts";
import { ContentFetcher } from "./content-fetcher.ts";
import { serveContent } from "./content-server.ts";
import { Holders } from "./holders.ts";
import { ServedContent } from "./served-content.ts";
import { SharedWork } from "./shared-work.ts";
import { Slots } from "./slots.ts";
import type { FetchContext } from "./transfers.ts";

type Wanted = ContentRef | { readonly kind: "tree"; readonly digest: Digest };

/** What the waiting ones are told. */
type Told = Omit<FetchContext, "holders" | "signal">;

/** Fetches that may wait for their turn: all tasks of the largest run want something at once. */
const WAITING = LIMITS.tasks;

export class MeshContent implements ContentExchange {
  readonly #store: Store;
  readonly #fetcher: ContentFetcher;
  readonly #holders: Holders;
  readonly #shared = new SharedWork<Told>();
  readonly #layers = new Slots<string>({ each: LIMITS.transfers, all: LIMITS.transfers, waiting: WAITING });
  readonly #lies = new Map<PeerId, number>();

  /** Serves the store's content to the other machines from now on, and brings theirs here. */
  constructor(parts: {
    readonly store: Store;
    readonly peers: Peers;
    /** How long content is looked for; for tests. */
    readonly searchMs?: number;
    readonly stallMs?: number;
  }) {
    const { store, peers, searchMs = LIMITS.contentSearchMs, stallMs = LIMITS.contentStallMs } = parts;
    this.#store = store;
    this.#holders = new Holders(peers);
    const all = {
      store,
      peers,
      served: new ServedContent(store),
      swarms: new Swarms(),
      holders: this.#holders,
      nowMs: () => performance.now(),
      searchMs,
      stallMs,
    };
    this.#fetcher = new ContentFetcher(all);
    serveContent(all);
    peers.onWord(CONTENT.word, (params, caller) => this.#fetcher.heard(caller.peer, readWord(params)));
  }

  /** How often each machine sent something else than it should have, since the exchange was opened. */
  get lies(): ReadonlyMap<PeerId, number> {
    return this.#lies;
  }

  async fetch(wanted: readonly ContentRef[], options: FetchOptions = {}): Promise<FetchReport> {
    return await this.#fetchAll(wanted, options);
  }

  async fetchTrees(layers: readonly Digest[], options: FetchOptions = {}): Promise<void> {
    await this.#fetchAll(
      layers.map((digest) => ({ kind: "tree", digest })),
      options,
    );
  }

  async locate(wanted: readonly ContentRef[], signal?: AbortSignal): Promise<ReadonlyMap<Digest, readonly PeerId[]>> {
    signal?.throwIfAborted();
    const found = await Promise.all(
      wanted.map(async (ref) => {
        const holders = await this.#holders.of(ref);
        const whole = holders.filter(({ presence }) => presence === "whole");
        return [ref.digest, whole.map(({ peer }) => peer)] as const;
      }),
    );
    signal?.throwIfAborted();
    return new Map(found);
  }

  async #fetchAll(wanted: readonly Wanted[], options: FetchOptions): Promise<FetchReport> {
    options.signal?.throwIfAborted();
    const refs = new Map(wanted.map((ref) => [`${ref.kind} ${ref.digest}`, ref]));
    const liars = new Set<PeerId>();
    const sums = { received: 0, reused: 0, missing: 0 };
    const told: Told = {
      received: (bytes) => {
        sums.received += bytes;
        options.onProgress?.(sums.received, Math.max(sums.missing, sums.received));
      },
      reused: (bytes) => {
        sums.reused += bytes;
      },
      missing: (bytes) => {
        sums.missing += bytes;
      },
      lied: (peer) => liars.add(peer),
    };
    const outcomes = await Promise.allSettled(
      [...refs].filter(([, ref]) => !this.#has(ref)).map(([key, ref]) => this.#fetchOne(key, ref, { options, told })),
    );
    options.signal?.throwIfAborted();
    const failures = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as unknown] : []));
    const other = failures.find((failure) => !(failure instanceof MeshError && failure.code === "blob.missing"));
    if (other !== undefined) throw asError(other);
    const missing = [...refs.values()].filter((ref) => !this.#has(ref)).map((ref) => `${ref.kind} ${ref.digest}`);
    if (failures.length > 0 && missing.length > 0)
      throw new MeshError("blob.missing", `Cannot find on any machine that can be reached: ${missing.join(", ")}`, {
        cause: failures[0],
      });
    return { receivedBytes: sums.received, reusedBytes: sums.reused, liars: [...liars].toSorted() };
  }

  #has({ kind, digest }: Wanted): boolean {
    if (kind === "blob") return this.#store.blobs.has(digest);
    return kind === "layer" ? this.#store.layers.has(digest) : this.#store.layers.knowsTree(digest);
  }

  #fetchOne(key: string, ref: Wanted, { options, told }: { options: FetchOptions; told: Told }): Promise<void> {
    return this.#shared.join(
      key,
      { listener: told, ...(options.signal ? { signal: options.signal } : {}) },
      async (listeners, signal) => {
        const context: FetchContext = {
          holders: options.holders ?? [],
          signal,
          received: (bytes) => listeners().forEach((listener) => listener.received(bytes)),
          reused: (bytes) => listeners().forEach((listener) => listener.reused(bytes)),
          missing: (bytes) => listeners().forEach((listener) => listener.missing(bytes)),
          lied: (peer) => {
            this.#lies.set(peer, (this.#lies.get(peer) ?? 0) + 1);
            listeners().forEach((listener) => listener.lied(peer));
          },
        };
        if (ref.kind === "tree") return await this.#fetcher.fetchTree(ref.digest, context);
        if (ref.kind === "blob") return await this.#fetcher.fetchBlob(ref.digest, context);
        using _slot = await this.#layers.take("layers", signal);
        await this.#fetcher.fetchLayer(ref.digest, context);
      },
    );
  }
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error("Something else than an error was thrown", { cause });
}
