// One machine in its mesh: identity, roster, connections, discovery and membership put together to `Peers`. It performs what the
// membership machine decides; it decides nothing of that itself.

import { fail, MeshError } from "../../base/errors.ts";
import { shortPeer, type PeerId } from "../../base/ids.ts";
import { systemRandom } from "../../base/io/system.ts";
import { type Announcement, meshTag } from "../announcement.ts";
import { readHeartbeat, isUrgent } from "../heartbeat.ts";
import type { Identity } from "../identity.ts";
import { issueRevocation } from "../issue.ts";
import type { Timing } from "../membership-event.ts";
import type { MemberView } from "../methods.ts";
import type { Address, NodeSnapshot, PeerView } from "../peer-view.ts";
import type {
  CallHandler,
  CallOptions,
  PullOptions,
  HandlerOptions,
  Lane,
  PeerChange,
  Peers,
  StreamHandler,
  WordHandler,
} from "../peers.ts";
import { ownAnnouncement } from "../own-announcement.ts";
import type { Roster } from "../roster.ts";
import { membersOf, termOf } from "../roster-members.ts";
import { forgetAddresses, loadAddresses, saveAddresses } from "./addresses-file.ts";
import { Discovery, ownHosts } from "./discovery.ts";
import { loadIdentity } from "./identity-file.ts";
import { type InviteOptions, Inviting, type OpenCode } from "./inviting.ts";
import { Links } from "./links.ts";
import { listenAt } from "./listening.ts";
import { MembershipDriver, type TalkEffect } from "./membership-driver.ts";
import { lockMesh } from "./mesh-lock.ts";
import { readMachineTraits } from "./read-traits.ts";
import { forgetRoster, loadRoster, saveRoster } from "./roster-file.ts";
import { RosterGossip } from "./roster-gossip.ts";

export interface MeshOptions {
  /** `$MESH_HOME/mesh`. */
  readonly folder: string;
  readonly version: string;
  /**
   * Where to listen: a port, which must be free; "any": the usual one, or another when that is taken; null: nowhere, as a command does
   * that is a member for a short time.
   */
  readonly port: number | "any" | null;
  /** Whether to announce and look for machines by multicast; true when absent. */
  readonly multicast?: boolean;
  /** Something that its owner should know. */
  readonly onNotice?: (notice: MeshNotice) => void;
  readonly timing?: Partial<Timing>;
}

export interface MeshNotice {
  readonly error: MeshError;
}

/** Words and calls between two of these objects. */
const HEARTBEAT = "mesh.heartbeat";
const COPIED = "mesh.copied";
const SAVE_ADDRESSES_MS = 2_000;
/** Grants end by the clock of the wall, which nobody announces. */
const EXPIRY_MS = 2_000;
const FAREWELL_MS = 1_000;

/**
 * Opens this machine's place in its mesh. Throws `mesh.not-a-member`, `node.already-running` when another process of this home has it,
 * `mesh.identity-copied`, `io.failed` when the port is taken.
 */
export async function openMesh(options: MeshOptions): Promise<Mesh> {
  const { folder } = options;
  const identity = loadIdentity({ folder, traits: readMachineTraits() });
  const roster = loadRoster(folder);
  if (identity === null || roster === null) return fail("mesh.not-a-member", `There is no mesh in ${folder}`);
  const lock = lockMesh(folder);
  try {
    const mesh = new Mesh({ ...options, identity, roster, lock });
    await mesh.start();
    return mesh;
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

interface Parts extends MeshOptions {
  readonly identity: Identity;
  readonly roster: Roster;
  readonly lock: Disposable;
}

export class Mesh implements Peers, AsyncDisposable {
  readonly self: PeerId;
  readonly roster: Roster;
  readonly #parts: Parts;
  readonly #links: Links;
  readonly #gossip: RosterGossip;
  readonly #inviting: Inviting;
  readonly #membership: MembershipDriver;
  readonly #instance = systemRandom.bytes(8).toHex();
  readonly #port: number | null;
  readonly #watchers = new Set<(change: PeerChange) => void>();
  readonly #linked = new Set<PeerId>();
  #discovery: Discovery | null = null;
  #saving: ReturnType<typeof setTimeout> | undefined;
  #expiry: ReturnType<typeof setInterval> | undefined;
  #snapshot: NodeSnapshot | null = null;
  #isClosed = false;

  /** Use `openMesh`. */
  constructor(parts: Parts) {
    const { identity, roster, folder, version, port } = parts;
    this.#parts = parts;
    this.self = identity.id;
    this.roster = roster;
    this.#links = new Links({
      identity,
      memberOf: (peer) => this.#memberOf(peer),
      joining: () => (this.#inviting.isOpen ? (socket) => this.#inviting.take(socket) : null),
      version,
      instance: this.#instance,
      events: {
        linked: (peer, { dialled, remote }) => {
          this.#linked.add(peer);
          this.#membership.step({ kind: "linked", peer, dialled, remote });
        },
        lost: (peer, reason) => {
          this.#linked.delete(peer);
          this.#membership.step({ kind: "lost", peer, reason: reason.message });
        },
        refused: (_, error) => {
          // That a connection broke is no news before it was one: the slower of two addresses is always given up.
          if (error.code !== "peer.unreachable") this.#notice(error);
        },
        roundTrip: (peer, ms) => this.#membership.step({ kind: "round-trip", peer, ms }),
        handlerFailed: (method, error) =>
          this.#notice(new MeshError("peer.failed", `The handler of ${method} failed`, { cause: error })),
      },
    });
    this.#inviting = new Inviting({
      identity,
      roster,
      onAdmitted: (grant) => this.#gossip.spread([grant], null),
      onOpenChanged: () => this.#discovery?.update(this.#announcement()),
      onRefused: (error) => this.#notice(error),
    });
    this.#port = port === null ? null : listenAt(this.#links, port);
    this.#membership = new MembershipDriver({
      self: this.self,
      instance: this.#instance,
      port: this.#port,
      version,
      links: this.#links,
      timing: parts.timing ?? {},
      perform: (effect) => this.#perform(effect),
    });
    this.#links.onWord(HEARTBEAT, (params, { peer }) => this.#takeHeartbeat(params, peer));
    this.#links.onWord(COPIED, () => this.#noticeCopied(this.self));
    this.#gossip = new RosterGossip({
      roster,
      folder,
      network: this.#links,
      connected: () => [...this.#linked],
      onGrown: () => {
        if (!this.#isClosed) this.#rosterChanged();
      },
    });
  }

  /**
   * Opens a one-time code by which a machine may join. Throws `mesh.not-allowed` when this machine is no admin or does not listen.
   */
  invite(options: InviteOptions): OpenCode {
    if (this.#memberOf(this.self)?.roles.includes("admin") !== true)
      fail("mesh.not-allowed", "Cannot invite: this machine is no admin of the mesh");
    if (this.#port === null) fail("mesh.not-allowed", "Cannot invite: this machine does not listen");
    return this.#inviting.open(options);
  }

  /** Begins to look for others. Called once, by `openMesh`. */
  async start(): Promise<void> {
    this.#rosterChanged();
    for (const { peer, addresses } of loadAddresses(this.#parts.folder))
      this.#membership.step({ kind: "found", peer, addresses, by: "remembered" });
    this.#expiry = setInterval(() => this.#rosterChanged(), EXPIRY_MS);
    const networkChanged = (hosts: readonly string[]) =>
      this.#membership.step({ kind: "network-changed", own: this.#addressesAt(hosts) });
    if (this.#parts.multicast === false) return networkChanged(ownHosts());
    this.#discovery = await Discovery.open({
      announce: this.#port === null ? null : { port: this.#port, announcement: this.#announcement() },
      onSighting: ({ announcement, addresses }) => {
        const { peer, instance } = announcement;
        if (announcement.meshTag === meshTag(this.roster.mesh))
          this.#membership.step({ kind: "sighted", peer, instance, addresses });
      },
      onInterfaces: networkChanged,
    });
  }

  /** Where it listens; null when it does not. */
  get port(): number | null {
    return this.#port;
  }

  /** What keeps machines from being found by multicast, for people; empty when nothing is known to. */
  get discoveryFaults(): readonly string[] {
    return this.#discovery?.faults ?? ["multicast is turned off"];
  }

  list(): readonly PeerView[] {
    return this.#membership.views().map((view) => this.#inWallTime(view));
  }

  get(peer: PeerId): PeerView | null {
    const view = this.#membership.view(peer);
    return view === null ? null : this.#inWallTime(view);
  }

  async call(peer: PeerId, method: string, params: unknown, options: CallOptions): Promise<unknown> {
    return await this.#links.call(peer, method, params, options);
  }

  tell(peer: PeerId, method: string, params: unknown, lane?: Lane): boolean {
    return this.#links.tell(peer, method, params, lane);
  }

  async pull(peer: PeerId, method: string, params: unknown, options: PullOptions): Promise<void> {
    await this.#links.pull(peer, method, params, options);
  }

  onCall(method: string, handler: CallHandler, options?: HandlerOptions): void {
    this.#links.onCall(method, handler, options);
  }

  onWord(method: string, handler: WordHandler, options?: HandlerOptions): void {
    this.#links.onWord(method, handler, options);
  }

  onStream(method: string, handler: StreamHandler, options?: HandlerOptions): void {
    this.#links.onStream(method, handler, options);
  }

  watch(listener: (change: PeerChange) => void): Disposable {
    this.#watchers.add(listener);
    return { [Symbol.dispose]: () => this.#watchers.delete(listener) };
  }

  publish(snapshot: NodeSnapshot): void {
    const before = this.#snapshot;
    this.#snapshot = snapshot;
    this.#discovery?.update(this.#announcement());
    if (before !== null && isUrgent(before, snapshot)) this.#membership.step({ kind: "urgent" });
  }

  /**
   * Connects to whoever of the mesh listens at an address, where multicast does not reach; the address is remembered. Throws
   * `peer.unreachable`, `peer.refused`, `peer.version`.
   */
  async reach(address: Address, signal?: AbortSignal): Promise<PeerId> {
    const peer = await this.#links.connect(null, address, signal);
    this.#membership.step({ kind: "found", peer, addresses: [address], by: "given" });
    return peer;
  }

  /** Takes a machine out of the mesh: in force on all that are connected at once. Throws `mesh.not-allowed`, `peer.not-found`. */
  revoke(peer: PeerId): void {
    if (this.roster.verdict(peer, Date.now()).kind === "unknown")
      fail("peer.not-found", `There is no machine ${shortPeer(peer)} in the mesh`);
    this.#gossip.merge([issueRevocation(this.roster, this.#parts.identity, peer, Date.now()).bytes], null);
  }

  /**
   * Leaves the mesh, tells those who are connected, and forgets it. Returns how many of them know it. The object is closed. Throws
   * `mesh.not-a-member`.
   */
  async leave(): Promise<number> {
    const { identity, folder } = this.#parts;
    const { bytes } = issueRevocation(this.roster, identity, this.self, Date.now());
    const heard = await this.#gossip.handOver([bytes], FAREWELL_MS);
    await this[Symbol.asyncDispose]();
    forgetRoster(folder);
    forgetAddresses(folder);
    return heard;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#saving);
    clearInterval(this.#expiry);
    this.#inviting[Symbol.dispose]();
    this.#membership.close();
    this.#saveAddresses();
    saveRoster(this.#parts.folder, this.roster);
    await Promise.all([this.#discovery?.[Symbol.asyncDispose](), this.#links.close()]);
    this.#parts.lock[Symbol.dispose]();
  }

  #perform(effect: TalkEffect): void {
    switch (effect.kind) {
      case "send-heartbeat":
        this.#links.tell(effect.peer, HEARTBEAT, { ...effect.heartbeat, snapshot: this.#snapshot });
        return;
      case "sync-roster":
        // When it fails, the next difference that a heartbeat shows begins another one.
        void this.#gossip.sync(effect.peer).catch(() => undefined);
        return;
      case "changed":
        if (effect.change === "up") this.#saveAddressesSoon();
        for (const watcher of this.#watchers) watcher({ kind: effect.change, peer: this.#inWallTime(effect.peer) });
        return;
      case "copied":
        this.#links.tell(effect.peer, COPIED, null);
        return this.#noticeCopied(effect.peer);
    }
  }

  #takeHeartbeat(params: unknown, peer: PeerId): void {
    const heartbeat = readHeartbeat(params);
    if (heartbeat === null) fail("peer.misbehaved", `Cannot read the heartbeat of ${this.#nameOf(peer)}`);
    const name = this.#nameOf(peer);
    // The roster knows its name, whatever it says of itself.
    const snapshot =
      heartbeat.snapshot === null
        ? null
        : { ...heartbeat.snapshot, capacity: { ...heartbeat.snapshot.capacity, name } };
    this.#membership.step({ kind: "heartbeat", peer, heartbeat: { ...heartbeat, snapshot } });
  }

  #memberOf(peer: PeerId): MemberView | null {
    const verdict = this.roster.verdict(peer, Date.now());
    return verdict.kind === "member" ? { name: verdict.name, roles: verdict.roles } : null;
  }

  #nameOf(peer: PeerId): string {
    return this.#membership.view(peer)?.name ?? shortPeer(peer);
  }

  #rosterChanged(): void {
    const members = membersOf(this.roster, Date.now());
    this.#membership.step({ kind: "roster", members, digest: this.roster.summary().root.slice("sha256:".length) });
    if (this.#memberOf(this.self) === null)
      this.#notice(new MeshError("mesh.revoked", "This machine is no member of the mesh any more"));
    this.#discovery?.update(this.#announcement());
  }

  #announcement(): Announcement {
    return ownAnnouncement({
      mesh: this.roster.mesh,
      peer: this.self,
      instance: this.#instance,
      member: this.#memberOf(this.self),
      version: this.#parts.version,
      inviteOpen: this.#inviting.isOpen,
      snapshot: this.#snapshot,
    });
  }

  #addressesAt(hosts: readonly string[]): readonly Address[] {
    const port = this.#port;
    return port === null ? [] : hosts.map((host) => ({ host, port }));
  }

  #inWallTime(view: PeerView): PeerView {
    const { lastSeenAtMs } = view;
    return {
      ...view,
      ...termOf(this.roster, view.id, Date.now()),
      snapshot: view.id === this.self ? this.#snapshot : view.snapshot,
      lastSeenAtMs: lastSeenAtMs === null ? null : Math.round(Date.now() - (performance.now() - lastSeenAtMs)),
    };
  }

  #saveAddressesSoon(): void {
    this.#saving ??= setTimeout(() => {
      this.#saving = undefined;
      this.#saveAddresses();
    }, SAVE_ADDRESSES_MS);
  }

  #saveAddresses(): void {
    try {
      saveAddresses(this.#parts.folder, this.#membership.remembered());
    } catch (error) {
      this.#notice(new MeshError("io.failed", "Cannot remember the addresses of other machines", { cause: error }));
    }
  }

  #noticeCopied(peer: PeerId): void {
    const who = peer === this.self ? "this machine" : this.#nameOf(peer);
    this.#notice(new MeshError("mesh.identity-copied", `Another machine has the identity of ${who}`));
  }

  #notice(error: MeshError): void {
    this.#parts.onNotice?.({ error });
  }
}
