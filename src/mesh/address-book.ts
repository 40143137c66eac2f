// What is known of where machines listen: how each address was found and what came of it. Bounded for each machine.
// It never dials, and never judges who is a member.

import { LIMITS } from "../base/limits.ts";
import type { PeerId } from "../base/ids.ts";
import { interleaveFamilies, isSameAddress } from "./address.ts";
import type { Address, FoundBy } from "./peer-view.ts";

export interface KnownAddress {
  readonly address: Address;
  readonly by: FoundBy;
  /** Monotonic time at which it was first found so. */
  readonly foundAtMs: number;
  readonly outcome:
    | { readonly kind: "untried" }
    | { readonly kind: "linked"; readonly atMs: number }
    | { readonly kind: "failed"; readonly atMs: number; readonly reason: string };
}

/** The most direct first. */
const DIRECTNESS: Readonly<Record<FoundBy, number>> = { mdns: 0, given: 1, incoming: 2, peer: 3, remembered: 4 };

export class AddressBook {
  readonly #known = new Map<PeerId, readonly KnownAddress[]>();

  /** Takes up where a machine was found. Returns whether that is news: an address not known, or one found more directly. */
  add(peer: PeerId, addresses: readonly Address[], { by, nowMs }: { by: FoundBy; nowMs: number }): boolean {
    let known = this.of(peer);
    let isNews = false;
    for (const address of addresses) {
      const old = known.find((entry) => isSameAddress(entry.address, address));
      if (old !== undefined && DIRECTNESS[by] >= DIRECTNESS[old.by]) continue;
      const entry: KnownAddress = { address, by, foundAtMs: nowMs, outcome: old?.outcome ?? { kind: "untried" } };
      known = [entry, ...known.filter((other) => other !== old)];
      isNews = true;
    }
    if (isNews) this.#known.set(peer, known.toSorted(byPromise).slice(0, LIMITS.peerAddresses));
    return isNews;
  }

  /** Says what came of an address. */
  conclude(peer: PeerId, address: Address, outcome: KnownAddress["outcome"]): void {
    const known = this.of(peer).map((entry) => (isSameAddress(entry.address, address) ? { ...entry, outcome } : entry));
    this.#known.set(peer, known.toSorted(byPromise));
  }

  /** The most promising first. */
  of(peer: PeerId): readonly KnownAddress[] {
    return this.#known.get(peer) ?? [];
  }

  /** In the order in which they are to be dialled, the families taking turns. */
  toDial(peer: PeerId): readonly Address[] {
    return interleaveFamilies(this.of(peer).map(({ address }) => address)).slice(0, LIMITS.dialsPerRound);
  }

  forget(peer: PeerId): void {
    this.#known.delete(peer);
  }
}

/** What worked last comes first, what failed last; between those the more direct one, then the newer one. */
function byPromise(a: KnownAddress, b: KnownAddress): number {
  return (
    rank(a) - rank(b) ||
    linkedAt(b) - linkedAt(a) ||
    DIRECTNESS[a.by] - DIRECTNESS[b.by] ||
    b.foundAtMs - a.foundAtMs ||
    (a.address.host < b.address.host ? -1 : a.address.host > b.address.host ? 1 : a.address.port - b.address.port)
  );
}

function rank({ outcome }: KnownAddress): number {
  return outcome.kind === "linked" ? 0 : outcome.kind === "untried" ? 1 : 2;
}

function linkedAt({ outcome }: KnownAddress): number {
  return outcome.kind === "linked" ? outcome.atMs : 0;
}
