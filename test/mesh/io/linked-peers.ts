// The call half of a mesh over real connections, with a list of members that does not change: enough of a `Peers` to move content
// between processes without the rest of a node.

import { randomBytes } from "node:crypto";
import type { PeerId } from "../../../src/base/ids.ts";

import type { Address, PeerView } from "../../../src/mesh/peer-view.ts";
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
} from "../../../src/mesh/peers.ts";
import { Links, type LinksOptions } from "../../../src/mesh/io/links.ts";

export interface LinkedMember {
  readonly id: PeerId;
  readonly name: string;
  readonly address: Address;
}

export class LinkedPeers implements Peers, AsyncDisposable {
  readonly self: PeerId;
  readonly links: Links;
  readonly #members: readonly LinkedMember[];
  readonly #watchers = new Set<(change: PeerChange) => void>();

  constructor(key: LinksOptions["identity"], members: readonly LinkedMember[]) {
    this.self = key.id;
    this.#members = members;
    const tell = (kind: "up" | "down", id: PeerId): void => {
      const peer = this.get(id);
      if (peer) for (const watcher of this.#watchers) watcher({ kind, peer });
    };
    this.links = new Links({
      identity: key,
      memberOf: (id) => {
        const member = members.find((each) => each.id === id);
        return member ? { name: member.name, roles: ["worker", "submitter"] } : null;
      },
      joining: () => null,
      version: "0",
      instance: randomBytes(16).toString("hex"),
      events: {
        linked: (peer) => tell("up", peer),
        lost: (peer) => tell("down", peer),
        refused: () => {},
        roundTrip: () => {},
        handlerFailed: (method, error) => console.error(method, error),
      },
    });
  }

  /** Connects to all members that come after this one by name, so that each pair is connected once. */
  async connect(): Promise<void> {
    const own = this.#members.find(({ id }) => id === this.self)?.name ?? "";
    for (const { id, name, address } of this.#members) if (name > own) await this.links.connect(id, address);
  }

  list(): readonly PeerView[] {
    return this.#members.map((member) => this.#view(member));
  }

  get(peer: PeerId): PeerView | null {
    const member = this.#members.find(({ id }) => id === peer);
    return member ? this.#view(member) : null;
  }

  call(peer: PeerId, method: string, params: unknown, options: CallOptions): Promise<unknown> {
    return this.links.call(peer, method, params, options);
  }

  tell(peer: PeerId, method: string, params: unknown, lane?: Lane): boolean {
    return this.links.tell(peer, method, params, lane);
  }

  pull(peer: PeerId, method: string, params: unknown, options: PullOptions): Promise<void> {
    return this.links.pull(peer, method, params, options);
  }

  onCall(method: string, handler: CallHandler, options?: HandlerOptions): void {
    this.links.onCall(method, handler, options);
  }

  onWord(method: string, handler: WordHandler, options?: HandlerOptions): void {
    this.links.onWord(method, handler, options);
  }

  onStream(method: string, handler: StreamHandler, options?: HandlerOptions): void {
    this.links.onStream(method, handler, options);
  }

  watch(listener: (change: PeerChange) => void): Disposable {
    this.#watchers.add(listener);
    return { [Symbol.dispose]: () => this.#watchers.delete(listener) };
  }

  publish(): void {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.links.close();
  }

  #view({ id, name, address }: LinkedMember): PeerView {
    const isUp = id === this.self || this.links.isLinked(id);
    return {
      id,
      name,
      roles: ["worker", "submitter"],
      state: id === this.self ? "self" : isUp ? "up" : "down",
      reason: isUp ? null : "not connected",
      addresses: [address],
      foundBy: "given",
      latencyMs: null,
      version: null,
      lastSeenAtMs: null,
      snapshot: null,
    };
  }
}
