import { expect, test } from "bun:test";
import { makeInviteCode, parseInviteCode } from "../../src/mesh/invite-code.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

function randomCode(random: SeededRandom) {
  return makeInviteCode(
    random.below(32),
    Uint8Array.from({ length: 5 }, () => random.below(256)),
  );
}

test("makeInviteCode() makes three groups of three, and each of 35 bits of chance counts", () => {
  expect(makeInviteCode(0, new Uint8Array(5)).text).toBe("000-000-000");
  const texts = new Set<string>();
  for (let bit = 0; bit < 35; bit++) {
    const random = new Uint8Array(5);
    random[4 - (bit >> 3)] = 1 << (bit & 7);
    const { text, slot } = makeInviteCode(19, random);
    expect(text).toMatch(/^[0-9a-hjkmnp-tv-z]{3}-[0-9a-hjkmnp-tv-z]{3}-[0-9a-hjkmnp-tv-z]{3}$/);
    expect(slot).toBe(19);
    texts.add(text);
  }
  expect(texts.size).toBe(35);
});

test("parseInviteCode() reads a code as people write it", () => {
  const random = new SeededRandom(4);
  for (let round = 0; round < 100; round++) {
    const code = randomCode(random);
    const { text } = code;
    const spellings = [text, text.toUpperCase(), text.replaceAll("-", ""), ` ${text.replaceAll("-", " ")}\n`];
    spellings.push(text.replaceAll("0", "O").replaceAll("1", "l"), text.replaceAll("1", "I"));
    for (const spelling of spellings) expect(parseInviteCode(spelling)).toEqual({ kind: "code", code });
  }
});

test("parseInviteCode() notices any one wrong character, and any two that changed places", () => {
  const random = new SeededRandom(5);
  for (let round = 0; round < 40; round++) {
    const chars = randomCode(random).text.replaceAll("-", "").split("");
    for (const [at, char] of chars.entries()) {
      for (const other of ALPHABET) {
        if (other !== char) expect(parseInviteCode(chars.with(at, other).join("")).kind).toBe("mistyped");
      }
      for (const [to, second] of chars.entries()) {
        if (second !== char)
          expect(parseInviteCode(chars.with(at, second).with(to, char).join("")).kind).toBe("mistyped");
      }
    }
  }
});

test("parseInviteCode() refuses what has not the form of a code", () => {
  for (const text of [
    "",
    "k7q",
    "k7q-m2x-dn",
    "k7q-m2x-dn44",
    "k7q-m2x-dnu",
    "k7q-m2x-dn\u00e4",
    "0".repeat(10_000),
    "\u{1f600}".repeat(9),
  ]) {
    expect(parseInviteCode(text)).toEqual({ kind: "malformed" });
  }
});
