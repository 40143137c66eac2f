import { describe, expect, test } from "bun:test";
import { RULES } from "../../src/spec/diagnostic.ts";
import { FUNCTIONS } from "../../src/spec/expression/functions.ts";
import { BUILT_IN_PACKAGES } from "../../src/spec/packages.ts";
import { TASK_KEYS } from "../../src/spec/task/task.ts";
import { RUN_KEYS } from "../../src/spec/parse.ts";
import { found } from "./marked.ts";

const REFERENCE = await Bun.file(new URL("../../docs/tasks-yml.md", import.meta.url)).text();

describe("docs/tasks-yml.md", () => {
  const blocks = [...REFERENCE.matchAll(/^```yaml\n(.*?)^```$/gms)].map((match) => ({
    text: match[1] ?? "",
    line: REFERENCE.slice(0, match.index).split("\n").length,
  }));

  test("has examples", () => {
    expect(blocks.length).toBeGreaterThan(15);
  });

  for (const { text, line } of blocks) {
    test(`the example in line ${line} is clean`, () => {
      expect(found(text)).toEqual([]);
    });
  }

  test("names every key, rule, function and built-in parameter", () => {
    const names = [
      ...RUN_KEYS,
      ...Object.values(TASK_KEYS).flat(),
      ...Object.keys(RULES),
      ...Object.keys(FUNCTIONS),
      ...[...BUILT_IN_PACKAGES].flatMap(([name, { parameters }]) => [name, ...Object.keys(parameters)]),
    ];
    const old = new Set(["bootstrapping", "github-access-token"]);
    expect(names.filter((name) => !old.has(name) && !REFERENCE.includes(name))).toEqual([]);
  });

  test("says of every rule what diagnostic.ts says", () => {
    const lines = new Set(REFERENCE.split("\n").map((line) => line.replace(/\s+/g, " ")));
    const rows = Object.entries(RULES).map(([rule, { severity, title }]) => `| \`${rule}\` | ${severity}: ${title} |`);
    expect(rows.filter((row) => !lines.has(row))).toEqual([]);
  });
});
