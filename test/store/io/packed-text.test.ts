import { describe, expect, test } from "bun:test";
import { packText, unpackText } from "../../../src/store/io/packed-text.ts";

describe("packText()", () => {
  test("leaves a short text as it is and makes a long one shorter; unpackText() gives both back", () => {
    for (const text of ["", "short", "ä€😀".repeat(10)])
      expect([packText(text), unpackText(text)]).toEqual([text, text]);
    const long = JSON.stringify(Array.from({ length: 1_000 }, (_, key) => ({ key, text: "ä€😀" })));
    const packed = packText(long);
    expect(packed).toBeInstanceOf(Uint8Array);
    expect(packed.length).toBeLessThan(long.length / 5);
    expect(unpackText(packed)).toBe(long);
  });

  test("unpackText() throws for damaged bytes", () => {
    const packed = packText("text ".repeat(2_000)) as Uint8Array;
    expect(() => unpackText(packed.subarray(0, packed.length >> 1))).toThrow();
  });
});
