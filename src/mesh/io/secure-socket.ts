// One TLS connection whose other end has shown its key: bytes in, bytes out, an end. Small writes go out together; what waits is
// counted, and whoever writes must look at the count. It never knows what the bytes mean.

import type { Socket } from "bun";
import { LIMITS } from "../../base/limits.ts";
import type { PeerId } from "../../base/ids.ts";
import type { PairingChannel } from "../pairing-message.ts";
import type { Address } from "../peer-view.ts";
import { pairingChannelOf } from "./pairing-channel.ts";

export interface SocketListener {
  /** The bytes are valid during the call only. */
  received(bytes: Uint8Array): void;
  /** Bytes went out; as many still wait. */
  flushed(queuedBytes: number): void;
  /** Once, whoever closed it. The text says why, when that is known. */
  closed(why: string | null): void;
}

/** One TLS record: small writes are gathered up to it. */
const RECORD_BYTES = 16 * 1024;
/** Memory of reads at least this large is given back at once. */
const RELEASED_BYTES = 16 * 1024;
/** Written at most before other events have their turn. */
const TURN_BYTES = 1024 * 1024;
const BINDING_LABEL = "EXPORTER-mesh-channel-binding";

export class SecureSocket {
  readonly #socket: Socket<unknown>;
  /** The certificate of the other end (DER). */
  readonly certificate: Uint8Array;
  readonly remote: Address;
  readonly #early: Uint8Array[] = [];
  #listener: SocketListener | null = null;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #gather: Uint8Array | null = null;
  #isFlushing = false;
  #isEnding = false;
  #closedBecause: string | null | undefined;
  #closeTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(socket: Socket<unknown>, certificate: Uint8Array) {
    this.#socket = socket;
    this.certificate = certificate;
    // A listener on "::" shows IPv4 as "::ffff:10.0.0.1".
    this.remote = { host: socket.remoteAddress.replace(/^::ffff:(?=\d)/, ""), port: socket.remotePort };
  }

  /** 32 bytes that both ends of this connection know and nobody else (RFC 9266). */
  channelBinding(): Uint8Array {
    return new Uint8Array(this.#socket.exportKeyingMaterial(32, BINDING_LABEL, Buffer.alloc(0)));
  }

  /** What a pairing over this connection is bound to. */
  pairingChannel(own: PeerId, peer: PeerId): PairingChannel {
    return pairingChannelOf(this.#socket, own, peer);
  }

  /** Starts to tell of what comes, what came already first. */
  listen(listener: SocketListener): void {
    this.#listener = listener;
    for (const bytes of this.#early.splice(0)) this.#give(listener, bytes);
    if (this.#closedBecause !== undefined) listener.closed(this.#closedBecause);
  }

  /** Takes bytes to be sent in order, soon. They must not be changed afterwards. */
  write(bytes: Uint8Array): void {
    if (this.#isEnding || this.#closedBecause !== undefined || bytes.length === 0) return;
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    this.#flushSoon();
  }

  /** Sends what waits, then closes; at the latest after `LIMITS.closeMs`. */
  end(): void {
    if (this.#isEnding || this.#closedBecause !== undefined) return;
    this.#isEnding = true;
    this.#closeTimer = setTimeout(() => this.destroy(), LIMITS.closeMs);
    this.#flushSoon();
  }

  /** Closes at once. */
  destroy(): void {
    if (this.#closedBecause === undefined) this.#socket.terminate();
    this.wasClosed(null);
  }

  /** For the owner of the underlying socket: bytes came. */
  wasGiven(bytes: Uint8Array): void {
    if (this.#listener === null) this.#early.push(bytes);
    else this.#give(this.#listener, bytes);
  }

  /** For the owner of the underlying socket: it takes bytes again. */
  wasDrained(): void {
    this.#flush();
  }

  /** For the owner of the underlying socket: it is closed. */
  wasClosed(why: string | null): void {
    if (this.#closedBecause !== undefined) return;
    this.#closedBecause = why;
    if (this.#closeTimer !== null) clearTimeout(this.#closeTimer);
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#listener?.closed(why);
  }

  #give(listener: SocketListener, bytes: Uint8Array): void {
    listener.received(bytes);
    release(bytes);
  }

  #flushSoon(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    this.#isFlushing = true;
    for (let turnBytes = 0; this.#closedBecause === undefined && this.#queuedBytes > 0;) {
      const next = this.#nextWrite();
      const written = Math.max(0, this.#socket.write(next));
      this.#queuedBytes -= written;
      turnBytes += written;
      if (written < next.length) {
        // It goes on when `drained` is told. The gathering bytes may be among what is left.
        this.#queue.unshift(next.subarray(written));
        this.#gather = null;
        break;
      }
      if (this.#queuedBytes < LIMITS.queueBulkBytes / 2) this.#listener?.flushed(this.#queuedBytes);
      if (turnBytes > TURN_BYTES) {
        setImmediate(() => this.#flush());
        return;
      }
    }
    this.#isFlushing = false;
    if (this.#closedBecause !== undefined) return;
    this.#listener?.flushed(this.#queuedBytes);
    if (this.#isEnding && this.#queuedBytes === 0) this.#socket.end();
  }

  /** Takes from the queue what is written at once: small pieces together, as many as make a record, else one large piece. */
  #nextWrite(): Uint8Array {
    const first = this.#queue[0] ?? new Uint8Array(0);
    if (first.length >= RECORD_BYTES || this.#queue.length === 1) {
      this.#queue.shift();
      return first;
    }
    const gather = (this.#gather ??= new Uint8Array(RECORD_BYTES));
    let filled = 0;
    let taken = 0;
    for (const piece of this.#queue) {
      const part = piece.subarray(0, RECORD_BYTES - filled);
      gather.set(part, filled);
      filled += part.length;
      if (part.length < piece.length) {
        this.#queue[taken] = piece.subarray(part.length);
        break;
      }
      taken++;
      if (filled === RECORD_BYTES) break;
    }
    this.#queue.splice(0, taken);
    return gather.subarray(0, filled);
  }
}

/**
 * Gives the memory of a read back before the collector would: each read gets memory of its own, and at the speed of a line that is more
 * than the allocator keeps, so that all of it would be fresh memory, which costs more than what is done with it.
 */
function release(bytes: Uint8Array): void {
  const { buffer, byteOffset, length } = bytes;
  if (length < RELEASED_BYTES || byteOffset !== 0 || buffer.byteLength !== length) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
