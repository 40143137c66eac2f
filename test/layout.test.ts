// Holds the sources to the house rules, and each rule to a sample that breaks it.

import { describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { type Policy, POLICY } from "./support/layout/policy.ts";
import { checkLayout } from "./support/layout/rules.ts";

const ROOT = resolve(import.meta.dir, "..");

const SAMPLE_POLICY: Policy = {
  floors: [["base"], ["store", "spec"], ["node"], ["cli"]],
  shells: ["node", "cli"],
  doors: { yaml: ["src/spec/yaml.ts"], "@stricli/core": ["src/cli/"], "bun:ffi": ["src/base/io/libc.ts"] },
  longFiles: { "src/base/long.ts": "a table" },
  storyTests: { "test/spec/story.test.ts": "two parsers side by side" },
};

/** Checks a tree given as path -> text. */
function faultsOf(tree: Readonly<Record<string, string>>): readonly string[] {
  const sources = Object.entries(tree).flatMap(([path, text]) => (path.startsWith("src/") ? [{ path, text }] : []));
  return checkLayout({ sources, paths: Object.keys(tree) }, SAMPLE_POLICY);
}

/** Checks one pure file. */
function faultsOfPure(text: string): readonly string[] {
  return faultsOf({ "src/base/a.ts": text }).map((fault) => fault.replace("src/base/a.ts:1 is pure but ", ""));
}

test("the sources keep the house rules", async () => {
  const paths = [...new Bun.Glob("{src,scripts,test}/**/*.{ts,tsx}").scanSync({ cwd: ROOT })].toSorted();
  const sources = await Promise.all(
    paths
      .filter((path) => path.startsWith("src/"))
      .map(async (path) => ({ path, text: await Bun.file(`${ROOT}/${path}`).text() })),
  );
  expect(sources.length).toBeGreaterThan(0);
  expect(checkLayout({ sources, paths }, POLICY)).toEqual([]);
});

describe("floors", () => {
  test("checkLayout() takes imports of the own folder and of lower floors", () => {
    const text = 'import { b } from "./b.ts"; import { c } from "../base/c.ts"; export const a = b + c;';
    expect(faultsOf({ "src/spec/a.ts": text })).toEqual([]);
  });

  test("checkLayout() refuses an import of a higher floor, also of a type, lazily, or inside a type", () => {
    const fault = (line: number) => `src/base/a.ts:${line} imports src/spec/b.ts: spec stands above base`;
    const text = [
      'import type { B } from "../spec/b.ts";',
      'export const load = () => import("../spec/b.ts");',
      'export type C = B | import("../spec/b.ts").C;',
      'export * from "../spec/b.ts";',
    ];
    expect(faultsOf({ "src/base/a.ts": text.join("\n") })).toEqual([fault(1), fault(2), fault(3), fault(4)]);
  });

  test("checkLayout() refuses a sideways import on one floor", () => {
    const text = 'import { b } from "../store/b.ts"; export const a = b;';
    expect(faultsOf({ "src/spec/a.ts": text })).toEqual([
      "src/spec/a.ts:1 imports src/store/b.ts: store stands beside spec",
    ]);
  });

  test("checkLayout() refuses a folder that is on no floor, and an import from outside src/", () => {
    expect(faultsOf({ "src/cellar/a.ts": "export const a = 1;" })).toEqual([
      "src/cellar/a.ts lies on no floor: src/cellar is not in the policy",
    ]);
    expect(faultsOf({ "src/base/a.ts": 'import { x } from "../../test/x.ts"; export const a = x;' })).toEqual([
      "src/base/a.ts:1 imports test/x.ts, outside src/",
    ]);
  });
});

describe("purity", () => {
  const effects = {
    "node:fs": 'import { readFileSync } from "node:fs"; export const a = readFileSync;',
    "bun:jsc": 'import { heapStats } from "bun:jsc"; export const a = heapStats;',
    bun: 'import { file } from "bun"; export const a = file;',
  };
  for (const [module, text] of Object.entries(effects)) {
    test(`checkLayout() refuses ${module} in a pure file`, () => {
      expect(faultsOfPure(text)).toContain(`imports ${module}`);
    });
  }

  const uses = {
    "process.env": 'export const a = process.env["HOME"];',
    console: "export const a = console;",
    "console.log": "export function a() { console.log(1); }",
    setTimeout: "export const a = () => setTimeout(() => 1, 1);",
    "Date.now": "export const a = () => Date.now();",
    "new Date": "export const a = () => new Date();",
    "Math.random": "export const a = () => Math.random();",
    "performance.now": "export const a = () => performance.now();",
    fetch: 'export const a = (url = "x") => fetch(url);',
    "Bun.file": 'export const a = Bun.file("x").text();',
    "Bun.spawn": 'export const a = Bun["spawn"](["x"]);',
    "Bun.*": 'export const a = (name: "file") => Bun[name];',
    Bun: "export const { file } = Bun;",
    globalThis: "export const a = globalThis as unknown;",
    "import.meta": "export const a = import.meta.dir;",
    "crypto.getRandomValues": "export const a = crypto.getRandomValues(new Uint8Array(1));",
    "AbortSignal.timeout": "export const a = AbortSignal.timeout(1);",
  };
  for (const [name, text] of Object.entries(uses)) {
    test(`checkLayout() refuses ${name} in a pure file`, () => {
      expect(faultsOfPure(text)).toContain(`uses ${name}`);
    });
  }

  test("checkLayout() refuses io in a pure file, of its own folder and of a lower one", () => {
    const text = 'import { b } from "./io/b.ts";\nimport { c } from "../base/io/c.ts";\nexport const a = b + c;';
    expect(faultsOf({ "src/spec/a.ts": text })).toEqual([
      "src/spec/a.ts:1 is pure but imports src/spec/io/b.ts",
      "src/spec/a.ts:2 is pure but imports src/base/io/c.ts",
    ]);
  });

  test("checkLayout() takes computation, types of the world, and words that only look like effects", () => {
    const texts = [
      "export const a = (bytes: Uint8Array) => [Bun.SHA256.hash(bytes), Bun.hash(bytes), Bun.zstdDecompressSync(bytes)];",
      "export const a = (ms: number) => new Date(ms).toISOString();",
      "export const a = (x: { process: number; fetch: () => void }) => { x.fetch(); return x.process; };",
      "export const a = { process: 1, console() {} };",
      "export interface A { readonly process: typeof process; readonly timer: ReturnType<typeof setTimeout> }",
      "// console.log(process.env)\nexport const a = `fetch ${1} process.env`;",
      "export const a = (process: { pid: number }) => process.pid;",
      'import { join } from "node:path"; export const a = join;',
    ];
    for (const text of texts) expect(faultsOfPure(text)).toEqual([]);
  });

  test("checkLayout() lets io files and shells have effects", () => {
    const text = 'import { readFileSync } from "node:fs"; export const a = [readFileSync, process.pid, Date.now()];';
    expect(faultsOf({ "src/base/io/a.ts": text, "src/base/x/io/a.ts": text, "src/node/a.ts": text })).toEqual([]);
  });
});

describe("doors", () => {
  test("checkLayout() takes a package at its door, a file or a folder", () => {
    expect(
      faultsOf({
        "src/spec/yaml.ts": 'export { parse } from "yaml"; export const a = 1;',
        "src/cli/x/a.ts": 'import { run } from "@stricli/core"; export const a = run;',
        "src/base/io/libc.ts": 'import { dlopen } from "bun:ffi"; export const a = dlopen;',
      }),
    ).toEqual([]);
  });

  test("checkLayout() refuses a package elsewhere, also a part of it, and one that has no door", () => {
    expect(faultsOf({ "src/spec/a.ts": 'import { x } from "yaml/util"; export const a = x;' })).toEqual([
      "src/spec/a.ts:1 imports yaml, whose door is src/spec/yaml.ts",
    ]);
    expect(faultsOf({ "src/store/io/a.ts": 'import { x } from "bun:ffi"; export const a = x;' })).toEqual([
      "src/store/io/a.ts:1 imports bun:ffi, whose door is src/base/io/libc.ts",
    ]);
    expect(faultsOf({ "src/cli/a.ts": 'import x from "left-pad"; export const a = x;' })).toEqual([
      "src/cli/a.ts:1 imports left-pad, which has no door",
    ]);
  });
});

describe("cycles", () => {
  test("checkLayout() shows the path that closes a cycle, type imports included", () => {
    expect(
      faultsOf({
        "src/base/a.ts": 'import { b } from "./b.ts"; export const a = b;',
        "src/base/b.ts": 'import type { C } from "./c.ts"; export const b: C = 1;',
        "src/base/c.ts": 'export type C = typeof import("./a.ts").a;',
      }),
    ).toEqual(["import cycle: src/base/a.ts -> src/base/b.ts -> src/base/c.ts -> src/base/a.ts"]);
  });

  test("checkLayout() takes two ways to the same file", () => {
    expect(
      faultsOf({
        "src/base/a.ts": 'import { b } from "./b.ts"; import { c } from "./c.ts"; export const a = b + c;',
        "src/base/b.ts": 'import { c } from "./c.ts"; export const b = c;',
        "src/base/c.ts": "export const c = 1;",
      }),
    ).toEqual([]);
  });
});

describe("shape", () => {
  test("checkLayout() refuses a barrel", () => {
    const texts = [
      'export * from "./b.ts";',
      'import { b } from "./b.ts"; export { b };',
      'export type { B } from "./b.ts";',
    ];
    for (const text of texts) {
      expect(faultsOf({ "src/base/a.ts": text })).toEqual(["src/base/a.ts is a barrel: import the files themselves"]);
    }
  });

  test("checkLayout() refuses names that say nothing", () => {
    const text = "export const a = 1;";
    expect(faultsOf({ "src/base/utils.ts": text, "src/base/helpers/a.ts": text, "src/base/index.ts": text })).toEqual([
      'src/base/utils.ts has a name that says nothing: "utils"',
      'src/base/helpers/a.ts has a name that says nothing: "helpers"',
      'src/base/index.ts has a name that says nothing: "index"',
    ]);
  });

  test("checkLayout() refuses a long file unless it is listed, and a listing that is not needed", () => {
    const long = "export const a = 1;\n".replace("\n", `${"\n".repeat(400)}export const b = 1;\n`);
    expect(faultsOf({ "src/base/a.ts": long, "src/base/long.ts": long })).toEqual([
      "src/base/a.ts has 401 lines, over 400",
    ]);
    expect(faultsOf({ "src/base/long.ts": "export const a = 1;" })).toEqual([
      "src/base/long.ts is listed as long but is not",
    ]);
  });
});

describe("tests", () => {
  const source = { "src/spec/key.ts": "export const a = 1;" };

  test("checkLayout() takes tests that mirror a file or a folder, stories, and tests of the whole", () => {
    const tests = {
      "test/spec/key.test.ts": "",
      "test/spec/key.property.test.ts": "",
      "test/spec/story.test.ts": "",
      "test/layout.test.ts": "",
      "test/e2e/run.test.ts": "",
      "test/scripts/support/junit.test.ts": "",
      "scripts/support/junit.ts": "",
    };
    expect(faultsOf({ ...source, ...tests })).toEqual([]);
  });

  test("checkLayout() refuses a test that mirrors nothing", () => {
    expect(faultsOf({ ...source, "test/spec/keys.test.ts": "" })).toEqual([
      "test/spec/keys.test.ts mirrors nothing: there is no src/spec/keys.ts",
    ]);
  });
});
