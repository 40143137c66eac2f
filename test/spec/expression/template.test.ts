import { describe, expect, test } from "bun:test";
import { LIMITS } from "../../../src/base/limits.ts";
import { expressionsOf, joinTemplates, parseTemplate } from "../../../src/spec/expression/template.ts";

const place = (offset: number): { line: number; column: number } => ({ line: 1, column: offset + 1 });

function faultsOf(text: string): readonly string[] {
  return parseTemplate(text, place).faults.map(({ start, message }) => `${start} ${message}`);
}

describe("parseTemplate()", () => {
  test("keeps text without expressions as text", () => {
    expect(parseTemplate("echo $HOME ${x} }}", place)).toEqual({ template: "echo $HOME ${x} }}", faults: [] });
  });

  test("gives the tree of an expression with the place of every part", () => {
    const [expression] = expressionsOf(parseTemplate("${{ a.b == 'x' }}", place).template);
    const at = (column: number): { line: number; column: number } => ({ line: 1, column });
    expect(expression).toEqual({
      at: at(5),
      kind: "binary",
      operator: "==",
      left: { at: at(5), kind: "member", of: { at: at(5), kind: "name", name: "a" }, name: "b", optional: false },
      right: { at: at(12), kind: "literal", value: "x" },
    });
  });

  test("goes on after an expression with a fault", () => {
    expect(faultsOf("${{ a + }} ${{ b }} ${{ }} ${{ (c }}")).toEqual([
      '6 "+" means nothing in an expression',
      "24 The expression is empty",
      '34 Expected ")", found the end of the expression',
    ]);
  });

  test("stops at what is never closed", () => {
    expect(faultsOf("${{ a ${{ b }}")).toEqual(['6 "$" means nothing in an expression']);
    expect(faultsOf("${{ 'a }}")).toEqual(["4 The text that starts with ' is never closed"]);
    expect(faultsOf("x ${{")).toEqual(["2 The expression is never closed"]);
  });

  test("bounds length, depth and size", () => {
    expect(faultsOf(`\${{ ${" ".repeat(LIMITS.expressionChars + 1)} }}`)[0]).toContain("longer than");
    expect(faultsOf(`\${{ ${"(".repeat(100)}1${")".repeat(100)} }}`)[0]).toContain("nested more than");
    expect(faultsOf(`\${{ a${" || a".repeat(3000)} }}`)[0]).toContain("parts");
    expect(faultsOf(`\${{ ${"!".repeat(5000)}a }}`)[0]).toContain("parts");
    expect(faultsOf(`\${{ a${".b".repeat(5000)} }}`)[0]).toContain("parts");
  });
});

describe("joinTemplates()", () => {
  test("joins text and expressions by the separator", () => {
    const read = (text: string): ReturnType<typeof parseTemplate>["template"] => parseTemplate(text, place).template;
    expect(joinTemplates([read("a"), read("b")], "\n")).toBe("a\nb");
    expect(joinTemplates([], "\n")).toBe("");
    const joined = joinTemplates([read("a"), read("b ${{ c }}"), read("d")], "\n");
    expect(joined).toMatchObject({ pieces: ["a\nb ", { kind: "name", name: "c" }, "\nd"] });
  });
});
