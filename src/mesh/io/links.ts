// The connections of this machine with all others: for each at most one for control and a few for bulk, whoever dialled. It decides
// which connection a call takes; it never decides whom to dial, and never dials again by itself.

import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import { peerIdOfCertificate } from "../certificate.ts";
import { PROTOCOL, type ProtocolRange } from "../hello.ts";
import type { Identity } from "../identity.ts";
import { type MemberOf, Methods } from "../methods.ts";
import type { Address } from "../peer-view.ts";
import type {
  CallHandler,
  CallOptions,
  HandlerOptions,
  Lane,
  Peers,
  StreamHandler,
  PullOptions,
  WordHandler,
} from "../peers.ts";
import { Connection, type ConnectionEvents } from "./connection.ts";
import { Link, type LinkInfo } from "./link.ts";
import { callHere, type Ends, pullHere, tellHere } from "./own-calls.ts";
import type { SecureSocket } from "./secure-socket.ts";
import { addressText, dialTls, listenTls, type Purpose, type TlsListener } from "./tls.ts";

export interface LinksOptions {
  readonly identity: Pick<Identity, "id" | "certificatePem" | "privateKeyPem">;
  /** Who is a member, and with what roles: asked at each connection and at each call. */
  readonly memberOf: MemberOf;
  /** Takes a connection of a machine that wants to join; null while no invite is open. */
  readonly joining: () => ((socket: SecureSocket) => void) | null;
  /** Version of this program. */
  readonly version: string;
  /** 16 to 64 hex digits, drawn at each start. */
  readonly instance: string;
  readonly protocol?: ProtocolRange;
  readonly events: LinkEvents;
}

export interface LinkEvents {
  /** A machine can be called. */
  linked(peer: PeerId, info: LinkInfo): void;
  /** It cannot any more. */
  lost(peer: PeerId, reason: MeshError): void;
  /** A connection with a member closed before the machine could be called: of another version, for example. */
  refused(peer: PeerId, error: MeshError): void;
  roundTrip(peer: PeerId, ms: number): void;
  /** A handler of this machine threw something that is no `MeshError`. */
  handlerFailed(method: string, error: unknown): void;
}

/** Asks the machine that dialled the control connection for another one for bulk. */
const MORE_BULK = "link.bulk";
const TICK_MS = 500;

export class Links implements Pick<Peers, "self" | "call" | "tell" | "pull" | "onCall" | "onWord" | "onStream"> {
  readonly self: PeerId;
  readonly #options: LinksOptions;
  readonly #methods = new Methods();
  readonly #links = new Map<PeerId, Link>();
  /** By machine and address: several addresses of one machine may be tried side by side. */
  readonly #dialling = new Map<string, Promise<PeerId>>();
  /** Machines that were reached and have not said hello yet. */
  readonly #greeting = new Map<PeerId, Promise<MeshError | null>>();
  readonly #ticking: ReturnType<typeof setInterval>;
  #listener: TlsListener | null = null;
  #isClosing = false;

  constructor(options: LinksOptions) {
    this.self = options.identity.id;
    this.#options = options;
    this.#ticking = setInterval(() => {
      for (const link of this.#links.values()) link.tick();
    }, TICK_MS);
    this.onWord(MORE_BULK, (_, { peer }) => this.#dialMoreBulk(peer));
  }

  /** Listens for other machines; returns the port. Throws `io.failed`. */
  listen({ hostname, port }: { readonly hostname: string; readonly port: number }): number {
    this.#listener?.stop();
    this.#listener = listenTls({
      identity: this.#options.identity,
      hostname,
      port,
      accept: (socket, purpose) => this.#accept(socket, purpose),
    });
    return this.#listener.port;
  }

  /**
   * Connects to a machine at an address and returns who it is; at once when it is linked already. `peer`: who it must be; null: any
   * member. Throws `peer.unreachable`, `peer.refused` (another machine answers, or it does not want this one), `peer.version`.
   */
  async connect(peer: PeerId | null, address: Address, signal?: AbortSignal): Promise<PeerId> {
    if (this.#isClosing) throw new MeshError("peer.unreachable", "This machine is leaving the network");
    if (peer === null) return await this.#dial(null, address, signal);
    if (this.isLinked(peer)) return peer;
    const key = `${peer} ${addressText(address)}`;
    const underWay = this.#dialling.get(key);
    if (underWay !== undefined) return await underWay;
    const dial = this.#dial(peer, address, signal).finally(() => this.#dialling.delete(key));
    this.#dialling.set(key, dial);
    return await dial;
  }

  isLinked(peer: PeerId): boolean {
    return this.#links.get(peer)?.control?.isOpen === true;
  }

  /** When a byte last came from a machine, by the clock of `performance.now`; null when it is not linked. */
  heardAtMs(peer: PeerId): number | null {
    return this.#links.get(peer)?.heardAtMs ?? null;
  }

  /** How many connections there are with a machine. */
  connectionsWith(peer: PeerId): Readonly<Record<Lane, number>> {
    const link = this.#links.get(peer);
    return { control: (link?.count ?? 0) - (link?.bulkCount ?? 0), bulk: link?.bulkCount ?? 0 };
  }

  /** Closes all connections with a machine at once: what is under way fails. */
  drop(peer: PeerId, reason: MeshError): void {
    this.#links.get(peer)?.abort(reason);
  }

  /** Begins nothing new, finishes what is under way, and closes: at the latest after `LIMITS.closeMs`. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#listener?.stop();
    const links = [...this.#links.values()];
    for (const link of links) link.finish();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, LIMITS.closeMs);
    });
    await Promise.race([Promise.all(links.map(async (link) => await link.ended)), late]);
    clearTimeout(timer);
    clearInterval(this.#ticking);
    for (const link of links) link.abort(new MeshError("peer.unreachable", "This machine is leaving the network"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async call(peer: PeerId, method: string, params: unknown, options: CallOptions): Promise<unknown> {
    const request = { method, params, timeoutMs: options.timeoutMs, signal: options.signal };
    if (peer === this.self) return await callHere(this.#here(), request);
    const open = this.#openNow(peer, options.lane ?? "control");
    if (open !== null) return await open.call(request);
    return await (await this.#openLater(peer, options.lane ?? "control")).call(request);
  }

  tell(peer: PeerId, method: string, params: unknown, lane: Lane = "control"): boolean {
    if (peer === this.self) {
      const failed = (error: unknown): void => this.#options.events.handlerFailed(method, error);
      tellHere(this.#here(), { method, params, failed });
      return true;
    }
    const open = this.#openNow(peer, lane);
    if (open === null && lane === "bulk") this.#wantMoreBulk(peer);
    return open?.tell(method, params) ?? false;
  }

  async pull(peer: PeerId, method: string, params: unknown, options: PullOptions): Promise<void> {
    const request = { method, params, timeoutMs: options.timeoutMs, signal: options.signal };
    if (peer === this.self) return await pullHere(this.#here(), request, options.take);
    const lane = options.lane ?? "bulk";
    const open = this.#openNow(peer, lane) ?? (await this.#openLater(peer, lane));
    if (lane === "bulk" && open.busy > 0) this.#wantMoreBulk(peer);
    await open.pull(request, options.take);
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

  /** This machine as a caller of itself. */
  #here(): Ends {
    const member = this.#options.memberOf(this.self);
    return { peer: this.self, member, methods: this.#methods, answerer: member?.name ?? "This machine" };
  }

  #openNow(peer: PeerId, lane: Lane): Connection | null {
    const link = this.#links.get(peer);
    return (lane === "control" ? link?.openControl : link?.openBulk) ?? null;
  }

  /** A connection that is on its way. */
  async #openLater(peer: PeerId, lane: Lane): Promise<Connection> {
    const link = this.#links.get(peer);
    const unreachable = (): MeshError => {
      const name = this.#options.memberOf(peer)?.name ?? peer;
      return new MeshError("peer.unreachable", `Cannot reach ${name}: it is not connected`);
    };
    if (link === undefined || (lane === "bulk" && !link.isUp)) throw unreachable();
    if (lane === "bulk") this.#wantMoreBulk(peer);
    else if (!link.hasOpening("control")) throw unreachable();
    return (await link.nextOpen(lane)) ?? (lane === "bulk" ? link.openControl : null) ?? Promise.reject(unreachable());
  }

  #wantMoreBulk(peer: PeerId): void {
    const link = this.#links.get(peer);
    if (link === undefined || !link.wantsMoreBulk()) return;
    link.bulkAskedAtMs = performance.now();
    if (link.control?.dialledHere === true) this.#dialMoreBulk(peer);
    else link.control?.tell(MORE_BULK, null);
  }

  #dialMoreBulk(peer: PeerId): void {
    const link = this.#links.get(peer);
    const address = link?.dialledAddress ?? null;
    if (link === undefined || address === null || link.bulkCount >= LIMITS.bulkConnections) return;
    const endDial = link.beginDial("bulk");
    this.#dialTls("bulk", address, { peer, signal: new AbortController().signal })
      .then((socket) => this.#begin(socket, { peer, lane: "bulk", dialledHere: true }))
      .catch(() => null) // Whoever waits for it goes on over the control connection.
      .finally(endDial);
  }

  async #dial(peer: PeerId | null, address: Address, signal = new AbortController().signal): Promise<PeerId> {
    const link = peer === null ? null : this.#linkOf(peer);
    const endDial = link?.beginDial("control");
    try {
      const socket = await this.#dialTls("control", address, { peer, signal });
      const found = peerIdOfCertificate(socket.certificate);
      if (found === null)
        throw new MeshError("peer.refused", `No machine of the mesh answers at ${addressText(address)}`);
      // Another of its addresses was faster: two connections at once might each be given up by one of the ends.
      const first = this.#greeting.get(found);
      if (this.isLinked(found) || (first !== undefined && (await first) === null)) {
        socket.destroy();
        return found;
      }
      this.#linkOf(found).dialledAddress = address;
      const connection = this.#begin(socket, { peer: found, lane: "control", dialledHere: true });
      const greeting = this.#linkOf(found).settled(connection);
      this.#greeting.set(found, greeting);
      const failure = await greeting.finally(() => this.#greeting.delete(found));
      if (failure !== null) throw failure;
      return found;
    } finally {
      endDial?.();
    }
  }

  async #dialTls(
    purpose: Lane,
    address: Address,
    { peer, signal }: { readonly peer: PeerId | null; readonly signal: AbortSignal },
  ): Promise<SecureSocket> {
    const expect = (certificate: Uint8Array): boolean => {
      const found = peerIdOfCertificate(certificate);
      return (
        found !== null && found !== this.self && (peer ?? found) === found && this.#options.memberOf(found) !== null
      );
    };
    return await dialTls({ identity: this.#options.identity, address, purpose, expect, signal });
  }

  #accept(socket: SecureSocket, purpose: Purpose): boolean {
    if (this.#isClosing) return false;
    if (purpose === "join") {
      const take = this.#options.joining();
      take?.(socket);
      return take !== null;
    }
    const peer = peerIdOfCertificate(socket.certificate);
    if (peer === null || peer === this.self || this.#options.memberOf(peer) === null) return false;
    if (this.#linkOf(peer).count >= LIMITS.connectionsPerPeer) return false;
    this.#begin(socket, { peer, lane: purpose, dialledHere: false });
    return true;
  }

  #begin(
    socket: SecureSocket,
    { peer, lane, dialledHere }: { readonly peer: PeerId; readonly lane: Lane; readonly dialledHere: boolean },
  ): Connection {
    const { version, instance, protocol = PROTOCOL, memberOf } = this.#options;
    const link = this.#linkOf(peer);
    const connection: Connection = new Connection({
      socket,
      peer,
      peerName: memberOf(peer)?.name ?? peer,
      hello: { protocol, version, instance },
      lane,
      dialledHere,
      methods: this.#methods,
      memberOf,
      events: this.#connectionEvents(link),
    });
    link.add(connection);
    if (this.#isClosing) connection.abort(new MeshError("peer.unreachable", "This machine is leaving the network"));
    return connection;
  }

  #connectionEvents(link: Link): ConnectionEvents {
    const { events } = this.#options;
    return {
      ready: (connection) => link.ready(connection),
      finishing: (connection) => link.finishing(connection),
      closed: (connection, error) => link.closed(connection, error),
      roundTrip: (connection, ms) => {
        if (connection === link.control) events.roundTrip(link.peer, ms);
      },
      handlerFailed: (method, error) => events.handlerFailed(method, error),
    };
  }

  #linkOf(peer: PeerId): Link {
    const known = this.#links.get(peer);
    if (known !== undefined) return known;
    const { events } = this.#options;
    const link: Link = new Link({
      self: this.self,
      peer,
      linked: (info) => events.linked(peer, info),
      lost: (reason) => events.lost(peer, reason),
      refused: (error) => events.refused(peer, error),
      // said again when a late dial of it ends: another one may stand in its place by then
      forgotten: () => {
        if (this.#links.get(peer) === link) this.#links.delete(peer);
      },
    });
    this.#links.set(peer, link);
    return link;
  }
}
