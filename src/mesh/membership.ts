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
import { type KnownPeer, newKnownPeer, type PeerLink, viewOf } from "./known-peer.ts";
import type { CloseReason, DialId, Member, MembershipEffect, MembershipEvent, Timing } from "./membership-event.ts";
import type { Address, FoundBy, PeerView } from "./peer-view.ts";

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

const DEFAULT_TIMING: Timing = LIMITS;
/** Two sightings of another instance of this machine, so far apart, are no echo. */
const ECHO_MS = 1_000;
/** Addresses are told by the first heartbeats of a connection, and then by every tenth. */
const ADDRESSES_EVERY = 10;
/** Processes of a machine that are remembered, to see one speak again that another had replaced. */
const FORMER_INSTANCES = 4;

/** Events after which nothing but a dial may be due at once. */
const QUIET: ReadonlySet<MembershipEvent["kind"]> = new Set(["heartbeat", "round-trip", "found", "sighted"]);

export class Membership {
  readonly #self: PeerId;
  readonly #options: MembershipOptions;
  readonly #timing: Timing;
  readonly #book = new AddressBook();
  readonly #plan: DialPlan;
  readonly #peers = new Map<PeerId, KnownPeer>();
  #selfMember: Member | null = null;
  #rosterDigest = "";
  #own: readonly Address[] = [];
  /** Where the turn of telling addresses stands. */
  #tellFrom = 0;
  #lastStepMs: number;
  #lastTickMs: number;
  /** When the next heartbeat is due, as of the last tick. */
  #nextBeatAtMs = Number.POSITIVE_INFINITY;
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
    // Most events make nothing due but a dial, which the plan knows: in a large mesh a look at everybody costs more than they do.
    const isQuiet = QUIET.has(event.kind);
    if (isDue || !isQuiet || this.#plan.nextAtMs <= nowMs) this.#tick(nowMs);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** When the machine wants its next tick at the latest. */
  get wakeAtMs(): number {
    return Math.min(this.#lastTickMs + this.#timing.heartbeatMs / 4, this.#nextBeatAtMs, this.#plan.nextAtMs);
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
    for (const peer of this.#peers.values()) {
      if (peer.link !== null) peer.link.heardAtMs = Math.min(nowMs, peer.link.heardAtMs + lagMs);
      if (peer.lostAtMs !== null) peer.lostAtMs += lagMs;
    }
  }

  #take(event: MembershipEvent, nowMs: number): void {
    switch (event.kind) {
      case "tick":
        return;
      case "urgent":
        for (const { link } of this.#peers.values()) if (link !== null) link.nextBeatAtMs = nowMs;
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
      case "lost":
        return this.#lost(event.peer, event.reason, nowMs);
      case "heartbeat":
        return this.#heartbeat(event.peer, event.heartbeat, nowMs);
      case "round-trip":
        return this.#roundTrip(event.peer, event.ms, nowMs);
      case "network-changed":
        this.#own = event.own.slice(0, LIMITS.peerAddresses);
        for (const [id, { link }] of this.#peers) {
          if (link === null) this.#plan.soon(id, nowMs);
          else [link.nextBeatAtMs, link.sequence] = [nowMs, 0];
        }
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
      if (peer === undefined) this.#peers.set(member.id, newKnownPeer(member));
      else if (Bun.deepEquals(peer.member, member)) continue;
      else peer.member = member;
      const current = this.#peers.get(member.id);
      if (current !== undefined) this.#change("roster", current, nowMs);
    }
    for (const [id, peer] of this.#peers) {
      if (this.#isWelcome(id)) continue;
      this.#cancelDials(id);
      if (peer.link !== null) this.#close(id, "revoked");
      if (peer.link !== null || peer.state !== "down") this.#lose(peer, "", nowMs);
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
    if (this.#peers.get(id)?.link !== null) this.#close(id, "not-a-member");
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
      this.#effects.push({ kind: "copied", peer: this.#self });
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

  #linked({ peer: id, dialled, remote }: Extract<MembershipEvent, { kind: "linked" }>, nowMs: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined || !this.#isWelcome(id))
      return this.#close(id, peer === undefined ? "not-a-member" : "revoked");
    this.#cancelDials(id);
    if (dialled !== null) this.#book.conclude(id, dialled, { kind: "linked", atMs: nowMs });
    peer.link = {
      remote,
      isOutgoing: dialled !== null,
      sinceMs: nowMs,
      heardAtMs: nowMs,
      nextBeatAtMs: nowMs,
      sequence: 0,
      isProven: false,
    };
  }

  #lost(id: PeerId, reason: string, nowMs: number): void {
    const peer = this.#peers.get(id);
    if (peer !== undefined && peer.link !== null) this.#lose(peer, reason, nowMs);
  }

  /** A machine is without a connection: it is looked for at once, and is down when that fails. */
  #lose(peer: KnownPeer, reason: string, nowMs: number): void {
    const heldMs = peer.link === null ? Number.POSITIVE_INFINITY : nowMs - peer.link.sinceMs;
    peer.link = null;
    peer.latencyMs = null;
    peer.reason = reason;
    peer.lostAtMs = nowMs;
    if (!this.#isWelcome(peer.member.id)) return this.#down(peer, nowMs);
    // A connection that breaks as soon as it stands would do so again at once.
    if (heldMs < this.#timing.heartbeatMs) this.#plan.afterFailure(peer.member.id, nowMs);
    else this.#plan.soon(peer.member.id, nowMs);
    if (peer.state === "up") {
      peer.state = "suspect";
      this.#change("suspect", peer, nowMs);
    }
  }

  #heartbeat(id: PeerId, heartbeat: Heartbeat, nowMs: number): void {
    const peer = this.#peers.get(id);
    const link = peer?.link;
    if (peer === undefined || link === undefined || link === null) return;
    link.heardAtMs = nowMs;
    link.isProven = true;
    peer.lastSeenAtMs = nowMs;
    if (this.#isCopied(peer, heartbeat.instance)) return this.#foundCopy(peer, nowMs);
    peer.version = heartbeat.version;
    peer.snapshot = heartbeat.snapshot ?? peer.snapshot;
    this.#learnAddresses(peer, link, { heartbeat, nowMs });
    if (heartbeat.rosterDigest !== this.#rosterDigest && peer.syncedDigest !== heartbeat.rosterDigest) {
      peer.syncedDigest = heartbeat.rosterDigest;
      this.#effects.push({ kind: "sync-roster", peer: id });
    }
    if (peer.state !== "up") this.#up(peer, nowMs);
    else if (heartbeat.snapshot !== null) this.#change("snapshot", peer, nowMs);
  }

  /** A process that speaks again after another one of the same machine was there never ended: there are two machines. */
  #isCopied(peer: KnownPeer, instance: string): boolean {
    if (peer.instance === instance) return false;
    const isBack = peer.formerInstances.includes(instance);
    if (peer.instance !== null)
      peer.formerInstances = [peer.instance, ...peer.formerInstances].slice(0, FORMER_INSTANCES);
    peer.instance = instance;
    return isBack;
  }

  #foundCopy(peer: KnownPeer, nowMs: number): void {
    const { id } = peer.member;
    this.#effects.push({ kind: "copied", peer: id });
    this.#close(id, "copied");
    this.#lose(peer, "two machines have this identity", nowMs);
    this.#down(peer, nowMs);
    this.#cancelDials(id);
    this.#plan.later(id, nowMs);
  }

  #up(peer: KnownPeer, nowMs: number): void {
    peer.state = "up";
    peer.reason = "";
    peer.lostAtMs = null;
    this.#change("up", peer, nowMs);
  }

  #learnAddresses(
    peer: KnownPeer,
    link: PeerLink,
    { heartbeat, nowMs }: { readonly heartbeat: Heartbeat; readonly nowMs: number },
  ): void {
    const { id } = peer.member;
    const { port, own, told } = heartbeat;
    if (port !== null && !link.isOutgoing)
      this.#found(id, [{ host: link.remote.host, port }], { by: "incoming", nowMs });
    this.#found(id, own, { by: "peer", nowMs });
    for (const { peer: other, addresses } of told)
      if (other !== this.#self && other !== id) this.#found(other, addresses, { by: "peer", nowMs });
  }

  #roundTrip(id: PeerId, ms: number, nowMs: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined || peer.link === null) return;
    peer.link.heardAtMs = nowMs;
    // Smoothed as TCP does (RFC 6298).
    peer.latencyMs = peer.latencyMs === null ? ms : peer.latencyMs + (ms - peer.latencyMs) / 8;
  }

  #tick(nowMs: number): void {
    this.#lastTickMs = nowMs;
    this.#nextBeatAtMs = Number.POSITIVE_INFINITY;
    const absent: PeerId[] = [];
    for (const [id, peer] of this.#peers) {
      const { link, lostAtMs } = peer;
      if (link !== null) {
        this.#tickLink(peer, link, nowMs);
        if (peer.link !== null) continue;
      } else if (peer.state === "suspect" && lostAtMs !== null && nowMs - lostAtMs >= this.#timing.reconnectMs)
        this.#down(peer, nowMs);
      if (this.#isWelcome(id) && this.#book.of(id).length > 0) absent.push(id);
    }
    for (const { dial, peer, address } of this.#plan.due(absent, (peer) => this.#book.toDial(peer), nowMs))
      this.#effects.push({ kind: "dial", dial, peer, address });
  }

  #tickLink(peer: KnownPeer, link: PeerLink, nowMs: number): void {
    const silentMs = nowMs - link.heardAtMs;
    if (silentMs >= this.#timing.silentMs) {
      this.#close(peer.member.id, "silent");
      this.#lose(peer, `silent for ${(silentMs / 1000).toFixed(1)} s`, nowMs);
      return this.#down(peer, nowMs);
    }
    if (silentMs >= this.#timing.suspectMs && peer.state === "up") {
      peer.state = "suspect";
      this.#change("suspect", peer, nowMs);
    } else if (silentMs < this.#timing.suspectMs && peer.state === "suspect" && link.isProven) this.#up(peer, nowMs);
    if (nowMs >= link.nextBeatAtMs) this.#beat(peer, link, nowMs);
    this.#nextBeatAtMs = Math.min(this.#nextBeatAtMs, link.nextBeatAtMs);
  }

  #beat(peer: KnownPeer, link: PeerLink, nowMs: number): void {
    link.sequence++;
    link.nextBeatAtMs = this.#commonBeatAfter(nowMs);
    // By the second one, who else is up is known where many start at once.
    const isTelling = link.sequence <= 2 || link.sequence % ADDRESSES_EVERY === 0;
    this.#effects.push({
      kind: "send-heartbeat",
      peer: peer.member.id,
      heartbeat: {
        instance: this.#options.instance,
        port: this.#options.port,
        version: this.#options.version,
        rosterDigest: this.#rosterDigest,
        own: isTelling ? this.#own : [],
        told: isTelling ? this.#tell(peer.member.id, link) : [],
      },
    });
  }

  /** All links beat together, however they came to be: each wakes this machine, and waking looks at everybody. */
  #commonBeatAfter(nowMs: number): number {
    const { heartbeatMs } = this.#timing;
    const { nowMs: firstMs } = this.#options;
    const atMs = firstMs + Math.floor((nowMs - firstMs) / heartbeatMs + 1) * heartbeatMs;
    return atMs > nowMs ? atMs : atMs + heartbeatMs;
  }

  /** Addresses of some other members, the next ones each time. */
  #tell(to: PeerId, link: PeerLink): Heartbeat["told"] {
    const isNear = isLoopback(link.remote.host);
    const others = [...this.#peers.values()].filter(
      ({ member, state }) => member.id !== to && member.verdict === "member" && state === "up",
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

  #down(peer: KnownPeer, nowMs: number): void {
    if (peer.state === "down") return;
    peer.state = "down";
    peer.lostAtMs = null;
    this.#change("down", peer, nowMs);
  }

  #close(peer: PeerId, reason: CloseReason): void {
    this.#effects.push({ kind: "close", peer, reason });
  }

  #cancelDials(id: PeerId): void {
    for (const dial of this.#plan.cancel(id)) this.#effects.push({ kind: "cancel-dial", dial });
  }

  #change(change: Extract<MembershipEffect, { kind: "changed" }>["change"], peer: KnownPeer, nowMs: number): void {
    this.#effects.push({ kind: "changed", change, peer: this.#view(peer, nowMs) });
  }

  #view(peer: KnownPeer, nowMs: number): PeerView {
    return viewOf(peer, this.#book.of(peer.member.id), nowMs);
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
