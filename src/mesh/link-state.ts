// Which of all connections with one other machine is the one for control, which are for bulk, and when the machine counts as linked
// or lost. Where both dialled at once, both keep the connection that the machine with the smaller id dialled. It decides;
// io/link.ts performs. It knows no time, and never which connection a request takes.

import { MeshError } from "../base/errors.ts";
import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import type { Lane } from "./peers.ts";

/** What counts of a connection. */
export interface LinkConnection {
  readonly peerName: string;
  readonly lane: Lane;
  readonly dialledHere: boolean;
  /** What the other end said of itself; null before it did. */
  readonly hello: { readonly instance: string } | null;
  readonly isClosed: boolean;
  /** When something last came over it, by any clock. */
  readonly heardAtMs: number;
}

export type LinkEffect<C> =
  /** Begins nothing new on it; it closes when what is under way has ended. */
  | { readonly kind: "finish"; readonly connection: C }
  | { readonly kind: "abort"; readonly connection: C; readonly reason: MeshError }
  /** The machine can be called, over this connection. */
  | { readonly kind: "linked"; readonly connection: C }
  /** It cannot any more. */
  | { readonly kind: "lost"; readonly reason: MeshError }
  /** Nothing of the link is left. */
  | { readonly kind: "forgotten" };

export class LinkState<C extends LinkConnection> {
  readonly #isFirst: boolean;
  readonly #all = new Set<C>();
  readonly #bulk = new Set<C>();
  readonly #dials: Record<Lane, number> = { control: 0, bulk: 0 };
  #control: C | null = null;
  #isUp = false;
  /** Why the last control connection closed, while another one is awaited. */
  #controlGone: MeshError | null = null;
  #effects: LinkEffect<C>[] = [];

  constructor(self: PeerId, peer: PeerId) {
    this.#isFirst = self < peer;
  }

  /** The connection that stands for the link; it may be closing. */
  get control(): C | null {
    return this.#control;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  get all(): ReadonlySet<C> {
    return this.#all;
  }

  /** Those that may be asked, in the order in which they opened. */
  get bulk(): ReadonlySet<C> {
    return this.#bulk;
  }

  /** Bulk connections, those included that are on their way from here. */
  get bulkCount(): number {
    let count = this.#dials.bulk;
    for (const connection of this.#all) if (connection.lane === "bulk") count++;
    return count;
  }

  /** Whether a connection of a lane is on its way, which includes one that is being dialled from here. */
  hasOpening(lane: Lane): boolean {
    if (this.#dials[lane] > 0) return true;
    for (const connection of this.#all)
      if (connection.lane === lane && connection.hello === null && !connection.isClosed) return true;
    return false;
  }

  beginDial(lane: Lane): void {
    this.#dials[lane]++;
  }

  /** A dial has ended, whatever came of it. */
  endDial(lane: Lane): readonly LinkEffect<C>[] {
    this.#dials[lane]--;
    return this.#settle();
  }

  add(connection: C): void {
    this.#all.add(connection);
  }

  /** The other end has said who it is. */
  ready(connection: C): readonly LinkEffect<C>[] {
    if (connection.lane === "bulk") {
      const isStray = this.#control === null || this.#control.hello?.instance !== connection.hello?.instance;
      if (isStray || this.#bulk.size >= LIMITS.bulkConnections) this.#effects.push({ kind: "finish", connection });
      else this.#bulk.add(connection);
    } else this.#readyControl(connection);
    return this.#settle();
  }

  /** The other end begins nothing new on a connection. */
  finishing(connection: C): readonly LinkEffect<C>[] {
    this.#bulk.delete(connection);
    if (connection === this.#control)
      for (const other of this.#bulk) this.#effects.push({ kind: "finish", connection: other });
    return this.#settle();
  }

  closed(connection: C, error: MeshError | null): readonly LinkEffect<C>[] {
    this.#all.delete(connection);
    this.#bulk.delete(connection);
    if (connection === this.#control) {
      this.#control = null;
      this.#controlGone = error;
    }
    return this.#settle();
  }

  /** All connections close at once. The machine is lost, though a dial to it may be under way: that one links it anew. */
  drop(reason: MeshError): readonly LinkEffect<C>[] {
    for (const connection of this.#all) this.#effects.push({ kind: "abort", connection, reason });
    if (this.#isUp) {
      this.#control = null;
      this.#isUp = false;
      this.#effects.push({ kind: "lost", reason });
    }
    return this.#settle();
  }

  #readyControl(connection: C): void {
    const old = this.#control;
    if (old === null || old.isClosed) return this.#stand(connection);
    const { peerName, hello } = connection;
    if (old.hello?.instance !== hello?.instance) {
      this.#lose(new MeshError("peer.unreachable", `${peerName} was started anew`), hello?.instance);
      return this.#stand(connection);
    }
    // Whoever dials again has lost the connection that stands, and with it all others; their ends have just not been heard here.
    const isSilent = connection.heardAtMs - old.heardAtMs >= LIMITS.suspectMs;
    if (old.dialledHere === connection.dialledHere || isSilent) {
      this.#stand(connection);
      const reason = new MeshError("peer.unreachable", `${peerName} connected anew`);
      for (const lost of this.#all)
        if (lost !== connection && lost.hello !== null) this.#effects.push({ kind: "abort", connection: lost, reason });
    } else if (connection.dialledHere === this.#isFirst) {
      this.#stand(connection);
      this.#effects.push({ kind: "finish", connection: old });
    } else this.#effects.push({ kind: "finish", connection });
  }

  #stand(connection: C): void {
    this.#control = connection;
    if (this.#isUp || connection.hello === null) return;
    this.#isUp = true;
    this.#effects.push({ kind: "linked", connection });
  }

  /** The machine cannot be called any more: what is left of its connections goes, but for those of a new instance. */
  #lose(reason: MeshError, newInstance?: string): void {
    this.#isUp = false;
    for (const connection of this.#all)
      if (connection.hello !== null && connection.hello.instance !== newInstance)
        this.#effects.push({ kind: "abort", connection, reason });
    this.#effects.push({ kind: "lost", reason });
  }

  /** What follows from all that has changed, in order. */
  #settle(): readonly LinkEffect<C>[] {
    if (this.#control === null && this.#isUp && !this.hasOpening("control"))
      this.#lose(this.#controlGone ?? new MeshError("peer.unreachable", "The other machine closed the connection"));
    if (this.#all.size === 0 && this.#dials.control + this.#dials.bulk === 0 && !this.#isUp)
      this.#effects.push({ kind: "forgotten" });
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
