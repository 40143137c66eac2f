// Messages of a pairing over one TLS connection: each with its length in front (4 bytes, big endian), in turn, within a time. It never
// looks into a message.

import { MeshError } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import type { SecureSocket } from "./secure-socket.ts";

const LENGTH_BYTES = 4;

export class PairingSocket implements Disposable {
  readonly #socket: SecureSocket;
  readonly #timer: ReturnType<typeof setTimeout>;
  #received = new Uint8Array(0);
  #failure: MeshError | null = null;
  #wake = Promise.withResolvers<void>();

  constructor(socket: SecureSocket, { timeoutMs = LIMITS.pairingMs }: { readonly timeoutMs?: number } = {}) {
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#fail("it took too long"), timeoutMs);
    socket.listen({
      received: (bytes) => this.#take(bytes),
      flushed: () => undefined,
      closed: (why) => this.#fail(why ?? "the other machine closed the connection"),
    });
  }

  send(message: Uint8Array): void {
    const length = new Uint8Array(LENGTH_BYTES);
    new DataView(length.buffer).setUint32(0, message.length);
    this.#socket.write(length);
    this.#socket.write(message);
  }

  /** The next message. Throws `peer.unreachable` when none comes, `peer.misbehaved` for one that is too long. */
  async next(): Promise<Uint8Array> {
    for (;;) {
      const message = this.#nextWhole();
      if (message !== null) return message;
      if (this.#failure !== null) throw this.#failure;
      await this.#wake.promise;
      this.#wake = Promise.withResolvers();
    }
  }

  /** Sends what waits and closes. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#socket.end();
  }

  #nextWhole(): Uint8Array | null {
    if (this.#received.length < LENGTH_BYTES) return null;
    const length = new DataView(this.#received.buffer, this.#received.byteOffset).getUint32(0);
    if (length > LIMITS.pairingMessageBytes)
      throw new MeshError("peer.misbehaved", `Cannot pair: a message of ${length} bytes is too long`);
    if (this.#received.length < LENGTH_BYTES + length) return null;
    const message = this.#received.slice(LENGTH_BYTES, LENGTH_BYTES + length);
    this.#received = this.#received.slice(LENGTH_BYTES + length);
    return message;
  }

  #take(bytes: Uint8Array): void {
    if (this.#received.length + bytes.length > LENGTH_BYTES + LIMITS.pairingMessageBytes)
      return this.#fail("it said more than it may");
    const all = new Uint8Array(this.#received.length + bytes.length);
    all.set(this.#received);
    all.set(bytes, this.#received.length);
    this.#received = all;
    this.#wake.resolve();
  }

  #fail(why: string): void {
    this.#failure ??= new MeshError("peer.unreachable", `Lost the connection while pairing: ${why}`);
    clearTimeout(this.#timer);
    this.#wake.resolve();
  }
}
