// The membership machine: who is there, whom to dial when, who has fallen silent. It decides; io/mesh.ts performs.
// Time is monotonic and given: no clock of another machine counts. It never judges who is a member (the roster does), and never
// believes what one machine says of another's health.

import { assert, unreachable } from "../base/assert.ts";
import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import { formatAddress, isLoopback, isTellable } from "./address.ts";
import { AddressBook } from "./address-book.ts";
import { DialPlan } from "./dial-plan.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { DialId, LinkId, Member, MembershipEffect, MembershipEvent, Timing } from "./membership-event.ts";
import type { Address, FoundBy, NodeSnapshot, PeerState, PeerView } from "./peer-view.ts";

export interface MembershipOptions {
  readonly self: PeerId;
  /** This process's: 16 hex digits. */
  readonly instance: string;
  /** Where this machine listens; null when it does not. */
  readonly port: number | null;
  readonly version: string;
  /** Of the jitter by which machines that lost each other do not all dial at once. */
  readonly seed: number;
  readonly timing?: Partial<Timing>;
  readonly nowMs: number;
}

interface Link {
  readonly id: LinkId;
  readonly peer: PeerId;
  readonly isOutgoing: boolean;
  readonly remote: Address;
  readonly sinceMs: number;
  /** Of its newest heartbeat; null before the first. */
  instance: string | null;
  heardAtMs: number;
  nextBeatAtMs: number;
  sequence: number;
  /** Heartbeats on the way, oldest first: when which was sent. */
  readonly unheard: Map<number, number>;
  /** Until when it is looked at whether the machine still speaks on it, although it was replaced. */
  contestedUntilMs: number | null;
}

interface Peer {
  member: Member;
  /** What others were last told about. */
  state: Exclude<PeerState, "self" | "revoked">;
  link: Link | null;
  reason: string;
  /** Since when it is without a connection that works. */
  lostAtMs: number | null;
  lastSeenAtMs: number | null;
  latencyMs: number | null;
  version: string | null;
  snapshot: NodeSnapshot | null;
  /** The roster it holds that an exchange was begun for. */
  syncedDigest: string | null;
}

const DEFAULT_TIMING: Timing = LIMITS;
/** A machine that both ends dial at once has two connections for this long at most; later the newer one is right. */
const SIMULTANEOUS_MS = 2_000;
/** How long a replaced connection is watched for a machine that speaks on both. */
const CONTEST_MS = 1_500;
/** Two sightings of another instance of this machine, so far apart, are no echo. */
const ECHO_MS = 1_000;
/** Heartbeats between two that carry the own addresses. */
const OWN_ADDRESSES_EVERY = 10;
const MOST_UNHEARD = 8;

export class Membership {
  readonly #self: PeerId;
  readonly #options: MembershipOptions;
  readonly #timing: Timing;
  readonly #book = new AddressBook();
  readonly #plan: DialPlan;
  readonly #peers = new Map<PeerId, Peer>();
  readonly #links = new Map<LinkId, Link>();
  #selfMember: Member | null = null;
  #rosterDigest = "";
  #own: readonly Address[] = [];
  /** Where the turn of telling addresses stands. */
  #tellFrom = 0;
  #lastStepMs: number;
  #lastTickMs: number;
  #otherSelf: { readonly instance: string; readonly sinceMs: number } | null = null;
  #effects: MembershipEffect[] = [];

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#self = options.self;
    this.#timing = { ...DEFAULT_TIMING, ...options.timing };
    this.#plan = new DialPlan(options.seed, this.#timing);
    this.#lastStepMs = options.nowMs;
    this.#lastTickMs = options.nowMs;
  }

  /** Takes an event and says what is to be done, in order. `nowMs` never goes back. */
  step(event: MembershipEvent, nowMs: number): readonly MembershipEffect[] {
    assert(this.#effects.length === 0, "the membership machine is stepped within a step");
    const isDue = nowMs >= this.wakeAtMs;
    this.#doubtOneself(nowMs);
    this.#take(event, nowMs);
    // Most events are heartbeats: they make nothing due, and in a large mesh a look at everybody costs more than they do.
    if (isDue || (event.kind !== "heartbeat" && event.kind !== "heard") || this.#plan.nextAtMs <= nowMs)
      this.#tick(nowMs);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** When the machine wants its next tick at the latest. */
  get wakeAtMs(): number {
    let at = this.#lastTickMs + this.#timing.heartbeatMs / 4;
    for (const link of this.#links.values()) at = Math.min(at, link.contestedUntilMs ?? link.nextBeatAtMs);
    return Math.min(at, this.#plan.nextAtMs);
  }

  /** All members by name, this machine included, and those that were revoked. */
  views(nowMs: number): readonly PeerView[] {
    const own = this.#selfMember === null ? [] : [this.#selfView(this.#selfMember)];
    const others = [...this.#peers.values()].map((peer) => this.#view(peer, nowMs));
    return [...own, ...others].toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1));
  }

  view(id: PeerId, nowMs: number): PeerView | null {
    if (id === this.#self) return this.#selfMember === null ? null : this.#selfView(this.#selfMember);
    const peer = this.#peers.get(id);
    return peer === undefined ? null : this.#view(peer, nowMs);
  }

  /** Addresses worth keeping for the next start, by machine. */
  remembered(): readonly { readonly peer: PeerId; readonly addresses: readonly Address[] }[] {
    return [...this.#peers.keys()].toSorted().flatMap((peer) => {
      const addresses = this.#book.of(peer).map(({ address }) => address);
      return addresses.length === 0 ? [] : [{ peer, addresses }];
    });
  }

  /** Time in which this machine did not run is not held against others: it could not have heard them. */
  #doubtOneself(nowMs: number): void {
    assert(nowMs >= this.#lastStepMs, "monotonic time goes back");
    const lagMs = nowMs - this.wakeAtMs;
    this.#lastStepMs = nowMs;
    if (lagMs <= this.#timing.ownLagMs) return;
    for (const link of this.#links.values()) link.heardAtMs = Math.min(nowMs, link.heardAtMs + lagMs);
    for (const peer of this.#peers.values()) if (peer.lostAtMs !== null) peer.lostAtMs += lagMs;
  }

  #take(event: MembershipEvent, nowMs: number): void {
    switch (event.kind) {
      case "tick":
        return;
      case "roster":
        return this.#takeRoster(event.members, event.digest, nowMs);
      case "found":
        return this.#found(event.peer, event.addresses, { by: event.by, nowMs });
      case "sighted":
        if (event.peer === this.#self) return this.#sightedSelf(event.instance, nowMs);
        return this.#found(event.peer, event.addresses, { by: "mdns", nowMs });
      case "dial-failed":
        return this.#dialFailed(event.dial, event.reason, nowMs);
      case "linked":
        return this.#linked(event, nowMs);
      case "link-closed":
        return this.#linkClosed(event.link, event.reason, nowMs);
      case "heartbeat":
        return this.#heartbeat(event.link, event.heartbeat, nowMs);
      case "heard":
        return this.#heard(event.link, event.sequence, nowMs);
      case "network-changed":
        this.#own = event.own.slice(0, LIMITS.peerAddresses);
        for (const link of this.#links.values()) link.nextBeatAtMs = nowMs;
        for (const peer of this.#peers.keys()) this.#plan.soon(peer, nowMs);
        return;
      default:
        unreachable(event);
    }
  }

  #takeRoster(members: readonly Member[], digest: string, nowMs: number): void {
    this.#rosterDigest = digest;
    this.#selfMember = members.find(({ id }) => id === this.#self) ?? null;
    const known = new Set(members.map(({ id }) => id));
    for (const id of this.#peers.keys()) if (!known.has(id)) this.#forget(id);
    for (const member of members) {
      if (member.id === this.#self) continue;
      const peer = this.#peers.get(member.id);
      if (peer === undefined) this.#peers.set(member.id, newPeer(member));
      else if (Bun.deepEquals(peer.member, member)) continue;
      else peer.member = member;
      const current = this.#peers.get(member.id);
      if (current !== undefined) this.#change("roster", current, nowMs);
    }
    for (const link of this.#links.values()) {
      if (this.#isWelcome(link.peer)) continue;
      this.#close(link, this.#peers.has(link.peer) ? "revoked" : "not-a-member");
      const peer = this.#peers.get(link.peer);
      if (peer?.link === link) this.#lose(peer, "its grant was taken back", nowMs);
    }
    // What the others hold may be what this one has just got, or not.
    for (const peer of this.#peers.values()) peer.syncedDigest = null;
  }

  #isWelcome(id: PeerId): boolean {
    return this.#selfMember?.verdict === "member" && this.#peers.get(id)?.member.verdict === "member";
  }

  #forget(id: PeerId): void {
    this.#cancelDials(id);
    this.#book.forget(id);
    for (const link of this.#links.values()) if (link.peer === id) this.#close(link, "not-a-member");
    this.#peers.delete(id);
  }

  #found(id: PeerId, addresses: readonly Address[], { by, nowMs }: { by: FoundBy; nowMs: number }): void {
    const peer = this.#peers.get(id);
    if (peer === undefined || addresses.length === 0) return;
    const isNews = this.#book.add(id, addresses, { by, nowMs });
    if (peer.link !== null) return;
    // One that announces itself lives, whatever came of earlier attempts; but it does so often.
    if (isNews) this.#plan.soon(id, nowMs + this.#courtesyMs(id));
    else if (by === "mdns") this.#plan.atLatest(id, nowMs + this.#timing.heartbeatMs);
  }

  /** Machines that find each other at once would both dial: the one with the larger id gives the other a head start. */
  #courtesyMs(id: PeerId): number {
    return this.#self < id ? 0 : this.#timing.dialHeadStartMs;
  }

  #sightedSelf(instance: string, nowMs: number): void {
    if (instance === this.#options.instance) return;
    if (this.#otherSelf?.instance !== instance) this.#otherSelf = { instance, sinceMs: nowMs };
    else if (nowMs - this.#otherSelf.sinceMs >= ECHO_MS) {
      this.#otherSelf = null;
      this.#effects.push({ kind: "copied", peer: this.#self, links: [] });
    }
  }

  #dialFailed(dial: DialId, reason: string, nowMs: number): void {
    const flight = this.#plan.landed(dial, nowMs);
    if (flight === null) return;
    const { peer: id, address, isLast } = flight;
    this.#book.conclude(id, address, { kind: "failed", atMs: nowMs, reason });
    const peer = this.#peers.get(id);
    if (peer === undefined || peer.link !== null) return;
    if (peer.state === "down" || isLast) peer.reason = `${reason} (${formatAddress(address)})`;
    if (isLast && peer.state === "suspect") this.#down(peer, nowMs);
  }

  #linked(event: Extract<MembershipEvent, { kind: "linked" }>, nowMs: number): void {
    const { link: id, peer: peerId, remote } = event;
    const flight = event.dial === null ? null : this.#plan.landed(event.dial, nowMs);
    if (flight !== null) this.#book.conclude(peerId, flight.address, { kind: "linked", atMs: nowMs });
    const link: Link = {
      id,
      peer: peerId,
      isOutgoing: event.dial !== null,
      remote,
      sinceMs: nowMs,
      instance: null,
      heardAtMs: nowMs,
      nextBeatAtMs: nowMs,
      sequence: 0,
      unheard: new Map(),
      contestedUntilMs: null,
    };
    this.#links.set(id, link);
    const peer = this.#peers.get(peerId);
    if (peer === undefined || !this.#isWelcome(peerId))
      return this.#close(link, peer === undefined ? "not-a-member" : "revoked");
    this.#cancelDials(peerId);
    const old = peer.link;
    if (old !== null && !this.#isBetter(link, old, nowMs)) return this.#close(link, "duplicate");
    peer.link = link;
    this.#effects.push({ kind: "use-link", link: id, peer: peerId });
    // The old one may still speak: then two machines have one identity. It is closed when that is known.
    if (old !== null) old.contestedUntilMs = nowMs + CONTEST_MS;
  }

  /** Which of two connections to one machine stays. Both ends must come to the same answer. */
  #isBetter(link: Link, old: Link, nowMs: number): boolean {
    const isSimultaneous = link.isOutgoing !== old.isOutgoing && nowMs - old.sinceMs < SIMULTANEOUS_MS;
    // A machine dials only when it has no connection: a later one means that the old one is dead at its end.
    if (!isSimultaneous) return true;
    return link.isOutgoing === this.#self < link.peer;
  }

  #linkClosed(id: LinkId, reason: string, nowMs: number): void {
    const link = this.#links.get(id);
    if (link === undefined) return;
    this.#links.delete(id);
    const peer = this.#peers.get(link.peer);
    if (peer?.link === link) this.#lose(peer, reason, nowMs);
  }

  /** A machine is without a connection: it is looked for at once, and is down when that fails. */
  #lose(peer: Peer, reason: string, nowMs: number): void {
    peer.link = null;
    peer.latencyMs = null;
    peer.reason = reason;
    peer.lostAtMs = nowMs;
    if (!this.#isWelcome(peer.member.id)) return this.#down(peer, nowMs);
    this.#plan.soon(peer.member.id, nowMs);
    if (peer.state === "up") {
      peer.state = "suspect";
      this.#change("suspect", peer, nowMs);
    }
  }

  #heartbeat(id: LinkId, heartbeat: Heartbeat, nowMs: number): void {
    const link = this.#links.get(id);
    const peer = link === undefined ? undefined : this.#peers.get(link.peer);
    if (link === undefined || peer === undefined) return;
    link.heardAtMs = nowMs;
    link.instance = heartbeat.instance;
    this.#effects.push({ kind: "send-heard", link: id, sequence: heartbeat.sequence });
    this.#lookForCopies(link, peer, nowMs);
    if (peer.link !== link) return;
    peer.lastSeenAtMs = nowMs;
    peer.version = heartbeat.version;
    peer.snapshot = heartbeat.snapshot ?? peer.snapshot;
    this.#learnAddresses(link, heartbeat, nowMs);
    if (heartbeat.rosterDigest !== this.#rosterDigest && peer.syncedDigest !== heartbeat.rosterDigest) {
      peer.syncedDigest = heartbeat.rosterDigest;
      this.#effects.push({ kind: "sync-roster", peer: link.peer });
    }
    if (peer.state !== "up") this.#up(peer, nowMs);
    else if (heartbeat.snapshot !== null) this.#change("snapshot", peer, nowMs);
  }

  #up(peer: Peer, nowMs: number): void {
    peer.state = "up";
    peer.reason = "";
    peer.lostAtMs = null;
    this.#change("up", peer, nowMs);
  }

  /** A machine that speaks on two connections as two processes is two machines. */
  #lookForCopies(link: Link, peer: Peer, nowMs: number): void {
    const current = peer.link;
    if (current === null || current === link || link.contestedUntilMs === null || current.instance === null) return;
    if (current.instance === link.instance) return;
    this.#effects.push({ kind: "copied", peer: link.peer, links: [link.id, current.id] });
    this.#close(link, "copied");
    this.#close(current, "copied");
    this.#lose(peer, "two machines have this identity", nowMs);
    this.#plan.later(link.peer, nowMs);
    this.#down(peer, nowMs);
  }

  #learnAddresses(link: Link, { port, own, told }: Heartbeat, nowMs: number): void {
    if (port !== null && !link.isOutgoing)
      this.#found(link.peer, [{ host: link.remote.host, port }], { by: "incoming", nowMs });
    this.#found(link.peer, own, { by: "peer", nowMs });
    for (const { peer, addresses } of told)
      if (peer !== this.#self && peer !== link.peer) this.#found(peer, addresses, { by: "peer", nowMs });
  }

  #heard(id: LinkId, sequence: number, nowMs: number): void {
    const link = this.#links.get(id);
    const sentAtMs = link?.unheard.get(sequence);
    if (link === undefined || sentAtMs === undefined) return;
    for (const earlier of link.unheard.keys()) if (earlier <= sequence) link.unheard.delete(earlier);
    link.heardAtMs = nowMs;
    const peer = this.#peers.get(link.peer);
    if (peer?.link !== link) return;
    const roundTripMs = nowMs - sentAtMs;
    // Smoothed as TCP does (RFC 6298).
    peer.latencyMs = peer.latencyMs === null ? roundTripMs : peer.latencyMs + (roundTripMs - peer.latencyMs) / 8;
  }

  #tick(nowMs: number): void {
    this.#lastTickMs = nowMs;
    for (const link of this.#links.values()) this.#tickLink(link, nowMs);
    for (const peer of this.#peers.values()) {
      const { lostAtMs } = peer;
      if (peer.link === null && peer.state === "suspect" && lostAtMs !== null)
        if (nowMs - lostAtMs >= this.#timing.reconnectMs) this.#down(peer, nowMs);
    }
    const absent = [...this.#peers.keys()].filter(
      (id) => this.#isWelcome(id) && this.#peers.get(id)?.link === null && this.#book.of(id).length > 0,
    );
    for (const { dial, peer, address } of this.#plan.due(absent, (peer) => this.#book.toDial(peer), nowMs))
      this.#effects.push({ kind: "dial", dial, peer, address });
  }

  #tickLink(link: Link, nowMs: number): void {
    if (link.contestedUntilMs !== null) {
      if (nowMs >= link.contestedUntilMs) this.#close(link, "duplicate");
      return;
    }
    const peer = this.#peers.get(link.peer);
    if (peer?.link !== link) return;
    const silentMs = nowMs - link.heardAtMs;
    if (silentMs >= this.#timing.silentMs) {
      this.#close(link, "silent");
      this.#lose(peer, `silent for ${(silentMs / 1000).toFixed(1)} s`, nowMs);
      return this.#down(peer, nowMs);
    }
    if (silentMs >= this.#timing.suspectMs && peer.state === "up") {
      peer.state = "suspect";
      this.#change("suspect", peer, nowMs);
    } else if (silentMs < this.#timing.suspectMs && peer.state === "suspect" && link.instance !== null) {
      this.#up(peer, nowMs);
    }
    if (nowMs >= link.nextBeatAtMs) this.#beat(link, nowMs);
  }

  #beat(link: Link, nowMs: number): void {
    link.sequence++;
    link.nextBeatAtMs = nowMs + this.#timing.heartbeatMs;
    link.unheard.set(link.sequence, nowMs);
    for (const sequence of link.unheard.keys()) {
      if (link.unheard.size <= MOST_UNHEARD) break;
      link.unheard.delete(sequence);
    }
    this.#effects.push({
      kind: "send-heartbeat",
      link: link.id,
      heartbeat: {
        instance: this.#options.instance,
        sequence: link.sequence,
        port: this.#options.port,
        version: this.#options.version,
        rosterDigest: this.#rosterDigest,
        own: link.sequence % OWN_ADDRESSES_EVERY === 1 ? this.#own : [],
        told: this.#tell(link),
      },
    });
  }

  /** Addresses of some other members, the next ones each time. */
  #tell(link: Link): Heartbeat["told"] {
    const isNear = isLoopback(link.remote.host);
    const others = [...this.#peers.values()].filter(
      ({ member, state }) => member.id !== link.peer && member.verdict === "member" && state === "up",
    );
    const count = Math.min(others.length, LIMITS.toldPeers);
    const from = this.#tellFrom % Math.max(1, others.length);
    this.#tellFrom += count;
    return Array.from({ length: count }, (_, index) => others[(from + index) % others.length])
      .filter((peer) => peer !== undefined)
      .map(({ member }) => ({
        peer: member.id,
        addresses: this.#book
          .of(member.id)
          .filter(({ address, outcome }) => (isNear || isTellable(address)) && outcome.kind !== "failed")
          .map(({ address }) => address)
          .slice(0, LIMITS.peerAddresses / 4),
      }))
      .filter(({ addresses }) => addresses.length > 0);
  }

  #down(peer: Peer, nowMs: number): void {
    if (peer.state === "down") return;
    peer.state = "down";
    peer.lostAtMs = null;
    this.#change("down", peer, nowMs);
  }

  #close(link: Link, reason: Extract<MembershipEffect, { kind: "close-link" }>["reason"]): void {
    this.#links.delete(link.id);
    this.#effects.push({ kind: "close-link", link: link.id, reason });
  }

  #cancelDials(id: PeerId): void {
    for (const dial of this.#plan.cancel(id)) this.#effects.push({ kind: "cancel-dial", dial });
  }

  #change(change: Extract<MembershipEffect, { kind: "changed" }>["change"], peer: Peer, nowMs: number): void {
    this.#effects.push({ kind: "changed", change, peer: this.#view(peer, nowMs) });
  }

  #view(peer: Peer, nowMs: number): PeerView {
    const { member, link } = peer;
    const known = this.#book.of(member.id);
    const state = member.verdict === "member" ? peer.state : "revoked";
    return {
      id: member.id,
      name: member.name,
      roles: member.roles,
      state,
      reason: state === "up" ? null : this.#reason(peer, nowMs),
      addresses: known.map(({ address }) => address),
      foundBy: known[0]?.by ?? null,
      latencyMs: link === null ? null : peer.latencyMs,
      version: peer.version,
      lastSeenAtMs: peer.lastSeenAtMs,
      snapshot: peer.snapshot,
    };
  }

  #reason(peer: Peer, nowMs: number): string {
    if (peer.member.verdict !== "member")
      return peer.member.verdict === "revoked" ? "its grant was taken back" : "its grant has expired";
    if (peer.link !== null && peer.state === "suspect")
      return `silent for ${((nowMs - peer.link.heardAtMs) / 1000).toFixed(1)} s`;
    if (peer.reason !== "") return peer.reason;
    return this.#book.of(peer.member.id).length === 0 ? "no address of it is known" : "not reached yet";
  }

  #selfView(member: Member): PeerView {
    return {
      id: member.id,
      name: member.name,
      roles: member.roles,
      state: member.verdict === "member" ? "self" : "revoked",
      reason: null,
      addresses: this.#own,
      foundBy: null,
      latencyMs: 0,
      version: this.#options.version,
      lastSeenAtMs: this.#lastStepMs,
      snapshot: null,
    };
  }
}

function newPeer(member: Member): Peer {
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
  };
}
