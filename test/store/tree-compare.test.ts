import { describe, expect, test } from "bun:test";
import { digestOf } from "../../src/base/digest.ts";
import { compareTrees } from "../../src/store/tree-compare.ts";
import { entry, tree } from "./support.ts";

describe("compareTrees()", () => {
  test("compareTrees() names each path that differs and how, and counts beyond the limit", () => {
    const before = tree(entry("a", "file"), entry("b", "file"), entry("c", "file"), entry("d", "file"));
    const after = tree(
      entry("b", "file", { mode: 0o755 }),
      entry("c", "file", { digest: digestOf("new") }),
      entry("d", "symlink"),
      entry("e", "file"),
    );
    const changes = [
      { path: "a", change: "removed" },
      { path: "b", change: "mode" },
      { path: "c", change: "content" },
      { path: "d", change: "kind" },
      { path: "e", change: "added" },
    ] as const;
    expect(compareTrees(before, after, 10)).toEqual({ changes, total: 5 });
    expect(compareTrees(before, after, 2)).toEqual({ changes: changes.slice(0, 2), total: 5 });
  });
});
