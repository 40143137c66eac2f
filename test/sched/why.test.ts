import { expect, test } from "bun:test";
import { cacheKey, type KeyInputs } from "../../src/sched/cache-key.ts";
import { compareKeys, describeDifference } from "../../src/sched/why.ts";
import { A, BASE, C } from "../fake/sched-key.ts";

function words(change: Partial<KeyInputs>, files?: Parameters<typeof compareKeys>[2]): readonly string[] {
  return compareKeys(cacheKey(BASE).parts, cacheKey({ ...BASE, ...change }).parts, files).map(describeDifference);
}

test("compareKeys() says nothing of equal keys", () => {
  expect(words({})).toEqual([]);
});

test("compareKeys() names script lines, variables, resources and outputs", () => {
  expect(words({ script: "set -e\nmake all\nmake test" })).toEqual(['script line 2 changed: "make" -> "make all"']);
  expect(words({ script: "set -e\nmake" })).toEqual(['script line 3 is gone: "make test"']);
  expect(words({ script: "set -e\nmake\nlint\nmake test" })).toEqual(['script line 3 is new: "lint"']);
  expect(words({ env: { FOO: "2", BAR: "x", API_TOKEN: "other" } })).toEqual([
    "env API_TOKEN differs (its value is not kept)",
    'env BAR is new: "x"',
    'env FOO differs: "1" -> "2"',
  ]);
  expect(words({ agent: { ...BASE.agent, cpuMilli: null }, base: "debian-14" })).toEqual([
    'the base changed: "debian-13" -> "debian-14"',
    'what the agent asks for (cpus) is gone: "2000"',
  ]);
  expect(words({ outputs: { "artifact bin": "out" } })).toEqual([
    'the declared output artifact bin changed: "dist/bin" -> "out"',
  ]);
});

test("compareKeys() names input files when listings are given", () => {
  const input = { kind: "layers", layers: [A, C] } as const;
  const files = {
    before: new Map([
      ["same", "1"],
      ["b/changed", "1"],
      ["gone", "1"],
    ]),
    after: new Map([
      ["same", "1"],
      ["b/changed", "2"],
      ["a\nnew", "1"],
    ]),
  };
  expect(words({ input }, files)).toEqual([
    "input file a\\nnew added",
    "input file b/changed changed",
    "input file gone removed",
  ]);
  expect(words({ input })).toEqual(["the input files differ"]);
  expect(words({ input }, { before: new Map(), after: new Map() })).toEqual(["the input files differ"]);
});

test("compareKeys() lists a bounded number of differences", () => {
  const env = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`V${index}`, "x"]));
  const found = words({ env: { ...BASE.env, ...env } });
  expect(found).toHaveLength(201);
  expect(found.at(-1)).toBe("and 300 differences more");
});
