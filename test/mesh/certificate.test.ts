import { expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { LIMITS } from "../../src/base/limits.ts";
import { peerIdOf } from "../../src/base/ids.ts";
import {
  certificatePemOf,
  peerIdOfCertificate,
  privateKeyPemOf,
  publicKeyOfCertificate,
} from "../../src/mesh/certificate.ts";
import { identityOf } from "../../src/mesh/identity.ts";
import { nativeSignatures } from "../../src/mesh/io/native-signatures.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

const IDENTITY = identityOf(new Uint8Array(32).fill(7), nativeSignatures);
const RAW = rawOf(IDENTITY.certificatePem);

function rawOf(pem: string): Uint8Array {
  return Uint8Array.fromBase64(pem.replace(/-----[^-]+-----/g, "").replace(/\s/g, ""));
}

test("certificatePemOf() makes what another reader takes for a self-signed Ed25519 certificate of that key", () => {
  const certificate = new X509Certificate(IDENTITY.certificatePem);
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(certificate.issuer).toBe(certificate.subject);
  expect(certificate.subject).toBe(`CN=${IDENTITY.id}`);
  expect(certificate.ca).toBe(false);
  expect(certificate.publicKey.asymmetricKeyType).toBe("ed25519");
  expect(certificate.publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("hex")).toBe(IDENTITY.id);
  expect(BigInt(`0x${certificate.serialNumber}`) > 0n).toBe(true);
});

test("certificatePemOf() and privateKeyPemOf() write no blank line and end their last one", () => {
  for (const pem of [
    certificatePemOf(IDENTITY.publicKey, () => new Uint8Array(64)),
    privateKeyPemOf(new Uint8Array(32)),
  ]) {
    expect(pem).not.toContain("\n\n");
    expect(pem.endsWith("-----\n")).toBe(true);
  }
});

test("publicKeyOfCertificate() gives back the key, peerIdOfCertificate() the machine's id", () => {
  expect(publicKeyOfCertificate(RAW)).toEqual(IDENTITY.publicKey);
  expect(peerIdOfCertificate(RAW)).toBe(peerIdOf(IDENTITY.publicKey));
});

test("publicKeyOfCertificate() refuses a certificate that is cut short anywhere, or goes on", () => {
  for (let length = 0; length < RAW.length; length++)
    expect(publicKeyOfCertificate(RAW.subarray(0, length))).toBeNull();
  expect(publicKeyOfCertificate(Uint8Array.of(...RAW, 0))).toBeNull();
});

test("publicKeyOfCertificate() refuses one of another algorithm, of another version, and one that is too large", () => {
  const hex = RAW.toHex();
  expect(publicKeyOfCertificate(Uint8Array.fromHex(hex.replaceAll("2b6570", "2b6571")))).toBeNull();
  expect(publicKeyOfCertificate(Uint8Array.fromHex(hex.replace("a003020102", "a003020101")))).toBeNull();
  expect(publicKeyOfCertificate(new Uint8Array(LIMITS.certificateBytes + 1))).toBeNull();
});

test("publicKeyOfCertificate() answers 10,000 damaged certificates with a key or with null", () => {
  const random = new SeededRandom(1);
  for (let round = 0; round < 10_000; round++) {
    const damaged = RAW.slice();
    for (let count = 1 + random.below(4); count > 0; count--) damaged[random.below(damaged.length)] = random.below(256);
    const key = publicKeyOfCertificate(damaged);
    expect(key === null || key.length === 32).toBe(true);
  }
});
