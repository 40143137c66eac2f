// A mesh in memory: machines that call each other without a network. Values cross as they would on the wire (copied), and
// links can be cut. It never loses or reorders a word on a link that is up.

import { MeshError } from "../../src/base/errors.ts";
import { type PeerId, peerIdOf } from "../../src/base/ids.ts";
import type { NodeSnapshot, PeerView } from "../../src/mesh/peer-view.ts";
import type {
  CallHandler,
  CallOptions,
  HandlerOptions,
  PeerChange,
  Peers,
  StreamHandler,
  WordHandler,
} from "../../src/mesh/peers.ts";
import type { Role } from "../../src/mesh/roles.ts";

interface Handled<H> {
  readonly handler: H;
  readonly needs: readonly Role[] | null;
}

/** All machines of one fake mesh. */
export class MeshHub {
  readonly #nodes = new Map<PeerId, HubPeers>();
  readonly #cut = new Set<string>();

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
  readonly #calls = new Map<string, Handled<CallHandler>>();
  readonly #words = new Map<string, Handled<WordHandler>>();
  readonly #streams = new Map<string, Handled<StreamHandler>>();
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
    const { node, link } = this.#reach(peer);
    const handled = allowed(node.#calls, method, this);
    const signal = AbortSignal.any([link, AbortSignal.timeout(options.timeoutMs), ...asList(options.signal)]);
    const caller = { peer: this.self, name: this.name, roles: this.roles, signal };
    const gaveUp = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(this.#lost(peer, link, options.signal)), { once: true });
    });
    const answer = (async () => structuredClone(await handled.handler(structuredClone(params), caller)))();
    return await Promise.race([answer, gaveUp]).catch((error: unknown) => {
      throw error instanceof MeshError || options.signal?.aborted
        ? error
        : new MeshError("peer.failed", `${node.name} failed to answer ${method}`, { cause: error });
    });
  }

  tell(peer: PeerId, method: string, params: unknown): boolean {
    if (!this.#hub.isLinked(this.self, peer)) return false;
    const node = this.#hub.node(peer);
    if (node === null) return false;
    const handled = node.#words.get(method);
    if (!handled || !mayCall(handled.needs, this.roles)) return false;
    const copy = structuredClone(params);
    queueMicrotask(() => {
      if (this.#hub.isLinked(this.self, peer))
        handled.handler(copy, { peer: this.self, name: this.name, roles: this.roles });
    });
    return true;
  }

  async *stream(peer: PeerId, method: string, params: unknown, options: CallOptions): AsyncIterable<Uint8Array> {
    const { node, link } = this.#reach(peer);
    const handled = allowed(node.#streams, method, this);
    const signal = AbortSignal.any([link, ...asList(options.signal)]);
    const caller = { peer: this.self, name: this.name, roles: this.roles, signal };
    const pieces = handled.handler(structuredClone(params), caller)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.#orGiveUp(pieces.next(), { peer, link, signal, options });
        if (next.done === true) return;
        yield next.value.slice();
      }
    } catch (error) {
      if (error instanceof MeshError || options.signal?.aborted) throw error;
      throw new MeshError("peer.failed", `${node.name} failed to answer ${method}`, { cause: error });
    } finally {
      // A sender that hangs is not waited for.
      pieces.return?.().catch(() => {});
    }
  }

  /** What comes, unless the link goes, the reader gives up, or nothing comes in time. */
  async #orGiveUp<T>(
    next: Promise<T>,
    {
      peer,
      link,
      signal,
      options,
    }: {
      readonly peer: PeerId;
      readonly link: AbortSignal;
      readonly signal: AbortSignal;
      readonly options: CallOptions;
    },
  ): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const giveUp = (): void => reject(this.#lost(peer, link, options.signal));
    const timer = setTimeout(giveUp, options.timeoutMs);
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      if (signal.aborted) giveUp();
      return await Promise.race([next, promise]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", giveUp);
    }
  }

  onCall(method: string, handler: CallHandler, options?: HandlerOptions): void {
    this.#calls.set(method, { handler, needs: options?.needs ?? null });
  }

  onWord(method: string, handler: WordHandler, options?: HandlerOptions): void {
    this.#words.set(method, { handler, needs: options?.needs ?? null });
  }

  onStream(method: string, handler: StreamHandler, options?: HandlerOptions): void {
    this.#streams.set(method, { handler, needs: options?.needs ?? null });
  }

  watch(listener: (change: PeerChange) => void): Disposable {
    this.#watchers.add(listener);
    return { [Symbol.dispose]: () => this.#watchers.delete(listener) };
  }

  publish(snapshot: NodeSnapshot): void {
    this.snapshot = structuredClone(snapshot);
    for (const other of this.#hub.nodes) if (other !== this) other.announce("snapshot", this.self);
  }

  /** The hub says that something about a machine is new. */
  announce(kind: PeerChange["kind"], id: PeerId): void {
    const peer = this.get(id);
    if (peer === null || (kind !== "down" && peer.state !== "up")) return;
    for (const watcher of this.#watchers) watcher({ kind, peer });
  }

  /** The hub cut the link to a machine. */
  linkLost(id: PeerId): void {
    this.#links.get(id)?.abort();
    this.#links.delete(id);
    this.announce("down", id);
  }

  #reach(peer: PeerId): { node: HubPeers; link: AbortSignal } {
    const node = this.#hub.node(peer);
    if (node === null || !this.#hub.isLinked(this.self, peer))
      throw new MeshError("peer.unreachable", `Cannot reach ${node?.name ?? peer}: the link is cut`);
    const controller = this.#links.get(peer) ?? new AbortController();
    this.#links.set(peer, controller);
    return { node, link: controller.signal };
  }

  #lost(peer: PeerId, link: AbortSignal, given: AbortSignal | undefined): Error {
    if (given?.aborted) return given.reason instanceof Error ? given.reason : new Error("Aborted");
    const name = this.#hub.node(peer)?.name ?? peer;
    return link.aborted
      ? new MeshError("peer.unreachable", `Lost the connection to ${name}`)
      : new MeshError("peer.timeout", `${name} did not answer in time`);
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

function allowed<H>(handlers: ReadonlyMap<string, Handled<H>>, method: string, caller: HubPeers): Handled<H> {
  const handled = handlers.get(method);
  if (handled === undefined) throw new MeshError("peer.version", `No method ${method} there`);
  if (!mayCall(handled.needs, caller.roles))
    throw new MeshError("peer.refused", `${caller.name} may not call ${method}`);
  return handled;
}

function mayCall(needs: readonly Role[] | null, roles: readonly Role[]): boolean {
  return needs === null || needs.some((role) => roles.includes(role));
}

function asList(signal: AbortSignal | undefined): readonly AbortSignal[] {
  return signal === undefined ? [] : [signal];
}

function linkName(a: PeerId, b: PeerId): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
