// Against RFC 8032's own vectors and against another implementation.

import { expect, test } from "bun:test";
import { ed25519 } from "@noble/curves/ed25519.js";
import { nativeSignatures } from "../../../src/mesh/io/native-signatures.ts";

const SEED = Uint8Array.fromHex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7");
const PUBLIC = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
const SIGNATURE =
  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";

test("nativeSignatures gives RFC 8032's third vector", () => {
  const message = Uint8Array.of(0xaf, 0x82);
  expect(nativeSignatures.publicKeyOf(SEED).toHex()).toBe(PUBLIC);
  expect(nativeSignatures.sign(SEED, message).toHex()).toBe(SIGNATURE);
  expect(nativeSignatures.verify(Uint8Array.fromHex(PUBLIC), message, Uint8Array.fromHex(SIGNATURE))).toBe(true);
});

test("nativeSignatures and @noble/curves accept each other's keys and signatures", () => {
  for (let byte = 0; byte < 4; byte++) {
    const seed = new Uint8Array(32).fill(byte);
    const message = new Uint8Array(100).fill(byte);
    const publicKey = nativeSignatures.publicKeyOf(seed);
    expect(ed25519.getPublicKey(seed).toHex()).toBe(publicKey.toHex());
    expect(ed25519.verify(nativeSignatures.sign(seed, message), message, publicKey)).toBe(true);
    expect(nativeSignatures.verify(publicKey, message, ed25519.sign(message, seed))).toBe(true);
  }
});

test("nativeSignatures.verify() is false for what is wrong in any way", () => {
  const key = nativeSignatures.publicKeyOf(SEED);
  const message = Uint8Array.of(1, 2, 3);
  const signature = nativeSignatures.sign(SEED, message);
  const changed = signature.with(40, (signature[40] ?? 0) ^ 1);
  expect(nativeSignatures.verify(key, message, changed)).toBe(false);
  expect(nativeSignatures.verify(key, Uint8Array.of(1, 2), signature)).toBe(false);
  expect(nativeSignatures.verify(key.subarray(1), message, signature)).toBe(false);
  expect(nativeSignatures.verify(key, message, signature.subarray(1))).toBe(false);
  expect(nativeSignatures.verify(new Uint8Array(32).fill(0xff), message, signature)).toBe(false);
  expect(nativeSignatures.verify(new Uint8Array(), message, new Uint8Array())).toBe(false);
});
