// A mesh in memory: machines that call each other without a network. Values cross as they would on the wire (copied), and
// links can be cut. It never loses or reorders a word on a link that is up.

import { MeshError } from "../../src/base/errors.ts";
import { type PeerId, peerIdOf } from "../../src/base/ids.ts";
import { callHere, type Ends, pullHere, tellHere } from "../../src/mesh/io/own-calls.ts";
import { Methods } from "../../src/mesh/methods.ts";
import type { NodeSnapshot, PeerView } from "../../src/mesh/peer-view.ts";
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
} from "../../src/mesh/peers.ts";
import type { Role } from "../../src/mesh/roles.ts";

/** All machines of one fake mesh. */
export class MeshHub {
  readonly #nodes = new Map<PeerId, HubPeers>();
  readonly #cut = new Set<string>();

  /** Takes a machine off the mesh and puts it back as it was when its process began: what the old one still says is lost. */
  restart(id: PeerId): HubPeers {
    const before = this.node(id);
    if (before === null) throw new Error(`No machine ${id}`);
    const node = new HubPeers(this, before.identity);
    this.#nodes.set(id, node);
    this.kill(id);
    for (const other of this.#nodes.keys()) if (other !== id) this.heal(id, other);
    return node;
  }

  /** Adds a machine; it is up for all others at once. */
  add(name: string, roles: readonly Role[] = ["worker", "submitter"]): HubPeers {
    const id = peerIdOf(new Bun.CryptoHasher("sha256").update(name).digest());
    const node = new HubPeers(this, { id, name, roles });
    this.#nodes.set(id, node);
    for (const other of this.#nodes.values()) {
      if (other === node) continue;
      other.announce("up", id);
      node.announce("up", other.self);
    }
    return node;
  }

  /** Cuts the link between two machines: what is under way on it fails. */
  cut(a: PeerId, b: PeerId): void {
    this.#cut.add(linkName(a, b));
    for (const [node, peer] of [
      [a, b],
      [b, a],
    ] as const)
      this.node(node)?.linkLost(peer);
  }

  heal(a: PeerId, b: PeerId): void {
    this.#cut.delete(linkName(a, b));
    this.node(a)?.announce("up", b);
    this.node(b)?.announce("up", a);
  }

  /** Takes a machine off the mesh, as if its power were cut. */
  kill(id: PeerId): void {
    for (const other of this.#nodes.keys()) if (other !== id) this.cut(id, other);
  }

  isLinked(a: PeerId, b: PeerId): boolean {
    return a === b || !this.#cut.has(linkName(a, b));
  }

  node(id: PeerId): HubPeers | null {
    return this.#nodes.get(id) ?? null;
  }

  get nodes(): readonly HubPeers[] {
    return [...this.#nodes.values()];
  }
}

export class HubPeers implements Peers {
  readonly self: PeerId;
  readonly name: string;
  readonly roles: readonly Role[];
  readonly #hub: MeshHub;
  readonly #methods = new Methods();
  readonly #watchers = new Set<(change: PeerChange) => void>();
  readonly #links = new Map<PeerId, AbortController>();
  snapshot: NodeSnapshot | null = null;

  constructor(hub: MeshHub, { id, name, roles }: { id: PeerId; name: string; roles: readonly Role[] }) {
    this.#hub = hub;
    this.self = id;
    this.name = name;
    this.roles = roles;
  }

  list(): readonly PeerView[] {
    return this.#hub.nodes.map((node) => this.#view(node)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  get(peer: PeerId): PeerView | null {
    const node = this.#hub.node(peer);
    return node === null ? null : this.#view(node);
  }

  async call(peer: PeerId, method: string, params: unknown, options: CallOptions): Promise<unknown> {
    const { ends, link } = this.#reach(peer);
    const signal = AbortSignal.any([link, ...asList(options.signal)]);
    return await callHere(ends, { method, params, timeoutMs: options.timeoutMs, signal });
  }

  tell(peer: PeerId, method: string, params: unknown, _lane?: Lane): boolean {
    if (!this.#hub.isLinked(this.self, peer) || this.#hub.node(peer) === null || this.#isReplaced) return false;
    const { ends, link } = this.#reach(peer);
    // A word under way is lost with the link, and a bad one closes it.
    const heard: Ends = {
      ...ends,
      get member() {
        return link.aborted ? null : ends.member;
      },
    };
    tellHere(heard, { method, params, failed: () => this.#hub.cut(this.self, peer) });
    return true;
  }

  async pull(peer: PeerId, method: string, params: unknown, options: PullOptions): Promise<void> {
    const { ends, link } = this.#reach(peer);
    const signal = AbortSignal.any([link, ...asList(options.signal)]);
    await pullHere(ends, { method, params, timeoutMs: options.timeoutMs, signal }, options.take);
  }

  onCall(method: string, handler: CallHandler, options?: HandlerOptions): void {
    this.#methods.on("call", method, { handler, options });
  }

  onWord(method: string, handler: WordHandler, options?: HandlerOptions): void {
    this.#methods.on("word", method, { handler, options });
  }

  onStream(method: string, handler: StreamHandler, options?: HandlerOptions): void {
    this.#methods.on("stream", method, { handler, options });
  }

  watch(listener: (change: PeerChange) => void): Disposable {
    this.#watchers.add(listener);
    return { [Symbol.dispose]: () => this.#watchers.delete(listener) };
  }

  publish(snapshot: NodeSnapshot): void {
    this.snapshot = structuredClone(snapshot);
    for (const other of this.#hub.nodes) if (other !== this) other.announce("snapshot", this.self);
  }

  get identity(): { readonly id: PeerId; readonly name: string; readonly roles: readonly Role[] } {
    return { id: this.self, name: this.name, roles: this.roles };
  }

  get #isReplaced(): boolean {
    return this.#hub.node(this.self) !== this;
  }

  /** The hub says that something about a machine is new. */
  announce(kind: PeerChange["kind"], id: PeerId): void {
    const peer = this.get(id);
    if (peer === null || (kind !== "down" && peer.state !== "up")) return;
    for (const watcher of this.#watchers) watcher({ kind, peer });
  }

  /** The hub cut the link to a machine. */
  linkLost(id: PeerId): void {
    this.#links
      .get(id)
      ?.abort(new MeshError("peer.unreachable", `Lost the connection to ${this.#hub.node(id)?.name ?? id}`));
    this.#links.delete(id);
    this.announce("down", id);
  }

  #reach(peer: PeerId): { readonly ends: Ends; readonly link: AbortSignal } {
    const node = this.#hub.node(peer);
    if (node === null || this.#isReplaced || !this.#hub.isLinked(this.self, peer))
      throw new MeshError("peer.unreachable", `Cannot reach ${node?.name ?? peer}: the link is cut`);
    const controller = this.#links.get(peer) ?? new AbortController();
    this.#links.set(peer, controller);
    const member = { name: this.name, roles: this.roles };
    return { ends: { peer: this.self, member, methods: node.#methods, answerer: node.name }, link: controller.signal };
  }

  #view(node: HubPeers): PeerView {
    const isUp = this.#hub.isLinked(this.self, node.self);
    return {
      id: node.self,
      name: node.name,
      roles: node.roles,
      state: node === this ? "self" : isUp ? "up" : "down",
      reason: isUp ? null : "the link is cut",
      addresses: [],
      foundBy: node === this ? null : "given",
      latencyMs: isUp ? 0 : null,
      version: null,
      lastSeenAtMs: null,
      snapshot: node.snapshot,
    };
  }
}

function asList(signal: AbortSignal | undefined): readonly AbortSignal[] {
  return signal === undefined ? [] : [signal];
}

function linkName(a: PeerId, b: PeerId): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
