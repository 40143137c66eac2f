// Who a machine is: an Ed25519 key and what follows from it. It never reads or writes a file.

import { type PeerId, peerIdOf } from "../base/ids.ts";
import { certificatePemOf, privateKeyPemOf } from "./certificate.ts";
import type { Signatures } from "./signatures.ts";

export interface Identity {
  readonly id: PeerId;
  /** 32 bytes; `id` in another form. */
  readonly publicKey: Uint8Array;
  /** For TLS. */
  readonly certificatePem: string;
  /** For TLS. A secret. */
  readonly privateKeyPem: string;
  /** A signature of 64 bytes by this machine. */
  sign(message: Uint8Array): Uint8Array;
}

/** The identity whose private key is this seed of 32 bytes. */
export function identityOf(seed: Uint8Array, signatures: Signatures): Identity {
  const publicKey = signatures.publicKeyOf(seed);
  const sign = (message: Uint8Array) => signatures.sign(seed, message);
  return {
    id: peerIdOf(publicKey),
    publicKey,
    certificatePem: certificatePemOf(publicKey, sign),
    privateKeyPem: privateKeyPemOf(seed),
    sign,
  };
}
