// All connections with one other machine: performs what link-state.ts decides of them, says which of them a request takes, and lets
// callers wait for one that opens.

import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import { chooseBulk } from "../bulk-choice.ts";
import { type LinkEffect, LinkState } from "../link-state.ts";
import type { Address } from "../peer-view.ts";
import type { Lane } from "../peers.ts";
import type { Connection } from "./connection.ts";

/** What is known of a machine when it is linked. */
export interface LinkInfo {
  readonly instance: string;
  /** Version of its program. */
  readonly version: string;
  /** Where it was dialled; null when it dialled. */
  readonly dialled: Address | null;
  /** The other end of the connection as the socket shows it. */
  readonly remote: Address;
}

interface LinkOptions {
  readonly self: PeerId;
  readonly peer: PeerId;
  readonly linked: (info: LinkInfo) => void;
  readonly lost: (reason: MeshError) => void;
  /** A connection failed before it was open. */
  readonly refused: (error: MeshError) => void;
  /** Nothing of this link is left. */
  readonly forgotten: () => void;
}

export class Link {
  readonly peer: PeerId;
  /** Where this machine dialled it last. */
  dialledAddress: Address | null = null;
  /** When another bulk connection was last asked for. */
  bulkAskedAtMs = Number.NEGATIVE_INFINITY;
  readonly #options: LinkOptions;
  readonly #state: LinkState<Connection>;
  readonly #waiters = new Set<() => void>();
  readonly #failures = new WeakMap<Connection, MeshError | null>();

  constructor(options: LinkOptions) {
    this.peer = options.peer;
    this.#options = options;
    this.#state = new LinkState(options.self, options.peer);
  }

  /** The connection that stands for the link; it may be closing. */
  get control(): Connection | null {
    return this.#state.control;
  }

  get openControl(): Connection | null {
    return this.control?.isOpen === true ? this.control : null;
  }

  /** The bulk connection that the next request takes. */
  get openBulk(): Connection | null {
    return chooseBulk(this.#state.bulk, this.#options.self < this.peer ? "first" : "last");
  }

  /** Bulk connections, those included that are on their way from here. */
  get bulkCount(): number {
    return this.#state.bulkCount;
  }

  get isUp(): boolean {
    return this.#state.isUp;
  }

  get count(): number {
    return this.#state.all.size;
  }

  get heardAtMs(): number | null {
    if (!this.isUp) return null;
    return Math.max(...[...this.#state.all].map((connection) => connection.heardAtMs));
  }

  /** Whether another bulk connection is worth asking for: the ones there are busy, and none was asked for just now. */
  wantsMoreBulk(): boolean {
    const isAsked = performance.now() - this.bulkAskedAtMs < LIMITS.handshakeMs && this.openBulk === null;
    if (isAsked || this.bulkCount >= LIMITS.bulkConnections) return false;
    for (const connection of this.#state.bulk) if (connection.busy === 0) return false;
    return true;
  }

  /** Whether a connection of a lane is on its way, which includes one that is being dialled from here. */
  hasOpening(lane: Lane): boolean {
    return this.#state.hasOpening(lane);
  }

  /** Says that a dial is under way, until the function that it returns is called. */
  beginDial(lane: Lane): () => void {
    this.#state.beginDial(lane);
    return () => this.#perform(this.#state.endDial(lane));
  }

  /** The next connection of a lane that is open; null when none comes. */
  async nextOpen(lane: Lane): Promise<Connection | null> {
    const untilMs = performance.now() + LIMITS.handshakeMs;
    for (;;) {
      const open = lane === "control" ? this.openControl : this.openBulk;
      if (open !== null) return open;
      const isHopeless = lane === "control" ? !this.hasOpening(lane) : !this.isUp;
      const leftMs = untilMs - performance.now();
      if (isHopeless || leftMs <= 0) return null;
      await this.#nextChange(leftMs);
    }
  }

  /** Waits until a connection is open (null) or has failed. */
  async settled(connection: Connection): Promise<MeshError | null> {
    while (!connection.isClosed && connection.hello === null) await this.#nextChange(LIMITS.handshakeMs);
    if (connection.hello !== null) return null;
    const failure = this.#failures.get(connection) ?? null;
    if (failure?.code === "peer.version") return failure;
    return new MeshError("peer.refused", `${connection.peerName} took no connection from this machine`, {
      hint: "It may not know this machine as a member of the mesh: `mesh nodes` there shows whom it knows.",
      ...(failure === null ? {} : { cause: failure }),
    });
  }

  /** Resolves when no connection is left. */
  get ended(): Promise<void> {
    return (async () => {
      while (this.count > 0) await this.#nextChange(LIMITS.closeMs);
    })();
  }

  add(connection: Connection): void {
    this.#state.add(connection);
  }

  ready(connection: Connection): void {
    this.#perform(this.#state.ready(connection));
  }

  /** The other end begins nothing new on a connection. */
  finishing(connection: Connection): void {
    this.#perform(this.#state.finishing(connection));
  }

  closed(connection: Connection, error: MeshError | null): void {
    this.#failures.set(connection, error);
    if (connection.hello === null && error !== null) this.#options.refused(error);
    this.#perform(this.#state.closed(connection, error));
  }

  tick(): void {
    for (const connection of this.#state.all) connection.tick();
  }

  finish(): void {
    for (const connection of this.#state.all) connection.finish();
  }

  /** Closes all connections at once. The machine is lost, though a dial to it may be under way: that one links it anew. */
  abort(reason: MeshError): void {
    this.#perform(this.#state.drop(reason));
  }

  #perform(effects: readonly LinkEffect<Connection>[]): void {
    for (const effect of effects) this.#performOne(effect);
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }

  #performOne(effect: LinkEffect<Connection>): void {
    switch (effect.kind) {
      case "finish":
        return effect.connection.finish();
      case "abort":
        return effect.connection.abort(effect.reason);
      case "linked":
        return this.#linked(effect.connection);
      case "lost":
        return this.#options.lost(effect.reason);
      case "forgotten":
        return this.#options.forgotten();
    }
  }

  #linked({ hello, dialledHere, remote }: Connection): void {
    if (hello === null) return;
    const { instance, version } = hello;
    this.#options.linked({ instance, version, dialled: dialledHere ? this.dialledAddress : null, remote });
  }

  async #nextChange(mostMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, mostMs);
    this.#waiters.add(resolve);
    await promise;
    this.#waiters.delete(resolve);
    clearTimeout(timer);
  }
}
