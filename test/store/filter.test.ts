import { describe, expect, test } from "bun:test";
import { compileFilter, type Decision, type FilterEntry, KEEP_ALL } from "../../src/store/filter.ts";
import { matchesGlob, parseGlob } from "../../src/store/glob.ts";
import { forSeeds } from "./support.ts";
import type { SeededRandom } from "../fake/seeded-random.ts";

function filterOf(...patterns: readonly string[]): ReturnType<typeof compileFilter> {
  return compileFilter(patterns.map((pattern) => ({ pattern, cacheKey: "included" })));
}

function keeps(patterns: readonly string[], path: string): boolean {
  return filterOf(...patterns).decide(path, false) !== "hidden";
}

describe("compileFilter()", () => {
  test.each([
    // Patterns, path, whether it is there.
    [["a.txt"], "a.txt", true],
    [["a.txt"], "b.txt", false],
    [["src"], "src/deep/file.ts", true],
    [["src"], "src2/file.ts", false],
    [["src/"], "src/file.ts", true],
    [["./src"], "src/file.ts", true],
    [["src/a"], "src/a.ts", false],
    [["*.md"], "readme.md", true],
    [["*.md"], "docs/readme.md", false],
    [["docs/*"], "docs/readme.md", true],
    [["docs/*"], "docs/deep/readme.md", false],
    [["**/*.md"], "readme.md", true],
    [["**/*.md"], "a/b/readme.md", true],
    [["src/**"], "src/a/b", true],
    [["src/**/*.ts"], "src/a.ts", true],
    [["src/**/*.ts"], "src/a/b/c.ts", true],
    [["src/**/*.ts"], "src/a/b/c.js", false],
    [["src/**.ts"], "src/a/b.ts", true],
    [["src/**.ts"], "src/b.ts", true],
    [["a/**/b"], "a/b", true],
    [["*.{ts,js}"], "x.js", true],
    [["{src,test}/x"], "test/x", true],
    [["{src,test}"], "test/x", true],
    [["{a,b{c,d}}"], "bd", true],
    [["file?.txt"], "file1.txt", true],
    [["file?.txt"], "file12.txt", false],
    [["a?b"], "a/b", false],
    [["[slug].tsx"], "[slug].tsx", true],
    [["\\*"], "*", true],
    [["\\*"], "a", false],
    [["."], "anything", true],
    [["new\nline"], "new\nline", true],
    [["!a.txt"], "b.txt", true],
    [["!a.txt"], "a.txt", false],
    [["!node_modules"], "node_modules/x/y", false],
    [["!**/node_modules"], "pkg/node_modules/x", false],
    [["!**/node_modules"], "pkg/src/x", true],
    [["foo", "!foo/abc.txt"], "foo/other.txt", true],
    [["foo", "!foo/abc.txt"], "foo/abc.txt", false],
    [["foo", "!foo/abc.txt"], "bar", false],
    [["foo.txt", "!foo.txt"], "foo.txt", false],
    [["!foo.txt", "foo.txt"], "foo.txt", true],
    [["src", "!src/gen", "src/gen/keep.ts"], "src/gen/keep.ts", true],
    [["src", "!src/gen", "src/gen/keep.ts"], "src/gen/drop.ts", false],
    [[], "a", false],
  ] as const)("compileFilter() with %j on %j: %p", (patterns, path, there) => {
    expect(keeps(patterns, path)).toBe(there);
  });

  test("compileFilter() keeps without counting what an excluded entry names", () => {
    const filter = compileFilter([
      { pattern: "src", cacheKey: "included" },
      { pattern: "src/big.bin", cacheKey: "excluded" },
    ]);
    const verdicts = ["src/a.ts", "src/big.bin", "other"].map((path): Decision => filter.decide(path, false));
    expect(verdicts).toEqual(["kept", "kept-uncounted", "hidden"]);
  });

  test("KEEP_ALL keeps everything", () => {
    expect(KEEP_ALL.decide("any/thing", false)).toBe("kept");
  });

  test("compileFilter() agrees with a model that walks the pattern letter by letter", () =>
    forSeeds(2_000, (random) => {
      const entries = Array.from({ length: 1 + random.below(3) }, (): FilterEntry => {
        return { pattern: randomPattern(random), cacheKey: random.below(4) === 0 ? "excluded" : "included" };
      });
      const path = Array.from({ length: 1 + random.below(4) }, () => random.pick(["a", "b", "ab", "ba", "c"])).join(
        "/",
      );
      const filter = compileFilter(entries);
      expect({ entries, path, decision: filter.decide(path, false) }).toEqual({
        entries,
        path,
        decision: modelDecision(entries, path),
      });
    }));
});

describe("parseGlob()", () => {
  test("parseGlob() bounds what a hostile pattern costs", () => {
    const started = performance.now();
    const globs = parseGlob(`${"*a".repeat(200)}/${"**/".repeat(200)}b`);
    for (const glob of globs) matchesGlob(glob, `${"a".repeat(250)}/${"a/".repeat(1_000)}c`);
    for (const glob of parseGlob(`${"{".repeat(2_000)}${"}".repeat(2_000)}`)) matchesGlob(glob, "a");
    expect(performance.now() - started).toBeLessThan(2_000);
  });

  test.each(["{a,b}".repeat(20), "a**b/".repeat(30), `{${"a,".repeat(2_000)}}`, "x".repeat(5_000)])(
    "parseGlob() refuses %#",
    (pattern) => {
      expect(() => parseGlob(pattern)).toThrow(expect.objectContaining({ code: "definition.invalid" }));
    },
  );
});

function randomPattern(random: SeededRandom): string {
  const segments = Array.from({ length: 1 + random.below(3) }, () =>
    random.pick(["a", "b", "ab", "*", "a*", "?", "**", "{a,b}", "*b", "a?"]),
  );
  return `${random.below(3) === 0 ? "!" : ""}${random.pick(["", "./"])}${segments.join("/")}${random.pick(["", "", "/"])}`;
}

/** The rules of the language, written for clarity: recursion over the pattern, all alternatives tried. */
function modelDecision(entries: readonly FilterEntry[], path: string): Decision {
  let decision: Decision = entries.every((each) => each.pattern.startsWith("!")) ? "kept" : "hidden";
  for (const each of entries) {
    const negated = each.pattern.startsWith("!");
    const pattern = each.pattern.replace(/^!/, "").replace(/^\.\//, "").replace(/\/$/, "");
    const matches = expand(pattern).some((plain) => {
      const isBare = !/[*?]/.test(plain);
      const above = path.split("/").map((_, index, names) => names.slice(0, index + 1).join("/"));
      return isBare || negated ? above.some((part) => modelMatch(plain, part)) : modelMatch(plain, path);
    });
    if (matches) decision = negated ? "hidden" : each.cacheKey === "included" ? "kept" : "kept-uncounted";
  }
  return decision;
}

function expand(pattern: string): string[] {
  const match = /^(.*?)\{a,b\}(.*)$/.exec(pattern);
  if (!match) return [pattern];
  return ["a", "b"].flatMap((option) => expand(`${match[1] ?? ""}${option}${match[2] ?? ""}`));
}

function modelMatch(pattern: string, path: string): boolean {
  const [head, ...rest] = pattern.split("/");
  const names = path === "" ? [] : path.split("/");
  if (head === "**") {
    if (rest.length === 0) return true;
    return Array.from({ length: names.length + 1 }, (_, skipped) => names.slice(skipped).join("/")).some((tail) =>
      modelMatch(rest.join("/"), tail),
    );
  }
  const name = names[0];
  if (name === undefined || !modelName(head ?? "", name)) return false;
  return rest.length === 0 ? names.length === 1 : modelMatch(rest.join("/"), names.slice(1).join("/"));
}

function modelName(pattern: string, name: string): boolean {
  if (pattern === "") return name === "";
  if (pattern.startsWith("*"))
    return modelName(pattern.slice(1), name) || (name !== "" && modelName(pattern, name.slice(1)));
  return (
    name !== "" && (pattern.startsWith("?") || pattern[0] === name[0]) && modelName(pattern.slice(1), name.slice(1))
  );
}
