// The test vectors of draft-irtf-cfrg-cpace-21, appendix B.3 (ristretto255 and SHA-512) and A (encodings).

import { expect, test } from "bun:test";
import {
  cpaceKey,
  type CpaceInputs,
  cpaceShare,
  cpaceTag,
  generatorString,
  lengthValue,
  multiplied,
} from "../../src/mesh/cpace.ts";

const hex = (text: string) => Uint8Array.fromHex(text.replace(/\s/g, ""));
const utf8 = (text: string) => new TextEncoder().encode(text);

const INPUTS: CpaceInputs = {
  password: utf8("Password"),
  channel: hex("0b415f696e69746961746f720b425f726573706f6e646572"),
  session: hex("7e4b4791d6a8ef019b936c79fb7f2c57"),
};
const A = {
  scalar: hex("da3d23700a9e5699258aef94dc060dfda5ebb61f02a5ea77fad53f4ff0976d08"),
  share: hex("d6bac480f2c386c394efc7c47adb9925dcd2630b64f240c50f8d0eec482b9157"),
  data: utf8("ADa"),
};
const B = {
  scalar: hex("d2316b454718c35362d83d69df6320f38578ed5984651435e2949762d900b80d"),
  share: hex("3ea7e0b19560d7c0b0f5734f63b955286dfa8232b5ebe63324e2d9e7433f7258"),
  data: utf8("ADb"),
};
const K = "80b69a8a76457ab6a4d7f887a4bf6b55a2f80ac19c333f917a05fc9887c8b40f";
const ISK = `b69effbf61b51d56401c0f65601abe428de8206feaaf0e32198896dcae7b35cd
  2b38950a39dfd5d4a79164614c2984f7daa460b588c1e80c3fa2068af7900447`;

test("lengthValue() puts a length in LEB128 before each part", () => {
  expect(lengthValue(utf8("1234"), utf8("5"), new Uint8Array(), utf8("678")).toHex()).toBe("043132333401350003363738");
  expect(lengthValue(new Uint8Array(127)).subarray(0, 1).toHex()).toBe("7f");
  expect(lengthValue(new Uint8Array(128)).subarray(0, 2).toHex()).toBe("8001");
  expect(lengthValue(new Uint8Array(20_000)).subarray(0, 3).toHex()).toBe("a09c01");
});

test("generatorString() is the draft's (B.3.1)", () => {
  const expected = `11435061636552697374726574746f3235350850617373776f726464${"00".repeat(100)}
    180b415f696e69746961746f720b425f726573706f6e646572107e4b4791d6a8ef019b936c79fb7f2c57`;
  expect(generatorString(INPUTS).toHex()).toBe(hex(expected).toHex());
  // A secret that fills the block by itself gets no padding.
  expect(generatorString({ ...INPUTS, password: new Uint8Array(200) }).length).toBe(18 + 202 + 1 + 25 + 17);
});

test("cpaceShare() gives the draft's generator and shares (B.3.1, B.3.2, B.3.3)", () => {
  const one = new Uint8Array(32).with(0, 1);
  expect(cpaceShare(INPUTS, one).toHex()).toBe("222b6b195fe84b1652badb6f6a3ae3d24341e7306967f0b8115b40d5698c7e56");
  expect(cpaceShare(INPUTS, A.scalar).toHex()).toBe(A.share.toHex());
  expect(cpaceShare(INPUTS, B.scalar).toHex()).toBe(B.share.toHex());
  // Bits above the group's are not part of a scalar.
  expect(cpaceShare(INPUTS, A.scalar.with(31, 0xf8)).toHex()).toBe(A.share.toHex());
});

test("cpaceKey() gives the draft's key on both sides (B.3.4, B.3.5)", () => {
  expect(multiplied(A.scalar, B.share)?.toHex()).toBe(K);
  expect(multiplied(B.scalar, A.share)?.toHex()).toBe(K);
  const messages = { initiator: A, responder: B };
  expect(cpaceKey(INPUTS, A.scalar, { ...messages, other: B.share })?.toHex()).toBe(hex(ISK).toHex());
  expect(cpaceKey(INPUTS, B.scalar, { ...messages, other: A.share })?.toHex()).toBe(hex(ISK).toHex());
});

test("multiplied() takes a valid element and refuses what is none, or the neutral one (B.3.10, B.3.11)", () => {
  const scalar = hex("7cd0e075fa7955ba52c02759a6c90dbbfc10e6d40aea8d283e407d88cf538a05");
  const valid = hex("2c3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c");
  expect(multiplied(scalar, valid)?.toHex()).toBe("7c13645fe790a468f62c39beb7388e541d8405d1ade69d1778c5fe3e7f6b600e");
  const invalid = hex("2b3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c");
  const neutral = new Uint8Array(32);
  for (const share of [invalid, neutral, valid.subarray(1), new Uint8Array(33), new Uint8Array(32).fill(0xff)]) {
    expect(multiplied(scalar, share)).toBeNull();
    expect(cpaceKey(INPUTS, A.scalar, { initiator: A, responder: { share, data: B.data }, other: share })).toBeNull();
  }
});

test("cpaceKey() differs when anything differs: secret, channel, session, what is said with a share", () => {
  const keys = [
    { inputs: INPUTS, data: A.data },
    { inputs: { ...INPUTS, password: utf8("password") }, data: A.data },
    { inputs: { ...INPUTS, channel: utf8("other") }, data: A.data },
    { inputs: { ...INPUTS, session: utf8("other") }, data: A.data },
    { inputs: INPUTS, data: utf8("ADA") },
  ].map(({ inputs, data }) => {
    const initiator = { share: cpaceShare(inputs, A.scalar), data };
    return cpaceKey(INPUTS, B.scalar, { initiator, responder: B, other: initiator.share })?.toHex();
  });
  // A session that only one side sees otherwise shows in the share; that both see it is part of the hash as well.
  expect(new Set(keys).size).toBe(keys.length);
  const messages = { initiator: A, responder: B, other: A.share };
  expect(cpaceKey({ ...INPUTS, session: utf8("x") }, B.scalar, messages)?.toHex()).not.toBe(hex(ISK).toHex());
});

test("cpaceTag() differs for the two sides, for another key and for another session", () => {
  const key = hex(ISK);
  const tags = [
    cpaceTag(key, INPUTS.session, A),
    cpaceTag(key, INPUTS.session, B),
    cpaceTag(key.with(0, 0), INPUTS.session, A),
    cpaceTag(key, utf8("x"), A),
  ].map((tag) => tag.toHex());
  expect(new Set(tags).size).toBe(4);
  expect(cpaceTag(key, INPUTS.session, A).length).toBe(64);
});
