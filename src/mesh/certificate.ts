// The certificate by which a machine shows its identity in TLS: self-signed X.509 v3 whose key is the machine's Ed25519 key, so
// that the handshake itself proves who is there. It never decides whom to trust: the roster does.

import { assert } from "../base/assert.ts";
import { LIMITS } from "../base/limits.ts";
import { type PeerId, peerIdOf } from "../base/ids.ts";
import { der, DerReader, TAG } from "./der.ts";

/** Bytes of an Ed25519 public key, and of the seed that is the private one (RFC 8032, 5.1.5). */
export const KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;

/**
 * The certificate of a key, in PEM. The same key and signer give the same bytes. It is valid from 2000 to the end of 9999 (RFC
 * 5280, 4.1.2.5), since a grant expires and a key does not, and clocks may be off.
 */
export function certificatePemOf(publicKey: Uint8Array, sign: (message: Uint8Array) => Uint8Array): string {
  assert(publicKey.length === KEY_BYTES, "an Ed25519 public key has 32 bytes");
  const toBeSigned = der(
    TAG.sequence,
    der(TAG.context0, der(TAG.integer, Uint8Array.of(VERSION_3))),
    der(TAG.integer, serialOf(publicKey)),
    ED25519,
    nameOf(peerIdOf(publicKey)),
    der(TAG.sequence, time("20000101000000Z"), time("99991231235959Z")),
    nameOf(peerIdOf(publicKey)),
    der(TAG.sequence, ED25519, bitString(publicKey)),
    der(TAG.context3, EXTENSIONS),
  );
  return pem("CERTIFICATE", der(TAG.sequence, toBeSigned, ED25519, bitString(sign(toBeSigned))));
}

/** The private key (its seed of 32 bytes) as PKCS#8 in PEM (RFC 8410, 7). A secret. */
export function privateKeyPemOf(seed: Uint8Array): string {
  assert(seed.length === KEY_BYTES, "an Ed25519 seed has 32 bytes");
  const key = der(TAG.octetString, der(TAG.octetString, seed));
  return pem("PRIVATE KEY", der(TAG.sequence, der(TAG.integer, Uint8Array.of(0)), ED25519, key));
}

/**
 * The Ed25519 key in a certificate that a TLS peer showed (`getPeerCertificate().raw`), or null when it is anything else: longer
 * than a few KiB, not strict DER, not version 3, of another algorithm. Its own signature is not looked at: that the peer has the
 * key is proved by the handshake (RFC 8446, 4.4.3), and nobody else vouches for it here.
 */
export function publicKeyOfCertificate(raw: Uint8Array): Uint8Array | null {
  if (raw.length > LIMITS.certificateBytes) return null;
  try {
    return readCertificate(raw);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** The id of the machine whose certificate this is; null as with `publicKeyOfCertificate`. */
export function peerIdOfCertificate(raw: Uint8Array): PeerId | null {
  const publicKey = publicKeyOfCertificate(raw);
  return publicKey === null ? null : peerIdOf(publicKey);
}

const VERSION_3 = 2;

/** AlgorithmIdentifier of Ed25519: OID 1.3.101.112 and no parameters (RFC 8410, 3). */
const ED25519 = der(TAG.sequence, der(TAG.objectId, Uint8Array.of(0x2b, 0x65, 0x70)));

const YES = der(TAG.boolean, Uint8Array.of(0xff));
/** Not an authority (2.5.29.19); the key signs and does nothing else (2.5.29.15, digitalSignature). Both critical. */
const EXTENSIONS = der(
  TAG.sequence,
  der(TAG.sequence, der(TAG.objectId, Uint8Array.of(0x55, 0x1d, 0x13)), YES, der(TAG.octetString, der(TAG.sequence))),
  der(
    TAG.sequence,
    der(TAG.objectId, Uint8Array.of(0x55, 0x1d, 0x0f)),
    YES,
    der(TAG.octetString, der(TAG.bitString, Uint8Array.of(7, 0x80))),
  ),
);

function readCertificate(raw: Uint8Array): Uint8Array {
  const outer = new DerReader(raw);
  const parts = new DerReader(outer.take(TAG.sequence));
  outer.end();
  const signed = new DerReader(parts.take(TAG.sequence));
  takeEd25519(parts);
  if (takeBits(parts).length !== SIGNATURE_BYTES) throw new RangeError("a signature of another length");
  parts.end();

  const version = signed.take(TAG.context0);
  if (version.toHex() !== "020102") throw new RangeError("not of version 3");
  signed.take(TAG.integer);
  takeEd25519(signed);
  signed.take(TAG.sequence); // Issuer, validity and subject say nothing that is believed.
  signed.take(TAG.sequence);
  signed.take(TAG.sequence);
  const keyInfo = new DerReader(signed.take(TAG.sequence));
  signed.take(TAG.context3);
  signed.end();

  takeEd25519(keyInfo);
  const publicKey = takeBits(keyInfo);
  keyInfo.end();
  if (publicKey.length !== KEY_BYTES) throw new RangeError("a key of another length");
  return publicKey.slice();
}

function takeEd25519(reader: DerReader): void {
  if (der(TAG.sequence, reader.take(TAG.sequence)).toHex() !== ED25519.toHex()) throw new RangeError("not Ed25519");
}

function takeBits(reader: DerReader): Uint8Array {
  const content = reader.take(TAG.bitString);
  if (content[0] !== 0) throw new RangeError("a bit string of no whole bytes");
  return content.subarray(1);
}

function bitString(bytes: Uint8Array): Uint8Array {
  return der(TAG.bitString, Uint8Array.of(0), bytes);
}

/** A positive number of 16 bytes that is the key's own. */
function serialOf(publicKey: Uint8Array): Uint8Array {
  const serial = new Bun.CryptoHasher("sha256").update(publicKey).digest().subarray(0, 16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial;
}

/** A Name with one common name (2.5.4.3), the machine's id: 64 characters, as many as it may have. */
function nameOf(id: PeerId): Uint8Array {
  const commonName = der(TAG.utf8String, new TextEncoder().encode(id));
  const attribute = der(TAG.sequence, der(TAG.objectId, Uint8Array.of(0x55, 0x04, 0x03)), commonName);
  return der(TAG.sequence, der(TAG.set, attribute));
}

function time(text: string): Uint8Array {
  return der(TAG.generalizedTime, new TextEncoder().encode(text));
}

/** Lines of 64 characters. No blank line may follow a last line that is full: Bun's TLS refuses such a file. */
function pem(label: string, bytes: Uint8Array): string {
  const lines = bytes.toBase64().match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
