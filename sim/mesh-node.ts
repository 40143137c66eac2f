// A process's part in the mesh: the program's own membership and link machines over simulated connections. It performs what they say
// as src/mesh/io does, and tells its machine whom it takes to be there.

import { unreachable } from "../src/base/assert.ts";
import { MeshError } from "../src/base/errors.ts";
import type { PeerId } from "../src/base/ids.ts";
import { LIMITS } from "../src/base/limits.ts";
import type { Heartbeat } from "../src/mesh/heartbeat.ts";
import { InTurn } from "../src/mesh/in-turn.ts";
import { type LinkEffect, LinkState } from "../src/mesh/link-state.ts";
import { Membership } from "../src/mesh/membership.ts";
import type { DialId, Member, MembershipEffect, MembershipEvent, Timing } from "../src/mesh/membership-event.ts";
import type { Address, PeerState } from "../src/mesh/peer-view.ts";
import type { Host } from "./host.ts";
import { End, type Lan, PORT, SILENT_MS } from "./lan.ts";
import { must } from "./world.ts";

/** When a process asks who is there, after it has started: the last pause goes on for ever. */
const ASK_AFTER_MS = [0, 1_000, 2_000, 5_000, 10_000, 30_000] as const;

/** Addresses are written down so long after somebody was found, those of all together. */
const SAVE_ADDRESSES_MS = 2_000;

/** An attempt to connect that can still be called off. */
interface Attempt {
  readonly cancel: () => void;
}

export class MeshNode {
  readonly instance: string;
  readonly #host: Host;
  readonly #lan: Lan;
  readonly #membership: Membership;
  readonly #events = new InTurn<MembershipEvent>((event) => this.#take(event));
  readonly #links = new Map<Host, LinkState<End>>();
  readonly #attempts = new Map<DialId, Attempt>();
  /** Machines that were reached and have not said hello yet, and who waits for that. */
  readonly #greeting = new Map<Host, ((isLinked: boolean) => void)[]>();
  #alarmAtMs = Number.POSITIVE_INFINITY;
  #asked = 0;
  #isSaving = false;

  constructor(host: Host, lan: Lan, timing: Partial<Timing>) {
    this.#host = host;
    this.#lan = lan;
    this.instance = new Bun.CryptoHasher("md5").update(`${host.name} ${host.life}`).digest("hex").slice(0, 16);
    const seed = lan.world.random.below(2 ** 32);
    const options = { self: host.id, instance: this.instance, port: PORT, version: "1.0.0", seed, timing };
    this.#membership = new Membership({ ...options, nowMs: host.monotonicMs });
  }

  start(): void {
    this.rosterChanged();
    for (const { peer, addresses } of this.#host.disk.addresses)
      this.step({ kind: "found", peer, addresses, by: "remembered" });
    this.networkChanged();
    this.#ask();
  }

  networkChanged(): void {
    this.step({ kind: "network-changed", own: [{ host: this.#host.address, port: PORT }] });
  }

  /** Somebody gives it the address of another machine. */
  given(other: Host): void {
    this.step({ kind: "found", peer: other.id, addresses: [addressOf(other)], by: "given" });
  }

  /** What it takes a machine's state to be. */
  stateOf(other: Host): PeerState {
    return this.#membership.view(other.id, this.#host.monotonicMs)?.state ?? "down";
  }

  /** The connection that words to a machine take; null when it cannot be called. */
  openTo(other: Host): End | null {
    const end = this.#links.get(other)?.control ?? null;
    return end?.isOpen === true ? end : null;
  }

  /** The process has ended. `isHeard`: the others are told by its machine, which goes on. */
  ended(isHeard: boolean): void {
    for (const link of this.#links.values())
      for (const end of link.all) {
        end.isClosed = true;
        this.#hangUp(end, isHeard);
      }
  }

  // What the machine is told

  step(event: MembershipEvent): void {
    if (this.#events.add(event)) this.#setAlarm();
  }

  rosterChanged(): void {
    const { revoked } = this.#host.disk;
    const members = [...this.#host.around.byId.values()].map(({ id, name }): Member => ({
      id,
      name,
      roles: ["worker"],
      verdict: revoked.has(id) ? "revoked" : "member",
    }));
    this.step({ kind: "roster", members, digest: digestOf(revoked) });
  }

  /** Takes up who was revoked, and passes on what is new. */
  learnRevoked(ids: Iterable<PeerId>): void {
    const { revoked } = this.#host.disk;
    const added = [...ids].filter((id) => !revoked.has(id));
    if (added.length === 0) return;
    for (const id of added) revoked.add(id);
    this.#host.around.world.note(() => `${this.#host.name} learns of ${added.length} that are revoked`);
    for (const [, link] of this.#links) this.#say(link.control, (node) => node.learnRevoked(added));
    this.rosterChanged();
  }

  #take(event: MembershipEvent): void {
    for (const effect of this.#membership.step(event, this.#host.monotonicMs)) this.#perform(effect);
  }

  #setAlarm(): void {
    const atMs = this.#membership.wakeAtMs;
    if (atMs >= this.#alarmAtMs) return;
    this.#alarmAtMs = atMs;
    this.#host.after(Math.max(0.01, atMs - this.#host.monotonicMs), () => {
      if (this.#alarmAtMs !== atMs) return;
      this.#alarmAtMs = Number.POSITIVE_INFINITY;
      if (this.#membership.wakeAtMs <= this.#host.monotonicMs) this.step({ kind: "tick" });
      else this.#setAlarm();
    });
  }

  /** Asks who is there: those who hear it answer, and all who hear the answer see them. */
  #ask(): void {
    const { peer, addresses } = { peer: this.#host.id, addresses: [addressOf(this.#host)] };
    const { instance } = this;
    this.#lan.announce(this.#host, (other) => {
      other.mesh?.step({ kind: "sighted", peer, instance, addresses });
      const answer = { peer: other.id, instance: other.mesh?.instance ?? "", addresses: [addressOf(other)] };
      this.#lan.packet(other, this.#host, () =>
        this.#host.inLife(this.#host.life, () => this.#host.mesh?.step({ kind: "sighted", ...answer })),
      );
    });
    const waitMs = ASK_AFTER_MS[Math.min(++this.#asked, ASK_AFTER_MS.length - 1)] ?? 0;
    this.#host.after(waitMs, () => this.#ask());
  }

  // What it wants done

  #perform(effect: MembershipEffect): void {
    switch (effect.kind) {
      case "dial":
        return this.#dial(effect);
      case "cancel-dial":
        return this.#attempts.get(effect.dial)?.cancel();
      case "close":
        return this.#drop(this.#hostOf(effect.peer), new MeshError("peer.unreachable", effect.reason));
      case "send-heartbeat":
        return this.#beat(this.#hostOf(effect.peer), { ...effect.heartbeat, snapshot: null });
      case "sync-roster":
        return this.#sync(this.#hostOf(effect.peer));
      case "changed":
        return this.#changed(this.#hostOf(effect.peer.id), effect.change);
      case "copied":
        return must(false, () => `${this.#host.name} takes ${this.#hostOf(effect.peer).name} to be two machines`);
      default:
        unreachable(effect);
    }
  }

  #changed(other: Host, change: Extract<MembershipEffect, { kind: "changed" }>["change"]): void {
    if (change === "up") {
      this.#saveSoon();
      this.#host.believe(other, true);
    } else if (change === "down") this.#host.believe(other, false);
  }

  #saveSoon(): void {
    if (this.#isSaving) return;
    this.#isSaving = true;
    this.#host.after(SAVE_ADDRESSES_MS, () => {
      this.#isSaving = false;
      this.#host.disk.addresses = this.#membership.remembered();
    });
  }

  #beat(other: Host, heartbeat: Heartbeat): void {
    const { id } = this.#host;
    this.#say(this.openTo(other), (node) => node.step({ kind: "heartbeat", peer: id, heartbeat }));
  }

  /** Both end up with what either had. */
  #sync(other: Host): void {
    const here = [...this.#host.disk.revoked];
    this.#say(this.openTo(other), (node, end) => {
      const there = [...node.#host.disk.revoked];
      node.#say(end, (back) => back.learnRevoked(there));
      node.learnRevoked(here);
    });
  }

  /** Something that the other process does when it hears it. */
  #say(end: End | null, act: (node: MeshNode, end: End) => void): void {
    const other = end?.other ?? null;
    if (end === null || other === null || !end.isOpen) return;
    this.#lan.carry(end, other, () => {
      const node = other.host.mesh;
      if (node !== null) act(node, other);
    });
  }

  // Connections

  #linkOf(other: Host): LinkState<End> {
    const known = this.#links.get(other);
    if (known !== undefined) return known;
    const link = new LinkState<End>(this.#host.id, other.id);
    this.#links.set(other, link);
    return link;
  }

  #isMember(other: Host): boolean {
    const { revoked } = this.#host.disk;
    return !revoked.has(other.id);
  }

  #dial({ dial, peer, address }: Extract<MembershipEffect, { kind: "dial" }>): void {
    const other = this.#hostOf(peer);
    if (this.openTo(other) !== null) return;
    const link = this.#linkOf(other);
    link.beginDial("control");
    let isOver = false;
    const over = (failure: string | null): void => {
      if (isOver) return;
      isOver = true;
      this.#attempts.delete(dial);
      this.#performLink(other, link, link.endDial("control"));
      if (failure !== null) this.step({ kind: "dial-failed", dial, reason: failure });
    };
    this.#attempts.set(dial, { cancel: () => over("cancelled") });
    this.#host.after(LIMITS.dialMs, () => {
      if (this.#attempts.has(dial)) over("no answer");
    });
    this.#knock(address, (found) => {
      if (isOver) return;
      if (found === null) return over("nobody listens");
      if (found !== other) return over("another machine answers");
      // From here on it waits for the hello, and is not called off any more.
      this.#attempts.delete(dial);
      this.#greet(other, address, over);
    });
  }

  /** A packet there and one back: null when the machine says that nobody listens. */
  #knock(address: Address, answered: (found: Host | null) => void): void {
    const found = this.#lan.at(address);
    if (found === null) return;
    const answer = (who: Host | null): void =>
      this.#lan.packet(found, this.#host, () => this.#host.inLife(life, () => answered(who)));
    const { life } = this.#host;
    this.#lan.packet(this.#host, found, () => {
      if (this.#lan.at(address) !== found || found.isOff) return;
      if (found.isAlive) found.inLife(found.life, () => answer(found));
      else answer(null);
    });
  }

  #greet(other: Host, address: Address, over: (failure: string | null) => void): void {
    if (!this.#isMember(other)) return over("no member");
    if (this.openTo(other) !== null) return over(null);
    const waiting = this.#greeting.get(other);
    if (waiting !== undefined) {
      waiting.push((isLinked) => (isLinked ? over(null) : this.#greet(other, address, over)));
      return;
    }
    this.#greeting.set(other, [(isLinked) => over(isLinked ? null : "it took no connection from this machine")]);
    const end = new End(this.#host, other, { dialledHere: true, remote: address });
    this.#begin(other, end);
    const remote = { host: this.#host.address, port: 40_000 };
    const there = new End(other, this.#host, { dialledHere: false, remote });
    [end.other, there.other] = [there, end];
    this.#lan.carry(end, there, () => other.mesh?.accept(this.#host, there));
    this.#hello(end);
  }

  /** Another machine has connected. */
  accept(from: Host, end: End): void {
    const isTaken = this.#isMember(from) && this.#linkOf(from).all.size < LIMITS.connectionsPerPeer;
    if (!isTaken) {
      end.isClosed = true;
      return this.#hangUp(end, true);
    }
    this.#begin(from, end);
    this.#hello(end);
  }

  #begin(other: Host, end: End): void {
    this.#linkOf(other).add(end);
    this.#host.after(LIMITS.handshakeMs, () => {
      if (end.hello === null) this.#abort(other, end, new MeshError("peer.unreachable", "no hello"));
    });
  }

  #hello(end: End): void {
    const { other } = end;
    if (other === null) return;
    const hello = { instance: this.instance };
    this.#lan.carry(end, other, () => other.host.mesh?.greeted(end.host, other, hello));
  }

  /** The other end has said who it is. */
  greeted(other: Host, end: End, hello: { readonly instance: string }): void {
    if (end.isClosed) return;
    end.hello = hello;
    const link = this.#linkOf(other);
    this.#performLink(other, link, link.ready(end));
    if (end.dialledHere) this.#settled(other, true);
  }

  #settled(other: Host, isLinked: boolean): void {
    const waiting = this.#greeting.get(other) ?? [];
    this.#greeting.delete(other);
    for (const tell of waiting) tell(isLinked);
  }

  #performLink(other: Host, link: LinkState<End>, effects: readonly LinkEffect<End>[]): void {
    for (const effect of effects)
      switch (effect.kind) {
        case "finish":
          this.#finish(effect.connection);
          break;
        case "abort":
          this.#abort(other, effect.connection, effect.reason);
          break;
        case "linked": {
          const { dialledHere, remote } = effect.connection;
          this.step({ kind: "linked", peer: other.id, dialled: dialledHere ? remote : null, remote });
          break;
        }
        case "lost":
          this.step({ kind: "lost", peer: other.id, reason: effect.reason.message });
          break;
        case "forgotten":
          if (this.#links.get(other) === link) this.#links.delete(other);
          break;
      }
  }

  /** Closes all connections with a machine. */
  #drop(other: Host, reason: MeshError): void {
    for (const end of this.#links.get(other)?.all ?? []) this.#abort(other, end, reason);
  }

  /** Begins nothing more on a connection. The other end, which has nothing under way, closes it. */
  #finish(end: End): void {
    if (end.isFinishing || end.isClosed) return;
    end.isFinishing = true;
    const { other } = end;
    if (other === null) return;
    this.#lan.carry(end, other, () => other.host.mesh?.finishing(end.host, other));
  }

  finishing(other: Host, end: End): void {
    if (end.isClosed) return;
    const link = this.#linkOf(other);
    end.isFinishing = true;
    this.#performLink(other, link, link.finishing(end));
    this.#abort(other, end, null);
  }

  #abort(other: Host, end: End, reason: MeshError | null): void {
    if (end.isClosed) return;
    end.isClosed = true;
    this.#hangUp(end, true);
    this.#closed(other, end, reason);
  }

  #closed(other: Host, end: End, reason: MeshError | null): void {
    this.#host.exchange?.calls.lost(end);
    const link = this.#linkOf(other);
    this.#performLink(other, link, link.closed(end, reason));
    if (end.dialledHere && end.hello === null) this.#settled(other, false);
  }

  /** The other end learns that this one is closed: by a word, or by long silence. */
  #hangUp(end: End, isSaid: boolean): void {
    const { other } = end;
    if (other === null) return;
    const gone = (): void => {
      if (other.isClosed) return;
      other.isClosed = true;
      const node = other.host.mesh;
      if (node !== null) node.#closed(end.host, other, null);
    };
    if (isSaid) this.#lan.carry(end, other, gone);
    this.#lan.world.after(SILENT_MS, () => other.host.inLife(other.life, gone));
  }

  #hostOf(id: PeerId): Host {
    const host = this.#host.around.byId.get(id);
    if (host === undefined) throw new Error("Bug: no such machine");
    return host;
  }
}

export function addressOf(host: Host): Address {
  return { host: host.address, port: PORT };
}

function digestOf(revoked: ReadonlySet<PeerId>): string {
  return Bun.hash([...revoked].toSorted().join()).toString(16);
}
