// Machines for tests of the transport: an Ed25519 key drawn for the test, and a self-signed certificate around it, made as small
// as TLS takes it.

import { generateKeyPairSync, sign } from "node:crypto";
import { type PeerId, peerIdOf } from "../../src/base/ids.ts";
import type { TlsIdentity } from "../../src/mesh/io/tls.ts";

export interface MachineKey extends TlsIdentity {
  readonly id: PeerId;
}

const ED25519 = der(0x30, Uint8Array.of(0x06, 3, 0x2b, 0x65, 0x70));
/** SubjectPublicKeyInfo of an Ed25519 key, up to the key itself. */
const KEY_INFO = "302a300506032b6570032100";

export function machineKey(): MachineKey {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const keyInfo = new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
  const name = der(
    0x30,
    der(0x31, der(0x30, Uint8Array.of(0x06, 3, 0x55, 0x04, 0x03), der(0x0c, Buffer.from("machine")))),
  );
  const validity = der(0x30, der(0x18, Buffer.from("20000101000000Z")), der(0x18, Buffer.from("99991231235959Z")));
  const version3 = der(0xa0, Uint8Array.of(0x02, 1, 2));
  const serial = Uint8Array.of(0x02, 1, 1);
  const toBeSigned = der(0x30, version3, serial, ED25519, name, validity, name, keyInfo);
  const signature = der(0x03, Uint8Array.of(0), sign(null, toBeSigned, privateKey));
  const lines =
    Buffer.from(der(0x30, toBeSigned, ED25519, signature))
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return {
    id: peerIdOf(keyInfo.subarray(-32)),
    certificatePem: `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`,
    privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}

/** The machine whose certificate this is; null for a certificate without an Ed25519 key. */
export function peerOfCertificate(certificate: Uint8Array): PeerId | null {
  const hex = certificate.toHex();
  const at = hex.indexOf(KEY_INFO);
  return at < 0 ? null : (hex.slice(at + KEY_INFO.length, at + KEY_INFO.length + 64) as PeerId);
}

function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat(parts);
  const { length } = body;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Uint8Array.of(tag, ...size), body]);
}
