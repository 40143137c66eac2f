// Membership machines on a simulated network with a clock of its own: latency, loss one way, partitions, frozen and killed
// machines. Heartbeats cross as they would on the wire, and are read as such.

import { type PeerId, peerIdOf } from "../../src/base/ids.ts";
import { readHeartbeat } from "../../src/mesh/heartbeat.ts";
import { Membership } from "../../src/mesh/membership.ts";
import type { Member, MembershipEffect, MembershipEvent } from "../../src/mesh/membership-event.ts";
import { Heap } from "../../src/sched/heap.ts";
import type { Address, PeerState } from "../../src/mesh/peer-view.ts";
import { SeededRandom } from "./seeded-random.ts";

/** A connection. Each end may be gone without the other knowing. */
interface Cable {
  readonly ends: readonly [WorldNode, WorldNode];
  /** The process at each end when it was made. */
  readonly instances: readonly [string, string];
}

interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly act: () => void;
}

const DIAL_TIMEOUT_MS = 3_000;

export class MembershipWorld {
  readonly random: SeededRandom;
  readonly nodes: WorldNode[] = [];
  nowMs = 1_000;
  latencyMs = 1;
  /** Whether a packet from one to the other is lost. */
  loses: (from: WorldNode, to: WorldNode) => boolean = () => false;
  readonly #queue = new Heap<Due>((a, b) => a.atMs - b.atMs || a.order - b.order);
  #order = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  /** Adds a machine; it knows nobody until `admitAll` or `tell`. */
  add(name: string): WorldNode {
    const node = new WorldNode(this, name, this.nodes.length);
    this.nodes.push(node);
    return node;
  }

  /** Adds a machine with the identity of another one, as a cloned disk makes it. */
  addCopy(of: WorldNode): WorldNode {
    const node = new WorldNode(this, of.name, this.nodes.length, of.id);
    this.nodes.push(node);
    return node;
  }

  /** Gives all machines the same roster: everyone there is. */
  admitAll(verdictOf: (node: WorldNode) => Member["verdict"] = () => "member"): void {
    const identities = this.nodes.filter((node, at) => this.nodes.findIndex(({ id }) => id === node.id) === at);
    const members = identities.map((node): Member => {
      return { id: node.id, name: node.name, roles: ["worker"], verdict: verdictOf(node) };
    });
    const digest = new Bun.CryptoHasher("sha256").update(JSON.stringify(members)).digest("hex");
    for (const node of this.nodes) node.take({ kind: "roster", members, digest });
  }

  /** As if all announced themselves by multicast. */
  announceAll(): void {
    for (const from of this.nodes) for (const to of this.nodes) if (from !== to) from.announceTo(to);
  }

  at(afterMs: number, act: () => void): void {
    this.#queue.push({ atMs: this.nowMs + afterMs, order: this.#order++, act });
  }

  /** Lets time pass. */
  run(forMs: number): void {
    const endMs = this.nowMs + forMs;
    for (let next = this.#queue.pop(); next !== undefined; next = this.#queue.pop()) {
      if (next.atMs > endMs) {
        this.#queue.push(next);
        break;
      }
      this.nowMs = next.atMs;
      next.act();
    }
    this.nowMs = endMs;
  }
}

export class WorldNode {
  readonly #world: MembershipWorld;
  readonly name: string;
  readonly id: PeerId;
  #machine: Membership;
  address: Address;
  instance: string;
  isAlive = true;
  #hasPower = true;
  /** Events that wait while it is frozen; null when it is not. */
  #frozen: (() => void)[] | null = null;
  /** To each other machine one at most, as the transport keeps it; two machines with one identity share the place. */
  readonly #cables = new Map<PeerId, Cable>();
  #wake = 0;
  /** What others were told: "up b", "down c", with the time. */
  readonly changes: { readonly atMs: number; readonly change: string; readonly peer: string }[] = [];
  readonly effects: MembershipEffect[] = [];

  constructor(world: MembershipWorld, name: string, index: number, id?: PeerId) {
    this.#world = world;
    this.name = name;
    this.id = id ?? peerIdOf(new Bun.CryptoHasher("sha256").update(name).digest());
    this.address = { host: `10.0.${index >> 8}.${(index & 255) + 1}`, port: 7433 };
    this.instance = "";
    this.#machine = this.#start();
  }

  /** How it sees another machine. */
  stateOf(other: WorldNode): PeerState | null {
    return this.#machine.view(other.id, this.#world.nowMs)?.state ?? null;
  }

  reasonOf(other: WorldNode): string | null {
    return this.#machine.view(other.id, this.#world.nowMs)?.reason ?? null;
  }

  get machine(): Membership {
    return this.#machine;
  }

  /** Connections that stand. */
  get linkCount(): number {
    return this.#cables.size;
  }

  announceTo(other: WorldNode): void {
    if (this.#world.loses(this, other)) return;
    other.take({ kind: "sighted", peer: this.id, instance: this.instance, addresses: [this.address] });
  }

  take(event: MembershipEvent): void {
    if (!this.isAlive) return;
    if (this.#frozen !== null) {
      this.#frozen.push(() => this.take(event));
      return;
    }
    const effects = this.#machine.step(event, this.#world.nowMs);
    this.effects.push(...effects);
    for (const effect of effects) this.#perform(effect);
    this.#setAlarm();
  }

  /** kill -9: the kernel closes its connections. */
  kill(): void {
    this.isAlive = false;
    for (const peer of this.#cables.keys()) this.#close(peer, "connection reset");
  }

  /** The power goes: nobody closes anything. */
  powerOff(): void {
    this.isAlive = false;
    this.#hasPower = false;
    this.#cables.clear();
  }

  /** Starts a process anew. Others' ends of earlier connections stay as they are. */
  restart(): void {
    this.isAlive = true;
    this.#hasPower = true;
    this.#cables.clear();
    this.#machine = this.#start();
  }

  freeze(): void {
    this.#frozen ??= [];
  }

  thaw(): void {
    const waiting = this.#frozen ?? [];
    this.#frozen = null;
    for (const act of waiting) act();
  }

  #start(): Membership {
    const random = this.#world.random;
    this.instance = Array.from({ length: 16 }, () => random.below(16).toString(16)).join("");
    const machine = new Membership({
      self: this.id,
      instance: this.instance,
      port: this.address.port,
      version: "1.0.0",
      seed: random.below(2 ** 31),
      nowMs: this.#world.nowMs,
    });
    return machine;
  }

  #setAlarm(): void {
    const wake = ++this.#wake;
    this.#world.at(Math.max(0, this.#machine.wakeAtMs - this.#world.nowMs), () => this.#ring(wake));
  }

  #ring(wake: number): void {
    if (wake !== this.#wake) return;
    // The timer of a frozen process is late.
    if (this.#frozen === null) this.take({ kind: "tick" });
    else this.#frozen.push(() => this.#ring(wake));
  }

  #perform(effect: MembershipEffect): void {
    switch (effect.kind) {
      case "dial":
        return this.#dial(effect.dial, effect.peer, effect.address);
      case "close":
        return this.#close(effect.peer, effect.reason);
      case "send-heartbeat":
        return this.#send(effect.peer, (node) => {
          const heartbeat = readHeartbeat(structuredClone({ ...effect.heartbeat, snapshot: null }));
          if (heartbeat === null) throw new Error("A heartbeat that its own reader refuses");
          node.take({ kind: "heartbeat", peer: this.id, heartbeat });
        });
      case "changed":
        this.changes.push({ atMs: this.#world.nowMs, change: effect.change, peer: effect.peer.name });
        return;
      case "cancel-dial":
      case "sync-roster":
      case "copied":
        return; // Kept in `effects`.
    }
  }

  #dial(dial: number, peer: PeerId, address: Address): void {
    const world = this.#world;
    const there = world.nodes.find(
      (node) => node.address.host === address.host && node.address.port === address.port && node !== this,
    );
    if (there === undefined || !there.#hasPower || world.loses(this, there) || world.loses(there, this)) {
      world.at(DIAL_TIMEOUT_MS, () => this.take({ kind: "dial-failed", dial, reason: "timed out" }));
      return;
    }
    world.at(world.latencyMs * 4, () => {
      if (!this.isAlive) return;
      if (!there.isAlive || there.id !== peer) return this.take({ kind: "dial-failed", dial, reason: "refused" });
      const cable: Cable = { ends: [this, there], instances: [this.instance, there.instance] };
      // Both dialled at once: the one that the smaller id dialled stays.
      const standing = this.#cables.get(peer);
      if (standing !== undefined && standing === there.#cables.get(this.id) && there.id < this.id) return;
      this.#plugIn(cable, { dialled: address, remote: address });
      there.#plugIn(cable, { dialled: null, remote: { host: this.address.host, port: 40_000 } });
    });
  }

  #plugIn(cable: Cable, { dialled, remote }: { dialled: Address | null; remote: Address }): void {
    const [other, instance] = otherEnd(cable, this);
    const old = this.#cables.get(other.id);
    this.#cables.set(other.id, cable);
    if (old !== undefined) {
      const [oldNode, oldInstance] = otherEnd(old, this);
      if (oldInstance === instance) return; // The same machine connected anew: nothing was lost.
      this.take({ kind: "lost", peer: other.id, reason: "it was started anew" });
      if (oldNode !== other) this.#world.at(this.#world.latencyMs, () => oldNode.#unplug(old, "closed"));
    }
    this.take({ kind: "linked", peer: other.id, dialled, remote });
  }

  #send(peer: PeerId, deliver: (node: WorldNode) => void): void {
    const cable = this.#cables.get(peer);
    if (cable === undefined) return;
    const [other] = otherEnd(cable, this);
    if (this.#world.loses(this, other)) return;
    this.#world.at(this.#world.latencyMs, () => {
      if (other.#cables.get(this.id) === cable) deliver(other);
    });
  }

  #close(peer: PeerId, reason: string): void {
    const cable = this.#cables.get(peer);
    if (cable === undefined) return;
    this.#cables.delete(peer);
    const [other] = otherEnd(cable, this);
    if (!this.#world.loses(this, other)) this.#world.at(this.#world.latencyMs, () => other.#unplug(cable, reason));
  }

  #unplug(cable: Cable, reason: string): void {
    const [other] = otherEnd(cable, this);
    if (this.#cables.get(other.id) !== cable) return;
    this.#cables.delete(other.id);
    this.take({ kind: "lost", peer: other.id, reason });
  }
}

function otherEnd({ ends, instances }: Cable, node: WorldNode): readonly [WorldNode, string] {
  return ends[0] === node ? [ends[1], instances[1]] : [ends[0], instances[0]];
}
