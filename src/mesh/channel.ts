// One connection between two machines, decided: calls, words and streams as frames, with bounds on all that a peer can make this
// side hold. The same events give the same effects. It never touches a socket or a clock.

import { assert, unreachable } from "../base/assert.ts";
import { MeshError } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
import type { ChannelEffect, ChannelEvent } from "./channel-event.ts";
import { FRAME, type Frame, frameHead, FrameReader, isOptionalKind, valueFrame } from "./frames.ts";
import { agreeProtocol, type Hello, helloValue, parseHello } from "./hello.ts";
import { parseWireError, type WireError, wireErrorOf } from "./remote-error.ts";
import { ServedStreams } from "./served-streams.ts";
import { uint32, unpackValue } from "./wire-value.ts";

/** A call or a stream that this side asked for. */
type Asked =
  | { readonly kind: "call" }
  /** `allowed`: bytes that may still come; `unread`: bytes read here that no credit was given for yet. */
  | { readonly kind: "stream"; allowed: number; unread: number };

const GRANT_FROM_BYTES = LIMITS.streamWindowBytes / 2;
const LAST_ID = 0xffff_ffff;
/** A tick that comes so late says that this machine slept, not that the peer was silent. */
const LATE_TICK_MS = 3_000;

export class Channel {
  readonly #ours: Hello;
  readonly #peerName: string;
  readonly #reader = new FrameReader();
  readonly #asked = new Map<number, Asked>();
  /** Calls of the peer that are under way. */
  readonly #called = new Set<number>();
  readonly #served: ServedStreams;
  #effects: ChannelEffect[] = [];
  #state: "opening" | "ready" | "closed" = "opening";
  /** All that was ever given to the connection, and what of it has not left yet. */
  #givenBytes = 0;
  #queuedBytes = 0;
  #lastAsked = 0;
  #lastServed = 0;
  #now = 0;
  #openedAtMs = 0;
  #heardAtMs = 0;
  #tickedAtMs = 0;
  #pingedAtMs: number | null = null;
  #pings = 0;
  #saidBye = false;
  #heardBye = false;

  constructor(options: { readonly hello: Hello; readonly peerName: string }) {
    this.#ours = options.hello;
    this.#peerName = options.peerName;
    this.#served = new ServedStreams({
      send: (bytes) => {
        this.#send(bytes);
        return this.#givenBytes;
      },
      effect: (effect) => this.#effects.push(effect),
      roomBytes: () => LIMITS.queueBulkBytes - this.#queuedBytes,
    });
  }

  /**
   * Takes one event at a time in milliseconds of a clock that never goes back; returns what is to be done, in order. Throws
   * `usage.invalid` for a value of ours that cannot be sent; a peer's faults end in a `close` effect.
   */
  step(event: ChannelEvent, nowMs: number): readonly ChannelEffect[] {
    this.#now = nowMs;
    if (this.#state !== "closed") this.#apply(event);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Whether calls, words and streams may begin here. */
  get isOpen(): boolean {
    return this.#state === "ready" && !this.#saidBye && !this.#heardBye;
  }

  /** Whether so much waits to be sent that new calls and words are refused. */
  get isFull(): boolean {
    return this.#queuedBytes > LIMITS.queueWordBytes;
  }

  /** Calls and streams under way, of both sides. */
  get busy(): number {
    return this.#asked.size + this.#called.size + this.#served.size;
  }

  /** Streams that the peer reads from here. */
  get serving(): number {
    return this.#served.size;
  }

  /** When a byte last came. */
  get heardAtMs(): number {
    return this.#heardAtMs;
  }

  #apply(event: ChannelEvent): void {
    switch (event.kind) {
      case "opened":
        this.#openedAtMs = this.#heardAtMs = this.#tickedAtMs = this.#now;
        return this.#send(valueFrame(FRAME.hello, 0, helloValue(this.#ours)));
      case "received":
        return this.#receive(event.bytes);
      case "flushed":
        this.#queuedBytes = event.queuedBytes;
        this.#served.left(this.#givenBytes - this.#queuedBytes);
        return this.#served.pump(this.#now);
      case "ticked":
        return this.#tick();
      case "call":
        return this.#ask(FRAME.call, event.id, [event.method, event.params], { kind: "call" });
      case "open": {
        const credit = LIMITS.streamWindowBytes;
        const stream: Asked = { kind: "stream", allowed: credit, unread: 0 };
        return this.#ask(FRAME.open, event.id, [event.method, event.params, credit], stream);
      }
      case "word":
        return this.#send(valueFrame(FRAME.word, 0, [event.method, event.params]));
      case "cancel":
        if (!this.#asked.delete(event.id)) return;
        this.#send(frameHead(FRAME.cancel, event.id, 0));
        return this.#closeIfDone();
      case "consumed":
        return this.#consumed(event.id, event.bytes);
      case "answer":
        return this.#answer(event.id, event.value);
      case "fail":
        if (!this.#called.delete(event.id) && !this.#served.delete(event.id)) return;
        this.#sendFailure(event.id, event.error);
        return this.#closeIfDone();
      case "piece":
        return this.#served.piece(event.id, event.bytes, this.#now);
      case "end":
        if (!this.#served.delete(event.id)) return;
        this.#send(frameHead(FRAME.end, event.id, 0));
        return this.#closeIfDone();
      case "finish":
        this.#sayBye();
        return this.#closeIfDone();
      default:
        unreachable(event);
    }
  }

  #ask(kind: number, id: number, body: unknown, asked: Asked): void {
    assert(id > this.#lastAsked && id <= LAST_ID, `the id ${id} follows ${this.#lastAsked}`);
    this.#lastAsked = id;
    const frame = valueFrame(kind, id, body);
    if (!this.isOpen || this.isFull) {
      const why = this.isFull ? "too much is waiting to be sent to it" : "its connection is closing";
      return this.#fails(id, { code: "peer.unreachable", message: `Cannot reach ${this.#peerName}: ${why}` });
    }
    this.#asked.set(id, asked);
    this.#send(frame);
  }

  #consumed(id: number, bytes: number): void {
    const stream = this.#asked.get(id);
    if (stream?.kind !== "stream") return;
    stream.unread += bytes;
    if (stream.unread < GRANT_FROM_BYTES) return;
    const credit = new Uint8Array(12);
    credit.set(frameHead(FRAME.credit, id, 4));
    new DataView(credit.buffer).setUint32(8, stream.unread);
    stream.allowed += stream.unread;
    stream.unread = 0;
    this.#send(credit);
  }

  #answer(id: number, value: unknown): void {
    if (!this.#called.delete(id)) return;
    let frame: Uint8Array;
    try {
      frame = valueFrame(FRAME.answer, id, value);
    } catch (error) {
      this.#sendFailure(id, { code: "peer.failed", message: "The answer cannot be sent" });
      throw error;
    }
    this.#send(frame);
    this.#closeIfDone();
  }

  #receive(bytes: Uint8Array): void {
    this.#heardAtMs = this.#now;
    try {
      this.#reader.push(bytes, (frame) => {
        if (this.#state !== "closed") this.#take(frame);
      });
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      this.#close(wireErrorOf(error, ""));
    }
  }

  #take({ kind, id, body }: Frame): void {
    if (this.#state === "opening") return this.#takeHello(kind, body);
    switch (kind) {
      case FRAME.hello:
        return this.#misbehaved("it said hello twice");
      case FRAME.call:
      case FRAME.open:
        return this.#takeAsked(kind, id, body);
      case FRAME.answer:
        if (this.#endsAsked(id, "call")) this.#effects.push({ kind: "answered", id, value: unpackValue(body) });
        return this.#closeIfDone();
      case FRAME.failure: {
        const error = parseWireError(unpackValue(body));
        if (this.#endsAsked(id, null)) this.#fails(id, error);
        return this.#closeIfDone();
      }
      case FRAME.cancel:
        if (this.#called.delete(id) || this.#served.delete(id)) this.#effects.push({ kind: "cancelled", id });
        return this.#closeIfDone();
      case FRAME.word: {
        const { method, params } = this.#methodOf(unpackValue(body));
        if (method !== null) this.#effects.push({ kind: "told", method, params });
        return;
      }
      case FRAME.data:
        return this.#takeData(id, body);
      case FRAME.end:
        if (this.#endsAsked(id, "stream")) this.#effects.push({ kind: "ended", id });
        return this.#closeIfDone();
      case FRAME.credit:
        if (body.length !== 4 || !this.#served.grant(id, uint32(body, 0), this.#now))
          this.#misbehaved("it gave credit without measure");
        return;
      case FRAME.ping:
        return this.#send(frameHead(FRAME.pong, id, 0));
      case FRAME.pong:
        return this.#takePong(id);
      case FRAME.bye:
        return this.#takeBye();
      default:
        if (isOptionalKind(kind)) return;
        this.#close({ code: "peer.version", message: `${this.#peerName} sent a frame of kind ${kind}, unknown here` });
    }
  }

  #takeHello(kind: number, body: Uint8Array): void {
    if (kind !== FRAME.hello) return this.#misbehaved("it did not say hello");
    const hello = parseHello(unpackValue(body));
    const protocol = agreeProtocol(this.#ours, hello, this.#peerName);
    this.#state = "ready";
    this.#effects.push({ kind: "ready", hello, protocol });
    this.#ping();
  }

  #takeAsked(kind: number, id: number, body: Uint8Array): void {
    if (id <= this.#lastServed) return this.#misbehaved(`it used the id ${id} again`);
    this.#lastServed = id;
    const { method, params, credit } = this.#methodOf(unpackValue(body));
    if (method === null) return;
    const isStream = kind === FRAME.open;
    const most = isStream ? LIMITS.connectionStreams : LIMITS.connectionCalls;
    if ((isStream ? this.#served.size : this.#called.size) >= most) {
      const message = `Cannot serve ${method}: ${most} ${isStream ? "streams" : "calls"} of one connection are under way`;
      return this.#sendFailure(id, { code: "peer.refused", message });
    }
    if (this.#saidBye) return this.#sendFailure(id, { code: "peer.unreachable", message: "The connection is closing" });
    if (!isStream) {
      this.#called.add(id);
      this.#effects.push({ kind: "called", id, method, params });
      return;
    }
    if (!this.#served.add(id, credit)) return this.#misbehaved("it gave credit without measure");
    this.#effects.push({ kind: "asked", id, method, params });
  }

  #methodOf(value: unknown): { readonly method: string | null; readonly params: unknown; readonly credit: unknown } {
    const [method, params, credit] = Array.isArray(value) ? (value as readonly unknown[]) : [];
    const isName = typeof method === "string" && method.length > 0 && method.length <= LIMITS.methodChars;
    if (!isName) this.#misbehaved("it named no method");
    return { method: isName ? method : null, params: params ?? null, credit };
  }

  #takeData(id: number, body: Uint8Array): void {
    const stream = this.#asked.get(id);
    if (stream === undefined && id <= this.#lastAsked) return; // It was given up; what was under way may still come.
    if (stream?.kind !== "stream") return this.#misbehaved("it sent bytes for no stream");
    stream.allowed -= body.length;
    if (stream.allowed < 0) return this.#misbehaved("it sent more than it was allowed to");
    if (body.length > 0) this.#effects.push({ kind: "data", id, bytes: body });
  }

  /** Whether an id that the peer ended was under way; ends it. One that was given up is no fault, one never used is. */
  #endsAsked(id: number, kind: Asked["kind"] | null): boolean {
    const asked = this.#asked.get(id);
    if (asked === undefined) {
      if (id === 0 || id > this.#lastAsked) this.#misbehaved(`it answered ${id}, which was never asked`);
      return false;
    }
    if (kind !== null && asked.kind !== kind) {
      this.#misbehaved(`it ended the ${asked.kind} ${id} as a ${kind}`);
      return false;
    }
    this.#asked.delete(id);
    return true;
  }

  #takePong(id: number): void {
    if (this.#pingedAtMs === null || id !== this.#pings) return;
    this.#effects.push({ kind: "round-trip", ms: this.#now - this.#pingedAtMs });
    this.#pingedAtMs = null;
  }

  #ping(): void {
    this.#pings = (this.#pings + 1) % LAST_ID;
    this.#pingedAtMs = this.#now;
    this.#send(frameHead(FRAME.ping, this.#pings, 0));
  }

  #takeBye(): void {
    if (this.#heardBye) return;
    this.#heardBye = true;
    this.#effects.push({ kind: "finishing" });
    this.#sayBye();
    this.#closeIfDone();
  }

  #sayBye(): void {
    if (this.#saidBye || this.#state !== "ready") return;
    this.#saidBye = true;
    this.#send(frameHead(FRAME.bye, 0, 0));
  }

  #closeIfDone(): void {
    if (this.#saidBye && this.#heardBye && this.busy === 0 && this.#state === "ready") this.#close(null);
  }

  #tick(): void {
    const sinceTick = this.#now - this.#tickedAtMs;
    this.#tickedAtMs = this.#now;
    if (this.#state === "opening") {
      if (this.#now - this.#openedAtMs > LIMITS.handshakeMs) this.#misbehaved("it did not say hello in time");
      return;
    }
    if (sinceTick > LATE_TICK_MS) this.#heardAtMs = this.#now;
    const silentMs = this.#now - this.#heardAtMs;
    if (silentMs > LIMITS.connectionSilentMs) {
      const message = `Lost the connection to ${this.#peerName}: silent for ${(silentMs / 1000).toFixed(1)} s`;
      return this.#close({ code: "peer.unreachable", message });
    }
    if (this.#pingedAtMs === null || this.#now - this.#pingedAtMs > LIMITS.connectionSilentMs / 3) this.#ping();
    for (const id of this.#served.stalled(this.#now)) {
      this.#served.delete(id);
      this.#effects.push({ kind: "cancelled", id });
      this.#sendFailure(id, { code: "peer.timeout", message: "The reader of a stream took nothing for too long" });
    }
  }

  #sendFailure(id: number, { code, message }: WireError): void {
    this.#send(valueFrame(FRAME.failure, id, [code, message]));
  }

  #send(bytes: Uint8Array): void {
    if (this.#state === "closed") return;
    this.#givenBytes += bytes.length;
    this.#queuedBytes += bytes.length;
    this.#effects.push({ kind: "send", bytes });
    if (this.#queuedBytes > LIMITS.queueMostBytes) this.#misbehaved("it does not read what it asked for");
  }

  #fails(id: number, error: WireError): void {
    this.#effects.push({ kind: "failed", id, error });
  }

  #misbehaved(what: string): void {
    this.#close({ code: "peer.misbehaved", message: `Closed the connection to ${this.#peerName}: ${what}` });
  }

  #close(error: WireError | null): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#effects.push({ kind: "close", error });
  }
}
