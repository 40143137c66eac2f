import { describe, expect, test } from "bun:test";
import { compareParts, keyOf } from "../../src/store/key-parts.ts";

describe("keyOf()", () => {
  test("keyOf() depends on names and contents, not on their order", () => {
    expect(keyOf({ a: "1", b: ["2"] })).toBe(keyOf({ b: ["2"], a: "1" }));
    expect(keyOf({ a: "1" })).not.toBe(keyOf({ a: ["1"] }));
  });
});

describe("compareParts()", () => {
  test("compareParts() says what was added, removed and changed", () => {
    const before = { script: "make", env: ["A=1", "B=2"], old: "x", same: ["y"] };
    const after = { script: "make all", env: ["A=1", "B=3"], same: ["y"], fresh: "z" };
    expect(compareParts(before, after)).toEqual([
      { kind: "changed", part: "script", before: "make", after: "make all" },
      { kind: "list", part: "env", added: ["B=3"], removed: ["B=2"] },
      { kind: "added", part: "fresh" },
      { kind: "removed", part: "old" },
    ]);
  });

  test("compareParts() sees another order of a list", () => {
    expect(compareParts({ use: ["a", "b"] }, { use: ["b", "a"] })).toEqual([
      { kind: "list", part: "use", added: [], removed: [] },
    ]);
  });
});
