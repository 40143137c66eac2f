// TLS 1.3 between machines, both ends with a certificate: listening, dialling, and the check of the other end's key at the
// handshake. No authority signs those certificates: a key is admitted because it is known. It never speaks the protocol.

import type { Socket, TLSOptions } from "bun";
import { errnoOf, MeshError } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import type { Address } from "../peer-view.ts";
import type { Lane } from "../peers.ts";
import { SecureSocket } from "./secure-socket.ts";

/** What a machine shows of itself. */
export interface TlsIdentity {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** What a connection is for: it is said in the open at the handshake (ALPN), and judged by whoever accepts. */
export type Purpose = Lane | "join";

const ALPN: Readonly<Record<Purpose, string>> = { control: "mesh/1", bulk: "mesh-bulk/1", join: "mesh-join/1" };
const PURPOSES = Object.keys(ALPN) as readonly Purpose[];
const TLS_1_3 = 0x0304;

export interface ListenOptions {
  readonly identity: TlsIdentity;
  readonly hostname: string;
  /** 0: any free one. */
  readonly port: number;
  /** Takes a connection whose other end has proved its certificate's key, or refuses it: it is closed without a word. */
  readonly accept: (socket: SecureSocket, purpose: Purpose) => boolean;
  /** How long a handshake may take; `LIMITS.handshakeMs` when absent. */
  readonly handshakeMs?: number;
}

export interface TlsListener {
  readonly port: number;
  /** Takes no more connections; those that were accepted stay. */
  stop(): void;
}

/** Listens. Throws `io.failed` when the port cannot be had. */
export function listenTls({ identity, hostname, port, accept, handshakeMs }: ListenOptions): TlsListener {
  const halfOpen = new HalfOpen(handshakeMs ?? LIMITS.handshakeMs);
  const begin = (socket: Socket<Peer>): void => {
    if (!halfOpen.add(socket)) socket.terminate();
  };
  try {
    const listener = Bun.listen<Peer>({
      hostname,
      port,
      data: { secure: null },
      tls: { ...tlsOptions(identity, Object.values(ALPN)), requestCert: true },
      socket: {
        // The data given above is one object for all.
        open: (socket) => {
          socket.data = { secure: null };
          begin(socket);
        },
        handshake: (socket) => {
          if (!halfOpen.has(socket)) return;
          const certificate = provenCertificate(socket);
          const purpose = purposeOf(socket);
          halfOpen.delete(socket);
          if (certificate === null || purpose === null) return socket.terminate();
          const secure = new SecureSocket(socket, certificate);
          socket.data.secure = secure;
          if (!accept(secure, purpose)) secure.destroy();
        },
        ...SHARED_HANDLERS,
        close: (socket, error) => {
          halfOpen.delete(socket);
          socket.data.secure?.wasClosed(error?.message ?? null);
        },
      },
    });
    return {
      port: listener.port,
      stop: () => {
        halfOpen.clear();
        listener.stop();
      },
    };
  } catch (error) {
    throw new MeshError("io.failed", `Cannot listen on ${hostname}:${port}`, { cause: error });
  }
}

export interface DialOptions {
  readonly identity: TlsIdentity;
  readonly address: Address;
  readonly purpose: Purpose;
  /** Judges the certificate that the other end proved, before this machine shows its own. */
  readonly expect: (certificate: Uint8Array) => boolean;
  readonly signal: AbortSignal;
}

/**
 * Connects. Throws `peer.unreachable` (nobody answers, or not in time), `peer.refused` (another machine than was expected
 * answers), and the signal's reason. An end that does not want this machine closes the connection after this returns.
 */
export function dialTls({ identity, address, purpose, expect, signal }: DialOptions): Promise<SecureSocket> {
  const where = addressText(address);
  return new Promise((resolve, reject) => {
    let pending: Socket<Peer> | null = null;
    const settle = (error: Error | null, secure: SecureSocket | null): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      isSettled = true;
      if (secure !== null) return resolve(secure);
      pending?.terminate();
      reject(error ?? new Error("Aborted"));
    };
    let isSettled = false;
    const fail = (why: string, cause?: unknown): void => {
      if (!isSettled) settle(new MeshError("peer.unreachable", `Cannot reach ${where}: ${why}`, { cause }), null);
    };
    const onAbort = (): void => settle(signal.reason as Error, null);
    const timer = setTimeout(() => fail("no answer in time"), LIMITS.handshakeMs);
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    Bun.connect<Peer>({
      hostname: address.host,
      port: address.port,
      data: { secure: null },
      tls: tlsOptions(identity, [ALPN[purpose]]),
      socket: {
        open: (socket) => {
          pending = socket;
          if (isSettled) socket.terminate();
        },
        handshake: (socket) => {
          if (isSettled) return;
          const certificate = provenCertificate(socket);
          if (certificate === null || purposeOf(socket) !== purpose) return fail("it is no machine of a mesh");
          if (!expect(certificate))
            return settle(new MeshError("peer.refused", `Another machine than expected answers at ${where}`), null);
          socket.data.secure = new SecureSocket(socket, certificate);
          settle(null, socket.data.secure);
        },
        ...SHARED_HANDLERS,
        close: (socket, error) => {
          socket.data.secure?.wasClosed(error?.message ?? null);
          fail("it closed the connection");
        },
        connectError: (_, error) => fail(reasonOf(error), error),
      },
    }).catch((error: unknown) => fail(reasonOf(error), error));
  });
}

/** An address as people write it. */
export function addressText({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

interface Peer {
  secure: SecureSocket | null;
}

const SHARED_HANDLERS = {
  data: (socket: Socket<Peer>, bytes: Uint8Array): void => socket.data.secure?.wasGiven(bytes),
  drain: (socket: Socket<Peer>): void => socket.data.secure?.wasDrained(),
  error: (socket: Socket<Peer>, error: Error): void => {
    socket.data.secure?.wasClosed(error.message);
    socket.terminate();
  },
};

function tlsOptions({ certificatePem, privateKeyPem }: TlsIdentity, protocols: readonly string[]): TLSOptions {
  const options = {
    cert: certificatePem,
    key: privateKeyPem,
    // No authority knows these certificates: keys are checked by `accept` and `expect`.
    rejectUnauthorized: false,
    ALPNProtocols: Buffer.concat(protocols.map((name) => Buffer.from([name.length, ...Buffer.from(name)]))),
    /** Missing in Bun's types; a number, unlike in node:tls. */
    minVersion: TLS_1_3,
  };
  return options;
}

/** The other end's certificate, once the handshake has proved that it has the key; null when it has not. */
function provenCertificate(socket: Socket<Peer>): Uint8Array | null {
  if (socket.getTLSVersion() !== "TLSv1.3") return null;
  try {
    // Only a handshake that is complete has keys to export. What the event itself says mixes that with authorities.
    socket.exportKeyingMaterial(16, "EXPORTER-mesh-handshake", Buffer.alloc(0));
  } catch {
    return null;
  }
  const { raw } = (socket.getPeerCertificate() ?? {}) as { readonly raw?: Uint8Array };
  return raw === undefined || raw.length === 0 ? null : new Uint8Array(raw);
}

function purposeOf(socket: Socket<Peer>): Purpose | null {
  const name = socket.alpnProtocol;
  return PURPOSES.find((purpose) => ALPN[purpose] === name) ?? null;
}

function reasonOf(error: unknown): string {
  const code = errnoOf(error);
  if (code === "ECONNREFUSED") return "nobody listens there";
  if (code === "EHOSTUNREACH" || code === "ENETUNREACH") return "there is no route to it";
  return code === null ? "the connection failed" : `the connection failed (${code})`;
}

/** Connections that have not shown who they are, bounded in number and time. */
class HalfOpen {
  readonly #timers = new Map<Socket<Peer>, { readonly timer: ReturnType<typeof setTimeout>; readonly host: string }>();
  readonly #perHost = new Map<string, number>();
  readonly #mostMs: number;

  constructor(mostMs: number) {
    this.#mostMs = mostMs;
  }

  /** False when there are too many already. */
  add(socket: Socket<Peer>): boolean {
    const host = socket.remoteAddress;
    const sameHost = this.#perHost.get(host) ?? 0;
    if (this.#timers.size >= LIMITS.halfOpen || sameHost >= LIMITS.halfOpenPerAddress) return false;
    this.#perHost.set(host, sameHost + 1);
    const timer = setTimeout(() => socket.terminate(), this.#mostMs);
    this.#timers.set(socket, { timer, host });
    return true;
  }

  has(socket: Socket<Peer>): boolean {
    return this.#timers.has(socket);
  }

  delete(socket: Socket<Peer>): void {
    const entry = this.#timers.get(socket);
    if (entry === undefined) return;
    clearTimeout(entry.timer);
    this.#timers.delete(socket);
    const left = (this.#perHost.get(entry.host) ?? 1) - 1;
    if (left === 0) this.#perHost.delete(entry.host);
    else this.#perHost.set(entry.host, left);
  }

  clear(): void {
    for (const socket of this.#timers.keys()) {
      this.delete(socket);
      socket.terminate();
    }
  }
}
