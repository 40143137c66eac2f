// The other end of the transport's measurements, a process of its own: a machine that answers, and plain sources of bytes over TCP and
// TLS. Prints its ports as JSON; ends with its standard input.

import type { Socket } from "bun";
import { type Identity, identityOf } from "../src/mesh/identity.ts";
import { Links } from "../src/mesh/io/links.ts";
import { nativeSignatures } from "../src/mesh/io/native-signatures.ts";

export const MIB = 1024 * 1024;
/** Bytes of one plain transfer. */
export const PLAIN_BYTES = 512 * MIB;

export interface PeerPorts {
  readonly mesh: number;
  readonly tcp: number;
  readonly tls: number;
  readonly echo: number;
}

/** The two machines: whoever measures, and this one. */
export function benchIdentity(name: "near" | "far"): Identity {
  return identityOf(new Uint8Array(32).fill(name === "near" ? 1 : 2), nativeSignatures);
}

/** A machine whose mesh is these two. */
export function benchLinks(name: "near" | "far"): Links {
  const names = new Map((["near", "far"] as const).map((each) => [benchIdentity(each).id, each]));
  return new Links({
    identity: benchIdentity(name),
    memberOf: (peer) => ({ name: names.get(peer) ?? peer, roles: ["worker"] }),
    joining: () => null,
    version: "bench",
    instance: (name === "near" ? "a" : "b").repeat(16),
    events: {
      linked: () => undefined,
      lost: () => undefined,
      refused: () => undefined,
      roundTrip: () => undefined,
      handlerFailed: (method, error) => process.stderr.write(`${method}: ${Bun.inspect(error)}\n`),
    },
  });
}

interface Source {
  leftBytes: number;
}

function answer(): void {
  const links = benchLinks("far");
  const piece = new Uint8Array(MIB).fill(7);
  let words = 0;
  links.onCall("echo", (params) => params);
  links.onWord("word", () => void words++);
  links.onCall("words", () => words);
  links.onCall("cpu", () => cpuMicros());
  links.onStream("bytes", async function* (mebibytes) {
    for (let count = 0; count < (mebibytes as number); count++) yield piece;
  });

  const pump = (socket: Socket<Source>): void => {
    while (socket.data.leftBytes > 0) {
      const size = Math.min(socket.data.leftBytes, MIB / 4);
      const written = socket.write(piece, 0, size);
      socket.data.leftBytes -= Math.max(0, written);
      if (written < size) return;
    }
    socket.end();
  };
  // It begins when the other end says something: over TLS that is after the handshake.
  const source = {
    open: (socket: Socket<Source>) => {
      socket.data = { leftBytes: PLAIN_BYTES };
    },
    data: pump,
    drain: (socket: Socket<Source>) => {
      if (socket.data.leftBytes < PLAIN_BYTES) pump(socket);
    },
    error: () => undefined,
  };
  const { certificatePem, privateKeyPem } = benchIdentity("far");
  const at = { hostname: "127.0.0.1", port: 0 };
  const tls = { cert: certificatePem, key: privateKeyPem };
  const ports: PeerPorts = {
    mesh: links.listen(at),
    tcp: Bun.listen<Source>({ ...at, data: { leftBytes: 0 }, socket: source }).port,
    tls: Bun.listen<Source>({ ...at, data: { leftBytes: 0 }, tls, socket: source }).port,
    echo: Bun.listen({ ...at, tls, socket: { data: (socket, bytes) => void socket.write(bytes) } }).port,
  };
  process.stdout.write(`${JSON.stringify(ports)}\n`);
  process.stdin.on("end", () => process.exit(0)).resume();
}

/** CPU time of this process, in microseconds. */
export function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

if (import.meta.main) answer();
