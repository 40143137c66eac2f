// The identity in use: a real handshake over loopback.

import { expect, test } from "bun:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import type { AddressInfo } from "node:net";
import { type Identity, identityOf } from "../../src/mesh/identity.ts";
import { peerIdOfCertificate } from "../../src/mesh/certificate.ts";
import { nativeSignatures } from "../../src/mesh/io/native-signatures.ts";

const SERVER = identityOf(new Uint8Array(32).fill(1), nativeSignatures);
const CLIENT = identityOf(new Uint8Array(32).fill(2), nativeSignatures);

function tlsOf(identity: Identity) {
  return {
    cert: identity.certificatePem,
    key: identity.privateKeyPem,
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: "TLSv1.3",
  } as const;
}

function peerOf(socket: TLSSocket) {
  return peerIdOfCertificate(new Uint8Array(socket.getPeerCertificate().raw));
}

test("identityOf() gives what TLS 1.3 proves to both ends", async () => {
  const seen = Promise.withResolvers<string | null>();
  const server = createServer(tlsOf(SERVER), (socket) => {
    seen.resolve(peerOf(socket));
    socket.end();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  try {
    const { port } = server.address() as AddressInfo;
    const opened = Promise.withResolvers<void>();
    const socket = connect({ ...tlsOf(CLIENT), host: "127.0.0.1", port }, opened.resolve);
    socket.on("error", opened.reject);
    await opened.promise;
    expect({ server: peerOf(socket), client: await seen.promise, version: socket.getProtocol() }).toEqual({
      server: SERVER.id,
      client: CLIENT.id,
      version: "TLSv1.3",
    });
    socket.destroy();
  } finally {
    server.close();
  }
});
