// Ed25519 (RFC 8032) as the port of whoever signs and checks. The real one is io/native-signatures.ts.

export interface Signatures {
  /** The public key (32 bytes) of a seed (32 bytes). */
  publicKeyOf(seed: Uint8Array): Uint8Array;
  /** A signature of 64 bytes. The same seed and message give the same one. */
  sign(seed: Uint8Array, message: Uint8Array): Uint8Array;
  /** Whether the signature is right. False, never an error, for keys and signatures of any length or form. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
}
