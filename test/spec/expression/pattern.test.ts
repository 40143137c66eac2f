import { describe, expect, test } from "bun:test";
import { compilePattern, matchesPattern, MOST_SUBJECT } from "../../../src/spec/expression/pattern.ts";
import { seeded } from "../seeded.ts";

describe("matchesPattern()", () => {
  test("agrees with the engine's own regular expressions", () => {
    const atoms = [
      "a",
      "b",
      ".",
      "[ab]",
      "[^a1]",
      "\\d",
      "\\W",
      "\\s",
      "(a|b)",
      "(?:ab|)",
      "^",
      "$",
      "\\b",
      "a{2}",
      "b{1,2}",
      "a{0,}",
      "(?<n>a*b)",
      "[a-c]",
      "\\.",
      "[\\d-]",
    ];
    const random = seeded(11);
    const pick = (from: readonly string[]): string => from[random(from.length)] ?? "";
    let compared = 0;
    for (let round = 0; round < 4000; round++) {
      let source = "";
      for (let part = random(5); part >= 0; part--)
        source += pick(atoms) + pick(["", "", "", "*", "+", "?", "|", "+?"]);
      const own = nativeOf(source);
      if (!own || /[\^$b][*+?]/.test(source) || /[}*+?][*+?]{1,2}/.test(source)) continue;
      const text = Array.from({ length: random(7) }, () => pick(["a", "b", "1", " ", "\n", "."])).join("");
      expect({ source, text, matches: matchesPattern(compilePattern(source), text) }).toEqual({
        source,
        text,
        matches: own.test(text),
      });
      compared++;
    }
    expect(compared).toBeGreaterThan(1500);
  });

  test("takes time linear in the text where backtracking would take for ever", () => {
    const pattern = compilePattern("^(a*)*(a|aa)+(a?){30}$");
    expect(matchesPattern(pattern, `${"a".repeat(MOST_SUBJECT - 1)}b`)).toBe(false);
  });
});

describe("compilePattern()", () => {
  const REFUSED: readonly (readonly [source: string, message: string])[] = [
    ["(", "a ( is never closed"],
    ["a)", "a ) closes no group"],
    ["[a", "a [ is never closed"],
    ["*a", "nothing stands before the *"],
    ["a**", "a quantifier follows a quantifier"],
    ["a{3,2}", "a {m,n} has m above n"],
    ["[b-a]", "a range in [ ] is out of order"],
    ["(?=a)", "it looks around with (?=, (?!, (?<= or (?<!, which is not supported"],
    ["(?<!a)", "it looks around with (?=, (?!, (?<= or (?<!, which is not supported"],
    ["(a)\\1", "it refers back to a group, which is not supported"],
    ["a\\", "it ends with a backslash"],
    ["(a{100}){100}", "it is too large"],
    ["a{1000000000}", "it is too large"],
    ["(".repeat(60), "its groups are nested more than 50 deep"],
    ["a".repeat(1001), "it is longer than 1000 characters"],
  ];
  for (const [source, message] of REFUSED) {
    test(`refuses ${source.slice(0, 20)}: ${message}`, () => {
      expect(() => compilePattern(source)).toThrow(message);
    });
  }
});

function nativeOf(source: string): RegExp | null {
  try {
    return new RegExp(source);
  } catch {
    return null;
  }
}
