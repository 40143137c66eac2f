// Brings large content in chunks. A list of chunk digests is what machines claim; the digest of the whole decides. Whose list was
// wrong, or whose bytes are not those of its own list, is named and out.

import { shortDigest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { type ChunkList, chunkCount, chunkSpan, equalBytes } from "../../store/chunks.ts";
import type { FileTime } from "../../store/io/layer-writer.ts";
import type { PartialContent } from "../../store/io/partial-content.ts";
import { type JoinAnswer, type Moving, movingKey } from "../content-messages.ts";
import { BufferPool } from "./buffer-pool.ts";
import { readChunkFrom } from "./content-wire.ts";
import { joinAt } from "./transfer.ts";
import { type FetchContext, type FetcherParts, locally, type Transfers } from "./transfers.ts";

/** Machines whose list of chunks is asked for before a fetch begins; others may join later. */
const LISTS_ASKED = 8;

/** Verified content in partial/, for the caller to take away. */
export interface ArrivedContent {
  readonly content: PartialContent;
  readonly time: FileTime;
}

/** Whose word is taken for now. */
interface Choice {
  readonly list: ChunkList;
  readonly answers: ReadonlyMap<PeerId, JoinAnswer>;
  readonly holders: readonly PeerId[];
  /** Machines that are out for this content; more may join them. */
  readonly banned: Set<PeerId>;
}

export class ChunkFetcher {
  readonly #parts: FetcherParts;
  readonly #transfers: Transfers;
  readonly #buffers = new BufferPool();

  constructor(parts: FetcherParts, transfers: Transfers) {
    this.#parts = parts;
    this.#transfers = transfers;
  }

  /** Brings large content in chunks; `keep` takes the verified file out of partial/. The list of its chunks, which is right. */
  async fetch(moving: Moving, context: FetchContext, keep: (arrived: ArrivedContent) => void): Promise<ChunkList> {
    const banned = new Set<PeerId>();
    const lied = (peer: PeerId): void => {
      banned.add(peer);
      context.lied(peer);
    };
    for (;;) {
      const choice = await this.#chooseList(moving, banned, context);
      const { list, answers } = choice;
      const outcome = await this.#fetchByList(moving, choice, { ...context, lied }, keep);
      // Whose list was wrong lied, or was lied to: only who says that it has the whole made its own list.
      const isRight = outcome === "right";
      for (const [peer, answer] of answers) {
        const isSame = answer.list !== null && sameList(answer.list, list);
        if (answer.isWhole && isSame !== isRight) lied(peer);
        else if (!isRight && isSame) banned.add(peer);
      }
      if (isRight) return list;
    }
  }

  /** Asks machines for the chunks and takes the list that most of those who have the whole agree on. */
  async #chooseList(moving: Moving, banned: Set<PeerId>, context: FetchContext): Promise<Choice> {
    const believed = context.holders.filter((peer) => !banned.has(peer));
    let holders = (await this.#transfers.peersWith(moving, believed)).filter((peer) => !banned.has(peer));
    if (holders.length === 0)
      holders = (await this.#transfers.peersWith(moving, [])).filter((peer) => !banned.has(peer));
    const answers = new Map<PeerId, JoinAnswer>();
    await Promise.all(
      holders.slice(0, LISTS_ASKED).map(async (peer) => {
        try {
          answers.set(peer, await joinAt(this.#parts.peers, peer, moving, context.signal));
        } catch (error) {
          context.signal.throwIfAborted();
          if (!(error instanceof MeshError)) throw error;
          if (error.code === "peer.misbehaved") context.lied(peer);
        }
      }),
    );
    let best: { list: ChunkList; votes: number } | null = null;
    for (const { list } of answers.values()) {
      if (!list) continue;
      let votes = 0;
      for (const other of answers.values())
        if (other.list && sameList(other.list, list)) votes += other.isWhole ? 1_000 : 1;
      if (!best || votes > best.votes) best = { list, votes };
    }
    if (!best) throw new MeshError("blob.missing", `Cannot find ${movingKey(moving)} on any machine`);
    return { list: best.list, answers, holders, banned };
  }

  async #fetchByList(
    moving: Moving,
    choice: Choice,
    context: FetchContext,
    keep: (arrived: ArrivedContent) => void,
  ): Promise<"right" | "wrong"> {
    const { store, served } = this.#parts;
    const { list } = choice;
    const key = movingKey(moving);
    const agreeing = new Map([...choice.answers].filter(([, answer]) => answer.list && sameList(answer.list, list)));
    const first = agreeing.values().next().value;
    const time: FileTime = { seconds: first?.seconds ?? 0, nanoseconds: first?.nanoseconds ?? 0 };
    using content = await store.openPartial(moving.digest, list);
    // A layer's room is taken as a whole.
    using _room = moving.kind === "blob" ? store.room.take(list.sizeBytes - content.doneBytes) : null;
    if (moving.kind === "blob") context.missing(list.sizeBytes - content.doneBytes);
    context.reused(content.doneBytes);
    served.arriving.set(key, {
      pieces: chunkCount(list),
      list,
      time,
      has: (piece) => content.has(piece),
      read: (index, target) => content.read(index, target),
      openEntry: () => -1,
      newcomer: (peer) => this.#transfers.meet(peer, key),
    });
    try {
      await this.#transfers.run(
        {
          moving,
          pieces: Array.from({ length: chunkCount(list) }, (_, index) => chunkSpan(list, index).length),
          isDone: (piece) => content.has(piece),
          fits: (answer) => answer.list !== null && sameList(answer.list, list),
          fetch: async (peer, index, signal) => {
            const { length } = chunkSpan(list, index);
            using buffer = this.#buffers.take(length);
            const { bytes } = buffer;
            await readChunkFrom(this.#parts.peers, peer, { of: moving, index, target: bytes }, signal);
            const isNew = !content.has(index);
            if (!locally(() => content.write(index, bytes)))
              throw new MeshError(
                "peer.misbehaved",
                `Cannot take chunk ${index} of ${shortDigest(moving.digest)}: it has another digest`,
              );
            if (isNew) context.received(length);
            return "done";
          },
        },
        { ...context, holders: choice.holders },
        { banned: choice.banned, known: agreeing },
      );
      if (!(await content.isRight(context.signal))) {
        content.discard();
        return "wrong";
      }
      keep({ content, time });
      return "right";
    } finally {
      served.arriving.delete(key);
    }
  }
}

function sameList(a: ChunkList, b: ChunkList): boolean {
  return a.sizeBytes === b.sizeBytes && equalBytes(a.digests, b.digests);
}
