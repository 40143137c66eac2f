// What this machine knows of one other member, and what it says of it to others.

import type { KnownAddress } from "./address-book.ts";
import type { Member } from "./membership-event.ts";
import type { Address, NodeSnapshot, PeerState, PeerView } from "./peer-view.ts";

/** A connection that stands. */
export interface PeerLink {
  readonly remote: Address;
  readonly isOutgoing: boolean;
  readonly sinceMs: number;
  heardAtMs: number;
  nextBeatAtMs: number;
  /** Of the last heartbeat that was sent. */
  sequence: number;
  /** Whether a heartbeat came over it. */
  isProven: boolean;
}

export interface KnownPeer {
  member: Member;
  /** What others were last told about. */
  state: Exclude<PeerState, "self" | "revoked">;
  link: PeerLink | null;
  reason: string;
  /** Since when it is without a connection that works. */
  lostAtMs: number | null;
  lastSeenAtMs: number | null;
  latencyMs: number | null;
  version: string | null;
  snapshot: NodeSnapshot | null;
  /** The roster it holds that an exchange was begun for. */
  syncedDigest: string | null;
  /** The process that spoke last, and those that spoke before it, newest first. */
  instance: string | null;
  formerInstances: readonly string[];
}

export function newKnownPeer(member: Member): KnownPeer {
  return {
    member,
    state: "down",
    link: null,
    reason: "",
    lostAtMs: null,
    lastSeenAtMs: null,
    latencyMs: null,
    version: null,
    snapshot: null,
    syncedDigest: null,
    instance: null,
    formerInstances: [],
  };
}

/** `known`: where it may be reached, the best first. */
export function viewOf(peer: KnownPeer, known: readonly KnownAddress[], nowMs: number): PeerView {
  const { member, link } = peer;
  const state = member.verdict === "member" ? peer.state : "revoked";
  return {
    id: member.id,
    name: member.name,
    roles: member.roles,
    state,
    reason: state === "up" ? null : reasonOf(peer, known.length > 0, nowMs),
    addresses: known.map(({ address }) => address),
    foundBy: known[0]?.by ?? null,
    latencyMs: link === null ? null : peer.latencyMs,
    version: peer.version,
    lastSeenAtMs: peer.lastSeenAtMs,
    snapshot: peer.snapshot,
  };
}

function reasonOf({ member, link, state, reason }: KnownPeer, hasAddress: boolean, nowMs: number): string {
  if (member.verdict !== "member")
    return member.verdict === "revoked" ? "its grant was taken back" : "its grant has expired";
  if (link !== null && state === "suspect") return `silent for ${((nowMs - link.heardAtMs) / 1000).toFixed(1)} s`;
  if (reason !== "") return reason;
  return hasAddress ? "not reached yet" : "no address of it is known";
}
