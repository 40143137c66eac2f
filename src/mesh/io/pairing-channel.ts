// What a pairing is bound to, taken from a TLS connection whose handshake is done. It never reads or writes on it.

import type { PeerId } from "../../base/ids.ts";
import type { PairingChannel } from "../pairing-message.ts";

/** What is needed of a socket of `Bun.listen` or `Bun.connect`. */
export interface ExportingSocket {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  exportKeyingMaterial(length: number, label: string, context: Buffer): Buffer;
}

/** One end's view of the connection. `peer` is the key that the other end proved: `peerIdOfCertificate` of its certificate. */
export function pairingChannelOf(socket: ExportingSocket, own: PeerId, peer: PeerId): PairingChannel {
  return {
    own,
    peer,
    exporter: new Uint8Array(socket.exportKeyingMaterial(32, "EXPORTER-mesh-pairing-1", Buffer.alloc(0))),
    addresses: {
      own: addressText(socket.localAddress, socket.localPort),
      peer: addressText(socket.remoteAddress, socket.remotePort),
    },
  };
}

/** One text for one address: an IPv4 one in IPv6 clothes is as without, and a zone is a machine's own word for an interface. */
function addressText(address: string, port: number): string {
  const plain = address
    .toLowerCase()
    .replace(/^::ffff:(?=\d+\.)/, "")
    .replace(/%.*$/, "");
  return `${plain}#${port}`;
}
