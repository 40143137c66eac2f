// Ed25519 by the native library of the runtime, some twenty times as fast as one in TypeScript and nothing to load. In io/
// because its module holds chance as well; what is used of it has none.

import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { KEY_BYTES, SIGNATURE_BYTES } from "../certificate.ts";
import type { Signatures } from "../signatures.ts";

export const nativeSignatures: Signatures = {
  publicKeyOf(seed) {
    const spki = createPublicKey(privateKeyOf(seed)).export({ format: "der", type: "spki" });
    return new Uint8Array(spki.subarray(spki.length - KEY_BYTES));
  },
  sign(seed, message) {
    return new Uint8Array(sign(null, message, privateKeyOf(seed)));
  },
  verify(publicKey, message, signature) {
    if (publicKey.length !== KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false;
    try {
      const key = createPublicKey({ key: Buffer.concat([SPKI_HEAD, publicKey]), format: "der", type: "spki" });
      return verify(null, message, key, signature);
    } catch {
      return false; // Not a point of the curve.
    }
  },
};

/** What comes before the key itself in RFC 8410's SubjectPublicKeyInfo, and before the seed in its PKCS#8. */
const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex");
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

function privateKeyOf(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: "der", type: "pkcs8" });
}
