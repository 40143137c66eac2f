import { describe, expect, test } from "bun:test";
import { bytesOfName, textOfName } from "../../src/store/names.ts";
import { forSeeds } from "./support.ts";

describe("textOfName()", () => {
  test("textOfName() and bytesOfName() lose no byte", () =>
    forSeeds(300, (random) => {
      const pieces = [
        [0x61],
        [0xff],
        [0xc3, 0xa9],
        [0xc3],
        [0xf0, 0x9f, 0x98, 0x80],
        [0xed, 0xb2, 0x80],
        [0xf0, 0x9f],
        [0x0a],
        [0xef, 0xbb, 0xbf],
      ];
      const bytes = Uint8Array.from(Array.from({ length: random.below(8) }, () => random.pick(pieces)).flat());
      expect([...bytesOfName(textOfName(bytes))]).toEqual([...bytes]);
    }));

  test("textOfName() keeps valid UTF-8 as it reads", () => {
    expect(textOfName(new TextEncoder().encode("ünï/日本\n"))).toBe("ünï/日本\n");
  });
});
