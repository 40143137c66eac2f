import { describe, expect, test } from "bun:test";
import { LIMITS } from "../../src/base/limits.ts";
import { parseDefinition } from "../../src/spec/parse.ts";
import { Report } from "../../src/spec/report.ts";
import { makeSource } from "../../src/spec/source.ts";
import { type Node, readYaml } from "../../src/spec/yaml.ts";

function read(text: string): Node | null {
  const source = makeSource("t.yml", text);
  return readYaml(source, new Report(source));
}

/** A tree without its places. */
function plain(node: Node | null): unknown {
  if (!node) return null;
  if (node.kind === "scalar") return node.value;
  if (node.kind === "list") return node.items.map(plain);
  return Object.fromEntries(node.entries.map(({ key, value }) => [key, plain(value)]));
}

/** How the text is refused; it must not take longer than a person waits. */
function refusal(text: string): string {
  const started = performance.now();
  const { definition, diagnostics } = parseDefinition(text, { file: "t.yml" });
  expect(performance.now() - started).toBeLessThan(5_000);
  expect(definition).toBeNull();
  return diagnostics.map(({ message }) => message).join("; ");
}

describe("readYaml()", () => {
  test("reads scalars, lists, maps, blocks and aliases with their places", () => {
    const text = 'a: &x [1, "two", true, null]\nb: |\n  line\nc: *x\n"d e": 0x10';
    const root = read(text);
    expect(plain(root)).toEqual({ a: [1, "two", true, null], b: "line\n", c: [1, "two", true, null], "d e": 16 });
    const [, second] = root?.kind === "map" ? root.entries : [];
    expect(second?.keySpan).toEqual({ start: 29, end: 30 });
    expect(second?.value).toMatchObject({ style: "block", start: 32, end: 41 });
  });

  test("does not expand an alias: the same node stands at both places", () => {
    const root = read("a: &x {b: 1}\nc: *x");
    expect(root?.kind === "map" && root.entries[0]?.value === root.entries[1]?.value).toBe(true);
  });

  test("applies merge keys behind the map's own, a quoted one is a key like others", () => {
    expect(plain(read('a: &a {x: 1, y: 1}\nb: {y: 2, <<: *a}\nc: {"<<": 1}'))).toEqual({
      a: { x: 1, y: 1 },
      b: { y: 2, x: 1 },
      c: { "<<": 1 },
    });
  });

  test("takes the last of two anchors of one name that stands before the alias", () => {
    expect(plain(read("a: &x 1\nb: *x\nc: &x 2\nd: *x"))).toEqual({ a: 1, b: 1, c: 2, d: 2 });
  });

  test("gives nothing for an empty text", () => {
    expect(read("")).toBeNull();
    expect(read("# only a comment\n")).toBeNull();
  });
});

describe("parseDefinition() refuses quickly", () => {
  const manyNodes = `more than ${LIMITS.definitionNodes.toLocaleString("en")} nodes`;

  test("a bomb of aliases", () => {
    const lines = Array.from(
      { length: 30 },
      (_, index) => `a${index + 1}: &a${index + 1} [${`*a${index},`.repeat(9)}]`,
    );
    expect(refusal(`a0: &a0 [${"x,".repeat(9)}]\n${lines.join("\n")}\ntasks: []`)).toContain(manyNodes);
  });

  test("a bomb of merges", () => {
    const lines = Array.from(
      { length: 30 },
      (_, index) => `a${index + 1}: &a${index + 1} {<<: [${`*a${index},`.repeat(9)}]}`,
    );
    expect(refusal(`a0: &a0 {x: 1}\n${lines.join("\n")}\ntasks: []`)).toContain(manyNodes);
  });

  test("a wide map merged into thousands", () => {
    const wide = Array.from({ length: 2_000 }, (_, index) => `k${index}: 1`).join(", ");
    const tasks = Array.from({ length: 2_000 }, (_, index) => `  - {key: t${index}, run: x, env: {<<: *wide}}`).join(
      "\n",
    );
    expect(refusal(`aliases: [&wide {${wide}}]\ntasks:\n${tasks}`)).toContain("once merges are applied");
  });

  test("nesting without end, in brackets and in lines", () => {
    expect(refusal(`tasks: ${"[".repeat(3_000_000)}`)).toContain("nested more than 64 deep");
    expect(refusal(`tasks: ${"{a: ".repeat(500_000)}`)).toContain("nested more than 64 deep");
    expect(refusal(`tasks:\n  ${"- ".repeat(5_000)}x`)).toContain("nested more than 64 deep");
    expect(refusal(Array.from({ length: 1_000 }, (_, index) => `${" ".repeat(index)}a:\n`).join(""))).toContain(
      "nested more than 64 deep",
    );
  });

  test("a definition over the bound of bytes, and one over the bound of tasks", () => {
    expect(refusal("#".repeat(LIMITS.definitionBytes + 1))).toBe("The definition is larger than 16 MiB");
    expect(refusal(`tasks: [${"x,".repeat(LIMITS.tasks + 1)}]`)).toContain("50,001 tasks");
  });

  test("expressions that do not end", () => {
    expect(refusal(`tasks:\n  - key: a\n    run: |\n${"      ${{ ( \n".repeat(100_000)}`)).toContain(
      "means nothing in an expression",
    );
  });
});

describe("parseDefinition() takes", () => {
  test("a definition of 10 MB", () => {
    const script = `      echo \${{ run.id }} ${"x".repeat(80)}\n`.repeat(95_000);
    const text = `tasks:\n  - key: a\n    run: |\n${script}`;
    expect(text.length).toBeGreaterThan(9_500_000);
    expect(parseDefinition(text, { file: "t.yml" })).toMatchObject({
      definition: { tasks: [{ key: "a" }] },
      diagnostics: [],
    });
  });

  test("20,000 tasks in one chain", () => {
    const tasks = Array.from({ length: 20_000 }, (_, index) => `  - {key: t${index}, run: x, use: t${index + 1}}`).join(
      "\n",
    );
    const { definition, diagnostics } = parseDefinition(`tasks:\n${tasks}\n  - {key: t20000, run: x}`, {
      file: "t.yml",
    });
    expect(diagnostics).toEqual([]);
    expect(definition?.tasks).toHaveLength(20_001);
  });

  test("a task that uses more tasks than a call takes arguments", () => {
    const uses = "      - t\n".repeat(100_000);
    const text = `tasks:\n  - {key: t, run: x}\n  - key: a\n    run: x\n    use:\n${uses}`;
    expect(parseDefinition(text, { file: "t.yml" }).definition?.tasks[1]).toMatchObject({ use: ["t"] });
  });
});
