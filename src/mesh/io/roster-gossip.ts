// The roster as it moves between machines: what is new here is pushed to all who are connected, and what another one has and this one
// lacks is asked for. It never judges an entry (the roster does), and never decides when to ask.

import type { PeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import type { SignedEntry } from "../grant.ts";
import type { Peers } from "../peers.ts";
import type { Roster } from "../roster.ts";
import { nativeSignatures } from "./native-signatures.ts";
import { saveRoster } from "./roster-file.ts";

export interface RosterGossipOptions {
  readonly roster: Roster;
  /** `$MESH_HOME/mesh`. */
  readonly folder: string;
  readonly network: Pick<Peers, "call" | "tell" | "onCall" | "onWord">;
  /** Machines that are connected. */
  readonly connected: () => readonly PeerId[];
  /** The roster holds more than before; it is saved. */
  readonly onGrown: () => void;
}

const SYNC = "roster.sync";
const PUSH = "roster.push";
/** A push that is answered. */
const TAKE = "roster.take";
const SYNC_MS = 5_000;
/** How long the answer to a push has to get away. */
const ANSWER_MS = 20;
/** Rounds of an exchange with a machine whose roster is larger than a message. */
const MOST_ROUNDS = 64;

export class RosterGossip {
  readonly #options: RosterGossipOptions;

  constructor(options: RosterGossipOptions) {
    this.#options = options;
    const { roster, network } = options;
    network.onCall(SYNC, (params) => {
      const { summary } = (params ?? {}) as { readonly summary?: unknown };
      return { entries: batchOf(roster.missing(summary)), summary: roster.summary() };
    });
    network.onWord(PUSH, (params, { peer }) => {
      this.merge(entriesIn(params), peer);
    });
    network.onCall(TAKE, (params, { peer }) => {
      const added = this.#keep(entriesIn(params));
      // the answer goes first: by what it said the machine may be out, and its connection closed
      if (added.length > 0) setTimeout(() => this.#tell(added, peer), ANSWER_MS);
      return added.length;
    });
  }

  /** Takes entries from anywhere, saves and spreads what is new. Returns how many were. */
  merge(entries: unknown, from: PeerId | null): number {
    const added = this.#keep(entries);
    if (added.length > 0) this.#tell(added, from);
    return added.length;
  }

  /** Saves and spreads entries that the roster has taken. */
  spread(added: readonly SignedEntry[], from: PeerId | null): void {
    const { roster, folder } = this.#options;
    saveRoster(folder, roster);
    this.#tell(added, from);
  }

  #keep(entries: unknown): readonly SignedEntry[] {
    const { roster, folder } = this.#options;
    const { added } = roster.merge(entries, nativeSignatures);
    if (added.length > 0) saveRoster(folder, roster);
    return added;
  }

  #tell(added: readonly SignedEntry[], from: PeerId | null): void {
    // First to the others: those that are out by these entries would be closed before they hear why.
    this.#push(added, from);
    this.#options.onGrown();
  }

  /** Gets from a machine what is missing here, and gives it what it lacks. Throws as a call does. */
  async sync(peer: PeerId): Promise<void> {
    const { roster, network } = this.#options;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const answer = await network.call(peer, SYNC, { summary: roster.summary() }, { timeoutMs: SYNC_MS });
      const { entries, summary } = (answer ?? {}) as { readonly entries?: unknown; readonly summary?: unknown };
      const isNews = this.merge(entries, peer) > 0;
      const lacking = batchOf(roster.missing(summary));
      if (lacking.length > 0) network.tell(peer, PUSH, { entries: lacking });
      if (!isNews || !Array.isArray(entries) || entries.length === 0) return;
    }
  }

  /** Gives entries to all who are connected and waits until they have them, or the time is over. Returns how many have them. */
  async handOver(entries: readonly Uint8Array[], timeoutMs: number): Promise<number> {
    const { network, connected } = this.#options;
    const told = connected().map(async (peer) => {
      // One that does not answer learns it from others.
      return await network.call(peer, TAKE, { entries }, { timeoutMs }).then(
        () => true,
        () => false,
      );
    });
    return (await Promise.all(told)).filter(Boolean).length;
  }

  #push(added: readonly SignedEntry[], from: PeerId | null): void {
    const { network, connected } = this.#options;
    const entries = batchOf(added.map(({ bytes }) => bytes));
    for (const peer of connected()) if (peer !== from) network.tell(peer, PUSH, { entries });
  }
}

function entriesIn(params: unknown): unknown {
  return (params as { readonly entries?: unknown } | null)?.entries;
}

/** As many entries as one message holds; the rest comes with the next exchange. */
function batchOf(entries: readonly Uint8Array[]): readonly Uint8Array[] {
  let bytes = 0;
  const count = entries.findIndex((entry) => (bytes += entry.length) > LIMITS.rosterMessageBytes);
  return count < 0 ? entries : entries.slice(0, Math.max(1, count));
}
