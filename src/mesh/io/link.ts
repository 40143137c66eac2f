// All connections with one other machine: which of them is the one for control, which are for bulk, and when the machine counts as
// linked or lost. Where both dialled at once, both keep the connection that the machine with the smaller id dialled.

import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import { chooseBulk } from "../bulk-choice.ts";
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
  readonly #all = new Set<Connection>();
  readonly #bulk = new Set<Connection>();
  readonly #waiters = new Set<() => void>();
  readonly #failures = new WeakMap<Connection, MeshError | null>();
  #control: Connection | null = null;
  #isUp = false;
  readonly #dials: Record<Lane, number> = { control: 0, bulk: 0 };
  /** Why the last control connection closed, while another one is awaited. */
  #controlGone: MeshError | null = null;

  constructor(options: LinkOptions) {
    this.peer = options.peer;
    this.#options = options;
  }

  /** The connection that stands for the link; it may be closing. */
  get control(): Connection | null {
    return this.#control;
  }

  get openControl(): Connection | null {
    return this.#control?.isOpen === true ? this.#control : null;
  }

  /** The bulk connection that the next request takes. */
  get openBulk(): Connection | null {
    return chooseBulk(this.#bulk, this.#options.self < this.peer ? "first" : "last");
  }

  /** Bulk connections, those included that are on their way from here. */
  get bulkCount(): number {
    let count = this.#dials.bulk;
    for (const connection of this.#all) if (connection.lane === "bulk") count++;
    return count;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  get count(): number {
    return this.#all.size;
  }

  get heardAtMs(): number | null {
    if (!this.#isUp) return null;
    return Math.max(...[...this.#all].map((connection) => connection.heardAtMs));
  }

  /** Whether another bulk connection is worth asking for: the ones there are busy, and none was asked for just now. */
  wantsMoreBulk(): boolean {
    const isAsked = performance.now() - this.bulkAskedAtMs < LIMITS.handshakeMs && this.openBulk === null;
    if (isAsked || this.bulkCount >= LIMITS.bulkConnections) return false;
    for (const connection of this.#bulk) if (connection.busy === 0) return false;
    return true;
  }

  /** Whether a connection of a lane is on its way, which includes one that is being dialled from here. */
  hasOpening(lane: Lane): boolean {
    if (this.#dials[lane] > 0) return true;
    for (const connection of this.#all)
      if (connection.lane === lane && connection.hello === null && !connection.isClosed) return true;
    return false;
  }

  /** Says that a dial is under way, until the function that it returns is called. */
  beginDial(lane: Lane): () => void {
    this.#dials[lane]++;
    return () => {
      this.#dials[lane]--;
      this.#changed();
    };
  }

  /** The next connection of a lane that is open; null when none comes. */
  async nextOpen(lane: Lane): Promise<Connection | null> {
    const untilMs = performance.now() + LIMITS.handshakeMs;
    for (;;) {
      const open = lane === "control" ? this.openControl : this.openBulk;
      if (open !== null) return open;
      const isHopeless = lane === "control" ? !this.hasOpening(lane) : !this.#isUp;
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
      while (this.#all.size > 0) await this.#nextChange(LIMITS.closeMs);
    })();
  }

  add(connection: Connection): void {
    this.#all.add(connection);
  }

  ready(connection: Connection): void {
    if (connection.lane === "bulk") {
      const isStray = this.#control === null || this.#control.hello?.instance !== connection.hello?.instance;
      if (isStray || this.#bulk.size >= LIMITS.bulkConnections) connection.finish();
      else this.#bulk.add(connection);
    } else this.#readyControl(connection);
    this.#changed();
  }

  /** The other end begins nothing new on a connection. */
  finishing(connection: Connection): void {
    this.#bulk.delete(connection);
    if (connection === this.#control) for (const other of this.#bulk) other.finish();
    this.#changed();
  }

  closed(connection: Connection, error: MeshError | null): void {
    this.#failures.set(connection, error);
    if (connection.hello === null && error !== null) this.#options.refused(error);
    this.#all.delete(connection);
    this.#bulk.delete(connection);
    if (connection === this.#control) this.#control = null;
    if (this.#control === null && this.#isUp && !this.hasOpening("control")) this.#lost(error);
    else if (this.#control === null && this.#isUp) this.#controlGone = error;
    this.#changed();
  }

  tick(): void {
    for (const connection of this.#all) connection.tick();
  }

  finish(): void {
    for (const connection of this.#all) connection.finish();
  }

  /** Closes all connections at once. The machine is lost, though a dial to it may be under way: that one links it anew. */
  abort(reason: MeshError): void {
    for (const connection of this.#all) connection.abort(reason);
    if (!this.#isUp) return;
    this.#control = null;
    this.#lost(reason);
    this.#changed();
  }

  #readyControl(connection: Connection): void {
    const old = this.#control;
    if (old === null || old.isClosed) return this.#stand(connection);
    if (old.hello?.instance !== connection.hello?.instance) {
      this.#control = null;
      const { peerName, hello } = connection;
      this.#lost(new MeshError("peer.unreachable", `${peerName} was started anew`), hello?.instance);
      return this.#stand(connection);
    }
    // Whoever dials again has lost the connection that stands; its end has just not been heard here.
    if (old.dialledHere === connection.dialledHere) {
      this.#stand(connection);
      return old.abort(new MeshError("peer.unreachable", `${connection.peerName} connected anew`));
    }
    const isKept = connection.dialledHere === this.#options.self < this.peer;
    if (isKept) {
      this.#stand(connection);
      old.finish();
    } else connection.finish();
  }

  #stand(connection: Connection): void {
    this.#control = connection;
    const { hello } = connection;
    if (this.#isUp || hello === null) return;
    this.#isUp = true;
    this.#options.linked({
      instance: hello.instance,
      version: hello.version,
      dialled: connection.dialledHere ? this.dialledAddress : null,
      remote: connection.remote,
    });
  }

  /** The machine cannot be called any more: what is left of its connections goes, but for those of a new instance. */
  #lost(error: MeshError | null, newInstance?: string): void {
    this.#isUp = false;
    const reason = error ?? new MeshError("peer.unreachable", "The other machine closed the connection");
    for (const connection of this.#all)
      if (connection.hello !== null && connection.hello.instance !== newInstance) connection.abort(reason);
    this.#options.lost(reason);
  }

  #changed(): void {
    if (this.#control === null && this.#isUp && !this.hasOpening("control")) this.#lost(this.#controlGone);
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
    if (this.#all.size === 0 && this.#dials.control + this.#dials.bulk === 0 && !this.#isUp) this.#options.forgotten();
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
