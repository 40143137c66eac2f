// Who has what: asks the machines that can be reached, those that are believed to have it first.

import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import type { ContentRef } from "../content.ts";
import { CONTENT, type Located, readLocated } from "../content-messages.ts";
import type { Peers } from "../peers.ts";
import { BatchedAsks } from "./batched-asks.ts";

/** A machine that has some content. */
export interface Holder extends Located {
  readonly peer: PeerId;
}

export class Holders {
  readonly #peers: Peers;
  readonly #asks: BatchedAsks<ContentRef, Located>;

  constructor(peers: Peers) {
    this.#peers = peers;
    this.#asks = new BatchedAsks(LIMITS.locateRefs, async (peer, refs) => {
      const params = { refs: refs.map(({ kind, digest }) => ({ kind, digest })) };
      return readLocated(await peers.call(peer, CONTENT.locate, params, { timeoutMs: LIMITS.callMs }), refs.length);
    });
  }

  /** Machines that can be reached, this one left out. */
  reachable(): readonly PeerId[] {
    return this.#peers
      .list()
      .filter((peer) => peer.state === "up" || peer.state === "suspect")
      .map((peer) => peer.id);
  }

  /** Machines that have it, those with the whole first. Others than the believed ones are asked when none of these has it. */
  async of(ref: ContentRef, believed: readonly PeerId[] = []): Promise<readonly Holder[]> {
    const reachable = this.reachable();
    const first = believed.filter((peer) => reachable.includes(peer));
    const found = await this.#ask(ref, first);
    if (found.length > 0) return found;
    return await this.#ask(
      ref,
      reachable.filter((peer) => !first.includes(peer)),
    );
  }

  /** Asks all that can be reached, and tells of each that has it as it answers: none waits for a slower one. */
  async search(ref: ContentRef, found: (peer: PeerId) => void): Promise<void> {
    await Promise.all(
      this.reachable().map(async (peer) => {
        const holder = await this.#askOne(ref, peer);
        if (holder !== null && holder.presence !== "none") found(peer);
      }),
    );
  }

  async #ask(ref: ContentRef, asked: readonly PeerId[]): Promise<readonly Holder[]> {
    const answers = await Promise.all(asked.map((peer) => this.#askOne(ref, peer)));
    const holders = answers.filter((answer) => answer !== null);
    return (["whole", "part"] as const).flatMap((presence) => holders.filter((holder) => holder.presence === presence));
  }

  async #askOne(ref: ContentRef, peer: PeerId): Promise<Holder | null> {
    try {
      return { peer, ...(await this.#asks.ask(peer, ref)) };
    } catch (error) {
      if (error instanceof MeshError) return null;
      throw error;
    }
  }
}
