import { expect, test } from "bun:test";
import { der, DerReader, TAG } from "../../src/mesh/der.ts";

test("der() writes lengths in their shortest form, and DerReader reads them back", () => {
  for (const [length, head] of [
    [0, "0400"],
    [127, "047f"],
    [128, "048180"],
    [255, "0481ff"],
    [256, "04820100"],
  ] as const) {
    const element = der(TAG.octetString, new Uint8Array(length));
    expect(element.subarray(0, element.length - length).toHex()).toBe(head);
    const reader = new DerReader(element);
    expect(reader.take(TAG.octetString).length).toBe(length);
    reader.end();
  }
});

test("DerReader refuses what is not DER", () => {
  for (const hex of ["", "04", "0402ff", "0480", "048100", "04817f", "0482007f", "0483000001ff", "1f0100"]) {
    expect(() => new DerReader(Uint8Array.fromHex(hex)).next()).toThrow(RangeError);
  }
  expect(() => new DerReader(Uint8Array.of(0x04, 0)).take(TAG.integer)).toThrow(RangeError);
  expect(() => new DerReader(Uint8Array.of(0)).end()).toThrow(RangeError);
});
