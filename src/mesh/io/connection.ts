// One connection with another machine, performed: the machine in ../channel.ts over a TLS socket, as promises, async iterables and
// handlers. It never dials, and never decides which connection a call takes.

import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { Channel } from "../channel.ts";
import type { ChannelEffect, ChannelEvent } from "../channel-event.ts";
import type { Hello } from "../hello.ts";
import { isUnheard, type MemberOf, type MemberView, type Methods } from "../methods.ts";
import type { Lane, Take } from "../peers.ts";
import { type WireError, wireErrorOf } from "../remote-error.ts";
import type { SecureSocket } from "./secure-socket.ts";
import { Pull } from "./pull.ts";

export interface ConnectionOptions {
  readonly socket: SecureSocket;
  readonly peer: PeerId;
  readonly peerName: string;
  readonly hello: Hello;
  readonly lane: Lane;
  readonly dialledHere: boolean;
  readonly methods: Methods;
  readonly memberOf: MemberOf;
  readonly events: ConnectionEvents;
}

export interface ConnectionEvents {
  ready(connection: Connection): void;
  roundTrip(connection: Connection, ms: number): void;
  /** It takes no new calls; what is under way goes on. */
  finishing(connection: Connection): void;
  /** Once. null: both sides wanted it. */
  closed(connection: Connection, error: MeshError | null): void;
  /** What a handler threw that was no `MeshError`: a fault of this machine. */
  handlerFailed(method: string, error: unknown): void;
}

export interface Request {
  readonly method: string;
  readonly params: unknown;
  /** For a stream: the longest wait for each piece. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

interface PendingCall {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** The longest that a timer takes. */
const LONGEST_MS = 2 ** 31 - 1;

export class Connection {
  readonly peer: PeerId;
  readonly peerName: string;
  readonly lane: Lane;
  readonly dialledHere: boolean;
  readonly #socket: SecureSocket;
  readonly #channel: Channel;
  readonly #methods: Methods;
  readonly #memberOf: MemberOf;
  readonly #events: ConnectionEvents;
  readonly #calls = new Map<number, PendingCall>();
  readonly #reading = new Map<number, Pull>();
  readonly #served = new Map<number, AbortController>();
  readonly #producers = new Map<number, () => void>();
  #hello: Hello | null = null;
  #nextId = 1;
  #isClosed = false;

  constructor(options: ConnectionOptions) {
    this.peer = options.peer;
    this.peerName = options.peerName;
    this.lane = options.lane;
    this.dialledHere = options.dialledHere;
    this.#socket = options.socket;
    this.#methods = options.methods;
    this.#memberOf = options.memberOf;
    this.#events = options.events;
    this.#channel = new Channel({ hello: options.hello, peerName: options.peerName });
    this.#step({ kind: "opened" });
    this.#socket.listen({
      received: (bytes) => this.#step({ kind: "received", bytes }),
      flushed: (queuedBytes) => this.#step({ kind: "flushed", queuedBytes }),
      closed: (why) => this.#closed(lostError(this.peerName, why)),
    });
  }

  /** Whether calls, words and streams may begin here. */
  get isOpen(): boolean {
    return !this.#isClosed && this.#channel.isOpen;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** What the other end said of itself; null before it did. */
  get hello(): Hello | null {
    return this.#hello;
  }

  get remote(): { readonly host: string; readonly port: number } {
    return this.#socket.remote;
  }

  /** Calls and streams under way, of both sides. */
  get busy(): number {
    return this.#channel.busy;
  }

  /** Streams that the other end reads from here. */
  get serving(): number {
    return this.#channel.serving;
  }

  /** When a byte last came, by the clock of `performance.now`. */
  get heardAtMs(): number {
    return this.#channel.heardAtMs;
  }

  /** Calls a method of the other end. */
  async call({ method, params, timeoutMs, signal }: Request): Promise<unknown> {
    signal?.throwIfAborted();
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const giveUp = (error: unknown): void => {
      if (!this.#calls.delete(id)) return;
      this.#step({ kind: "cancel", id });
      reject(error);
    };
    const timer = setTimeout(
      () => giveUp(timeoutError(this.peerName, method, timeoutMs)),
      Math.min(timeoutMs, LONGEST_MS),
    );
    const onAbort = (): void => giveUp(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#calls.set(id, { resolve, reject });
    try {
      this.#step({ kind: "call", id, method, params });
      return await promise;
    } finally {
      this.#calls.delete(id);
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Says a word; false when the connection takes none. */
  tell(method: string, params: unknown): boolean {
    if (!this.isOpen || this.#channel.isFull) return false;
    this.#step({ kind: "word", method, params });
    return true;
  }

  /** Reads bytes from the other end as they come. */
  async pull({ method, params, timeoutMs, signal }: Request, take: Take): Promise<void> {
    signal?.throwIfAborted();
    const id = this.#nextId++;
    using pull = new Pull({
      take,
      timeoutMs,
      late: () => timeoutError(this.peerName, method, timeoutMs),
      consumed: (bytes) => this.#step({ kind: "consumed", id, bytes }),
    });
    const onAbort = (): void => pull.fail(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#reading.set(id, pull);
    try {
      this.#step({ kind: "open", id, method, params });
      await pull.ended;
    } finally {
      signal?.removeEventListener("abort", onAbort);
      if (this.#reading.delete(id)) this.#step({ kind: "cancel", id });
    }
  }

  /** To be called about twice a second. */
  tick(): void {
    this.#step({ kind: "ticked" });
  }

  /** Begins nothing new, finishes what is under way, then closes. */
  finish(): void {
    if (this.#channel.isOpen) this.#step({ kind: "finish" });
    else if (this.#hello === null) this.abort(new MeshError("peer.unreachable", "The connection was not needed"));
  }

  /** Sends what was sent already, and closes; what is under way fails with the error. */
  abort(error: MeshError): void {
    this.#socket.end();
    this.#closed(error);
  }

  #step(event: ChannelEvent): void {
    if (this.#isClosed) return;
    for (const effect of this.#channel.step(event, performance.now())) this.#perform(effect);
  }

  #perform(effect: ChannelEffect): void {
    switch (effect.kind) {
      case "send":
        return this.#socket.write(effect.bytes);
      case "ready":
        this.#hello = effect.hello;
        return this.#events.ready(this);
      case "answered":
        return this.#take(this.#calls, effect.id)?.resolve(effect.value);
      case "failed": {
        const error = new MeshError(effect.error.code, effect.error.message);
        this.#take(this.#calls, effect.id)?.reject(error);
        return this.#take(this.#reading, effect.id)?.fail(error);
      }
      case "data":
        return this.#reading.get(effect.id)?.data(effect.bytes);
      case "ended":
        return this.#take(this.#reading, effect.id)?.end();
      case "called":
        return void this.#serveCall(effect.id, effect.method, effect.params);
      case "asked":
        return void this.#serveStream(effect.id, effect.method, effect.params);
      case "told":
        return this.#hear(effect.method, effect.params);
      case "cancelled":
        return this.#cancelled(effect.id);
      case "wanted":
        return this.#producers.get(effect.id)?.();
      case "round-trip":
        return this.#events.roundTrip(this, effect.ms);
      case "finishing":
        return this.#events.finishing(this);
      case "close":
        this.#socket.end();
        return this.#closed(effect.error === null ? null : new MeshError(effect.error.code, effect.error.message));
    }
  }

  #take<T>(map: Map<number, T>, id: number): T | undefined {
    const found = map.get(id);
    map.delete(id);
    return found;
  }

  async #serveCall(id: number, method: string, params: unknown): Promise<void> {
    const controller = new AbortController();
    this.#served.set(id, controller);
    try {
      const member = this.#member();
      const handler = this.#methods.find("call", method, member);
      const value = await handler(params, { peer: this.peer, ...member, signal: controller.signal });
      this.#step({ kind: "answer", id, value });
    } catch (error) {
      this.#step({ kind: "fail", id, error: this.#failureOf(method, error) });
    } finally {
      this.#served.delete(id);
    }
  }

  async #serveStream(id: number, method: string, params: unknown): Promise<void> {
    const controller = new AbortController();
    this.#served.set(id, controller);
    let wanted = Promise.withResolvers<void>();
    this.#producers.set(id, () => wanted.resolve());
    controller.signal.addEventListener("abort", () => wanted.resolve());
    try {
      const member = this.#member();
      const handler = this.#methods.find("stream", method, member);
      for await (const piece of handler(params, { peer: this.peer, ...member, signal: controller.signal })) {
        if (controller.signal.aborted) break;
        wanted = Promise.withResolvers<void>();
        this.#step({ kind: "piece", id, bytes: piece });
        await wanted.promise;
        if (controller.signal.aborted) break;
      }
      this.#step({ kind: "end", id });
    } catch (error) {
      if (!controller.signal.aborted) this.#step({ kind: "fail", id, error: this.#failureOf(method, error) });
    } finally {
      this.#served.delete(id);
      this.#producers.delete(id);
    }
  }

  #hear(method: string, params: unknown): void {
    try {
      const member = this.#member();
      this.#methods.find("word", method, member)(params, { peer: this.peer, ...member });
    } catch (error) {
      if (isUnheard(error)) return;
      if (!(error instanceof MeshError)) this.#events.handlerFailed(method, error);
      this.abort(
        new MeshError("peer.misbehaved", `Closed the connection to ${this.peerName}: it said a bad ${method}`, {
          cause: error,
        }),
      );
    }
  }

  #member(): MemberView {
    const member = this.#memberOf(this.peer);
    if (member === null) throw new MeshError("peer.refused", `${this.peerName} is no member of the mesh`);
    return member;
  }

  #failureOf(method: string, error: unknown): WireError {
    if (!(error instanceof MeshError)) this.#events.handlerFailed(method, error);
    return wireErrorOf(error, method);
  }

  #cancelled(id: number): void {
    this.#served.get(id)?.abort(new MeshError("peer.unreachable", `${this.peerName} gave the call up`));
  }

  #closed(error: MeshError | null): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const lost = error ?? lostError(this.peerName, null);
    const [calls, reading, served] = [
      [...this.#calls.values()],
      [...this.#reading.values()],
      [...this.#served.values()],
    ];
    this.#calls.clear();
    this.#reading.clear();
    for (const call of calls) call.reject(asLost(this.peerName, lost));
    for (const queue of reading) queue.fail(asLost(this.peerName, lost));
    for (const controller of served) controller.abort(lost);
    this.#events.closed(this, error);
  }
}

function lostError(name: string, why: string | null): MeshError {
  return new MeshError("peer.unreachable", `Lost the connection to ${name}${why === null ? "" : `: ${why}`}`);
}

/** What those are told who waited on a connection: why it was closed is the cause, not their own fault. */
function asLost(name: string, error: MeshError): MeshError {
  if (error.code === "peer.unreachable" || error.code === "peer.version") return error;
  return new MeshError("peer.unreachable", `Lost the connection to ${name}`, { cause: error });
}

function timeoutError(name: string, method: string, timeoutMs: number): MeshError {
  return new MeshError("peer.timeout", `${name} did not answer ${method} within ${timeoutMs} ms`);
}
