// Looks for results on other machines: all keys that are wanted in the same turn in one question to each machine. What they say
// is checked before it is believed; one that lies is not asked again.

import type { Digest } from "../../base/digest.ts";
import { asMeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import type { ContentExchange } from "../../mesh/content.ts";
import type { Peers } from "../../mesh/peers.ts";
import type { Store } from "../../store/io/store.ts";
import type { TaskResult } from "../../store/result.ts";
import { taken } from "./wire-check.ts";
import { type Answer, checkAnswer } from "./wire-find.ts";
import { unpackResult } from "./wire-result.ts";

/** How long a machine may take to say what it has: longer than that, running the task may be as fast. */
const FIND_MS = 3_000;

export interface FoundResult {
  readonly result: TaskResult;
  readonly at: PeerId;
  readonly ageMs: number;
}

interface Search {
  readonly key: Digest;
  readonly maxAgeMs: number | null;
  readonly settle: (found: FoundResult | null) => void;
  isSettled: boolean;
}

export interface FinderOptions {
  readonly peers: Peers;
  readonly content: ContentExchange;
  readonly store: Store;
  readonly signal: AbortSignal;
  readonly notice: (text: string) => void;
}

export class ResultFinder {
  readonly #options: FinderOptions;
  readonly #liars = new Set<PeerId>();
  #gathered: Search[] = [];

  constructor(options: FinderOptions) {
    this.#options = options;
  }

  /** The result of a key that another machine has; null at once when there is no other machine to ask. */
  find(key: Digest, maxAgeMs: number | null): Promise<FoundResult | null> | null {
    if (this.#askable().length === 0) return null;
    return new Promise((settle) => {
      this.#gathered.push({ key, maxAgeMs, settle, isSettled: false });
      if (this.#gathered.length === 1) queueMicrotask(() => this.#ask());
    });
  }

  #askable(): readonly PeerId[] {
    const { peers } = this.#options;
    return peers.list().flatMap(({ id, state }) => (state === "up" && !this.#liars.has(id) ? [id] : []));
  }

  #ask(): void {
    const searches = this.#gathered;
    this.#gathered = [];
    const asked = this.#askable().map((peer) => this.#askPeer(peer, searches));
    void this.#conclude(searches, asked);
  }

  /** What no machine has found by now, nobody has. */
  async #conclude(searches: readonly Search[], asked: readonly Promise<void>[]): Promise<void> {
    await Promise.all(asked);
    for (const search of searches) settle(search, null);
  }

  async #askPeer(peer: PeerId, searches: readonly Search[]): Promise<void> {
    try {
      for (let at = 0; at < searches.length; at += LIMITS.findKeys)
        await this.#askSome(peer, searches.slice(at, at + LIMITS.findKeys));
    } catch (cause) {
      const error = asMeshError(cause);
      if (error === null && !this.#options.signal.aborted) throw cause;
      if (error?.code !== "peer.misbehaved" && error?.code !== "store.corrupt") return;
      this.#liars.add(peer);
      const name = this.#options.peers.get(peer)?.name ?? peer;
      this.#options.notice(`${name} is not asked for results any more: ${error.message}`);
    }
  }

  async #askSome(peer: PeerId, searches: readonly Search[]): Promise<void> {
    const { peers, signal } = this.#options;
    let open = searches.filter(({ isSettled }) => !isSettled);
    while (open.length > 0) {
      const wanted = open.map(({ key, maxAgeMs }) => [key, maxAgeMs]);
      const said = await peers.call(peer, "result.find", { wanted }, { timeoutMs: FIND_MS, signal });
      const { found, isCut } = taken<Answer>(checkAnswer, said, "answer");
      const answered = new Set<Digest>();
      for (const { key, parcel, ageMs } of found) {
        answered.add(key);
        const searching = open.filter((search) => search.key === key);
        // what is unpacked was asked for: a result of another key is a lie
        const result = await this.#unpack(peer, searching.length === 0 ? null : key, parcel);
        for (const search of searching)
          settle(search, result === null ? null : { result, at: peer, ageMs }, result !== null);
      }
      if (!isCut || answered.size === 0) return;
      open = open.filter(({ key, isSettled }) => !isSettled && !answered.has(key));
    }
  }

  /** Null when content of it is out of reach just now. */
  async #unpack(
    from: PeerId,
    key: Digest | null,
    parcel: Parameters<typeof unpackResult>[0],
  ): Promise<TaskResult | null> {
    const { store, content, signal } = this.#options;
    try {
      return await unpackResult(parcel, { from, store, content, signal, key: key ?? ("" as Digest) });
    } catch (error) {
      if (asMeshError(error)?.code === "blob.missing") return null;
      throw error;
    }
  }
}

/** `found` null: nobody has it, unless `isAnswer` is false, and then others may. */
function settle(search: Search, found: FoundResult | null, isAnswer = true): void {
  if (search.isSettled || !isAnswer) return;
  search.isSettled = true;
  search.settle(found);
}
