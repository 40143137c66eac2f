import { describe, expect, test } from "bun:test";
import { MeshError } from "../../../src/base/errors.ts";
import { evaluate, interpolate, sourceOf } from "../../../src/spec/expression/evaluate.ts";
import type { Expression } from "../../../src/spec/expression/syntax.ts";
import { expressionsOf, parseTemplate } from "../../../src/spec/expression/template.ts";
import type { Scope, Value } from "../../../src/spec/expression/value.ts";

const SCOPE: Scope = {
  init: { text: "main", empty: "", no: "false", yes: "true", zero: 0, three: "3", nothing: null, "with-hyphen": "h" },
  tasks: { build: { values: { version: "v1.2.3" } } },
  list: ["a", "b", 3],
  map: { a: [1, 2], b: { c: true } },
  run: { id: "r1", "started-at": "2026-03-01T04:05:06Z" },
};

function read(source: string): Expression {
  const { template, faults } = parseTemplate(`\${{ ${source} }}`, (offset) => ({ line: 1, column: offset + 1 }));
  const [expression] = expressionsOf(template);
  if (!expression || faults.length > 0) throw new Error(`Cannot read ${source}: ${JSON.stringify(faults)}`);
  return expression;
}

const VALUES: readonly (readonly [source: string, value: Value])[] = [
  ["'text'", "text"],
  ['"te\'xt"', "te'xt"],
  ["-1.5e2", -150],
  ["null", null],
  ["init.text", "main"],
  ["init['text']", "main"],
  ["init.with-hyphen", "h"],
  ["list[0]", "a"],
  ["list['1']", "b"],
  ["map.b.c", true],
  ["nothing?.x", null],
  ["init.nothing?.x?.y", null],
  ["init?.missing", null],
  ["list?[7]", null],
  ["map?['x']", null],
  ["!init.text", false],
  ["!!init.text", true],
  ["!init.empty", true],
  ["!init.no", true],
  ["!init.yes", false],
  ["!init.zero", true],
  ["!list", false],
  ["init.empty || 'default'", "default"],
  ["init.text || missing", "main"],
  ["init.no && missing", "false"],
  ["init.text && init.three", "3"],
  ["true || false && false", true],
  ["init.three == 3", true],
  ["'3.0' == 3", true],
  ["'3.0' == '3'", false],
  ["init.yes == true", true],
  ["init.nothing == null", true],
  ["init.empty == null", false],
  ["init.text != 'main'", false],
  ["map == map", true],
  ["list == map", false],
  ["'10' > '9'", true],
  ["'b' > 'a'", true],
  ["2 <= 2", true],
  ["1 >= 2", false],
  ["tasks.build.values.version =~ '^v\\d+\\.\\d+'", true],
  ["init.text !~ 'ai'", false],
  ["init.text == 'main' ? 'yes' : 'no'", "yes"],
  ["false ? 1 : true ? 2 : 3", 2],
  ["(false ? 1 : 2) == 2", true],
  ["starts-with(init.text, 'ma')", true],
  ["ends-with(init.text, 'ma')", false],
  ["contains(init.text, 'ai')", true],
  ["contains(list, '3')", true],
  ["contains(map, 'a')", true],
  ["init.text.starts-with('ma')", true],
  ["date('%Y-%m-%d %H:%M:%S %j %a %b %%')", "2026-03-01 04:05:06 060 Sun Mar %"],
  ["date('%F', 0)", "1970-01-01"],
  ["strftime('%T', '2020-01-01T01:02:03Z')", "01:02:03"],
];

describe("evaluate()", () => {
  const scope = { ...SCOPE, nothing: null };
  for (const [source, value] of VALUES) {
    test(`gives ${JSON.stringify(value)} for ${source}`, () => {
      expect(evaluate(read(source), scope)).toEqual(value);
    });
  }

  const FAULTS: readonly (readonly [source: string, message: string, hint: string])[] = [
    ["innit.text", "`innit` is not known here", "Did you mean `init`?"],
    ["init.txt", 'There is no "txt" in `init`', "Did you mean `text`?"],
    ["init.else", 'There is no "else" in `init`', 'Use `?.` where "else" may be missing.'],
    ["init.nothing.x", 'Cannot read "x" of `init.nothing`, which is null', ""],
    ["init.text.x", 'Cannot read "x" of `init.text`, which is a text', ""],
    ["list[9]", "There is no item 9 in `list`, which has 3", ""],
    ["init.toString", 'There is no "toString" in `init`', ""],
    ["upper('x')", "There is no function `upper`", ""],
    ["contains('x')", "`contains` is called with 1 arguments", "It is `contains(text or list, wanted)`."],
    ["null < 1", "Cannot order null and a number with `<`", ""],
    ["'x' =~ '('", 'Cannot match the pattern "(": a ( is never closed', ""],
    ["date('%Y', 'never')", "`date` has no result: it is given no time that can be read", ""],
  ];
  for (const [source, message, hint] of FAULTS) {
    test(`refuses ${source}`, () => {
      const caught = catchMesh(() => evaluate(read(source), SCOPE, "t.yml"));
      expect(caught.code).toBe("expression.invalid");
      expect(caught.message).toBe(message);
      expect(caught.place).toMatchObject({ file: "t.yml", line: 1 });
      if (hint !== "") expect(caught.hint).toBe(hint);
    });
  }

  test("looks at own members only", () => {
    expect(() => evaluate(read("constructor"), SCOPE)).toThrow("not known here");
    expect(evaluate(read("init?.constructor"), SCOPE)).toBeNull();
  });

  test("places a fault at the operand it belongs to", () => {
    expect(catchMesh(() => evaluate(read("init.text == init.nope"), SCOPE, "t.yml")).place).toEqual({
      file: "t.yml",
      line: 1,
      column: 18,
    });
  });
});

describe("interpolate()", () => {
  const text = (template: string): string =>
    interpolate(parseTemplate(template, () => ({ line: 1, column: 1 })).template, SCOPE);

  test("puts the texts of values between the pieces", () => {
    expect(text("a ${{ init.text }} b ${{ init.nothing }} c ${{ 1.50 }} ${{ true }} ${{ map.a }}")).toBe(
      "a main b  c 1.5 true [1,2]",
    );
  });

  test("leaves escaped braces as text", () => {
    expect(text("\\${{ init.text }} ${{ init.three }} $ { {{ x }} ${VAR}")).toBe(
      "${{ init.text }} 3 $ { {{ x }} ${VAR}",
    );
    expect(text("\\\\${{ init.three }} \\\\\\${{ x }}")).toBe("\\3 \\${{ x }}");
    expect(text("\\n \\\\")).toBe("\\n \\\\");
  });

  test("takes braces inside text as text", () => {
    expect(text("${{ '}}' }}${{ \"{{\" }}")).toBe("}}{{");
  });
});

describe("sourceOf()", () => {
  test("writes an expression so that it reads the same again", () => {
    const sources = ['a.b?.c["d"]?[0]', "!(a == 1 && b)", "f(a, g())", "a ? b : c", "null"];
    for (const source of sources) {
      const once = sourceOf(read(source));
      expect(sourceOf(read(once))).toBe(once);
    }
  });
});

function catchMesh(act: () => unknown): MeshError {
  try {
    act();
  } catch (error) {
    if (error instanceof MeshError) return error;
    throw error;
  }
  throw new Error("Expected a MeshError");
}
