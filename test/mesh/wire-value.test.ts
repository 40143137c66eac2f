// What crosses the wire is plain, and what is not never reaches the decoder.

import { describe, expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import { LIMITS } from "../../src/base/limits.ts";
import { packValue, unpackValue } from "../../src/mesh/wire-value.ts";

function faultOf(bytes: Uint8Array): string {
  try {
    unpackValue(bytes);
  } catch (error) {
    if (error instanceof MeshError && error.code === "peer.misbehaved") return error.message.replace(/^.*?: /, "");
    throw error;
  }
  return "none";
}

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replaceAll(" ", ""));

describe("packValue() and unpackValue()", () => {
  const plain = [
    null,
    true,
    0,
    -1,
    127,
    128,
    -33,
    65_536,
    2 ** 31,
    2 ** 40 + 1,
    Number.MAX_SAFE_INTEGER,
    -(2 ** 45),
    1.5,
    "",
    "é",
    "x".repeat(70_000),
    [],
    {},
    [1, [2, [3]]],
    { a: { b: ["c", null] }, constructor: 1, hasOwnProperty: 2 },
    Array.from({ length: 20 }, (_, index) => index),
    Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`key${index}`, index])),
  ];

  test("give every plain value back", () => {
    for (const value of plain) expect(unpackValue(packValue(value))).toEqual(value);
  });

  test("give bytes back as bytes of their own", () => {
    const packed = packValue({ bytes: new Uint8Array(300).fill(7) });
    const { bytes } = unpackValue(packed) as { readonly bytes: Uint8Array };
    packed.fill(0);
    expect(new Uint8Array(bytes)).toEqual(new Uint8Array(300).fill(7));
    expect(bytes.buffer.byteLength).toBeLessThan(2_000);
  });

  test("leave undefined fields out, as JSON does", () => {
    expect(unpackValue(packValue({ a: undefined, b: [undefined] }))).toEqual({ b: [null] });
  });

  test("leave room in front of a value", () => {
    expect(packValue("a", 8).subarray(8)).toEqual(packValue("a").subarray(0));
  });
});

describe("packValue()", () => {
  test("refuses what the other side would refuse", () => {
    const deep = JSON.parse("[".repeat(40) + "]".repeat(40)) as unknown;
    const values = [new Date(0), 5n, deep, JSON.parse('{"__proto__":1}') as unknown, Array(200_000).fill(0)];
    for (const value of values) expect(() => packValue(value)).toThrow("Cannot send a value to another machine");
  });
});

describe("unpackValue() refuses", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["no bytes", "", "it ends early"],
    ["bytes after the value", "01 02", "bytes follow its end"],
    ["a cut text", "a3 61 62", "it ends early"],
    ["a cut number", "cd 01", "it ends early"],
    ["a list longer than its bytes", "dd ff ff ff ff", "it counts more values than it holds"],
    ["a map longer than its bytes", "df 7f ff ff ff 00", "it counts more values than it holds"],
    ["bytes longer than all there is", "c6 ff ff ff ff 00", "it ends early"],
    ["a key that is a number", "81 01 02", "the key at byte 1 is not text"],
    ["a key that is a list", "81 90 02", "the key at byte 1 is not text"],
    ["__proto__", "81 a9 5f5f70726f746f5f5f 80", "it names __proto__"],
    [
      "__proto__ inside a list, its length in a byte of its own",
      "91 81 d9 09 5f5f70726f746f5f5f 80",
      "it names __proto__",
    ],
    ["the unused type", "c1", "the type 0xc1 at byte 0 is not allowed"],
    ["a record definition", "d4 72 40 91 a1 61 01", "the type 0xd4 at byte 0 is not allowed"],
    ["a regular expression", "92 c7 03 78 92 a1 61 a0", "the type 0xc7 at byte 1 is not allowed"],
    ["an error", "c7 05 65 93 a1 61 a1 62 c0", "the type 0xc7 at byte 0 is not allowed"],
    ["a date", "d6 ff 00 00 00 00", "the type 0xd6 at byte 0 is not allowed"],
    ["a 64-bit integer", "cf 00 00 00 00 00 00 00 01", "the type 0xcf at byte 0 is not allowed"],
  ];
  for (const [what, bytes, fault] of cases) {
    test(what, () => expect(faultOf(hex(bytes))).toBe(fault));
  }

  test("more values than a message may have", () => {
    const list = new Uint8Array(5 + LIMITS.messageValues);
    list.set(hex("dd 00 02 00 00"));
    expect(faultOf(list)).toBe(`it has more than ${LIMITS.messageValues} values`);
  });

  test("deep nesting, without a deep stack", () => {
    expect(faultOf(new Uint8Array(1_000_000).fill(0x91))).toBe(`it is nested deeper than ${LIMITS.messageDepth}`);
  });
});

test("unpackValue() keeps nothing of one message for the next", () => {
  // 0x40 to 0x7f name records where there are any.
  expect(faultOf(hex("d4 72 40 91 a1 61 01"))).not.toBe("none");
  expect(unpackValue(hex("40"))).toBe(0x40);
  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
});
