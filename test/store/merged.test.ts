import { describe, expect, test } from "bun:test";
import { compileFilter, KEEP_ALL } from "../../src/store/filter.ts";
import { applyFilter, mergeTrees } from "../../src/store/merged.ts";
import { checkTree, comparePaths, isBelow, type Tree, type TreeEntry } from "../../src/store/tree.ts";
import { treeDigest } from "../../src/store/tree-codec.ts";
import { randomLayer } from "./random-layer.ts";
import { entry, forSeeds, tree } from "./support.ts";

/** The rules of overlayfs on a plain map, one entry at a time. */
function modelMerge(trees: readonly Tree[]): Tree {
  const view = new Map<string, TreeEntry>();
  const groups = new Map<string, string>();
  const dropBelow = (path: string): void => {
    for (const other of view.keys()) if (isBelow(other, path)) view.delete(other);
  };
  for (const [layer, each] of trees.entries()) {
    for (const found of each) {
      const under = view.get(found.path);
      if (found.kind !== "directory" || found.opaque || under?.kind !== "directory") dropBelow(found.path);
      if (found.kind === "whiteout") view.delete(found.path);
      else {
        view.set(found.path, { ...found, opaque: false });
        groups.set(found.path, found.hardlink > 0 ? `${layer}.${found.hardlink}` : "");
      }
    }
  }
  const paths = [...view.keys()].toSorted(comparePaths);
  const numbers = new Map<string, number>();
  return paths.map((path) => {
    const group = groups.get(path) ?? "";
    const members = paths.filter((other) => groups.get(other) === group);
    if (group !== "" && members.length > 1 && !numbers.has(group)) numbers.set(group, numbers.size + 1);
    return { ...(view.get(path) as TreeEntry), hardlink: members.length > 1 ? (numbers.get(group) ?? 0) : 0 };
  });
}

describe("mergeTrees()", () => {
  test("mergeTrees() agrees with a model that applies one entry at a time", () =>
    forSeeds(400, (random) => {
      const trees = Array.from({ length: 1 + random.below(5) }, () => randomLayer(random));
      const merged = mergeTrees(trees);
      expect(merged).toEqual(modelMerge(trees));
      checkTree(merged);
    }));

  test("mergeTrees() of a stack equals the stack in which some layers were merged before as a layer", () =>
    forSeeds(400, (random) => {
      const trees = Array.from({ length: 3 + random.below(3) }, () => randomLayer(random));
      const from = random.below(trees.length - 1);
      const to = from + 2 + random.below(trees.length - from - 1);
      const flat = mergeTrees(trees.slice(from, to), { asLayer: true });
      const withFlat = mergeTrees([...trees.slice(0, from), flat, ...trees.slice(to)]);
      expect(treeDigest(withFlat)).toBe(treeDigest(mergeTrees(trees)));
    }));

  test("mergeTrees() keeps what only the attributes of a directory changed", () => {
    const lower = tree(entry("d/a", "file"));
    const upper = tree(entry("d", "directory", { mode: 0o700 }));
    expect(mergeTrees([lower, upper]).map(({ path, mode }) => [path, mode])).toEqual([
      ["d", 0o700],
      ["d/a", 0o644],
    ]);
  });
});

describe("applyFilter()", () => {
  const view = tree(
    entry("etc/passwd", "file"),
    entry("workspace/a.txt", "file"),
    entry("workspace/src/a.ts", "file"),
    entry("workspace/src/gen/x.ts", "file"),
    entry("workspace/src/gen/y.ts", "file"),
    entry("workspace/big/data.bin", "file"),
  );

  test("applyFilter() hides a directory of which nothing is there as one", () => {
    const filter = compileFilter([{ pattern: "src/a.ts", cacheKey: "included" }]);
    const filtered = applyFilter(view, filter);
    expect(filtered.hidden).toEqual(["workspace/a.txt", "workspace/big", "workspace/src/gen"]);
    expect(filtered.maskParents.map(({ path }) => path)).toEqual(["workspace", "workspace/src"]);
    expect(filtered.keyTree.map(({ path }) => path)).toEqual(["workspace/src", "workspace/src/a.ts"]);
    expect(filtered.keptCount).toBe(2);
  });

  test("applyFilter() leaves files outside the workspace alone", () => {
    const filtered = applyFilter(view, compileFilter([{ pattern: "nothing", cacheKey: "included" }]));
    expect(filtered.hidden).toEqual(["workspace/a.txt", "workspace/big", "workspace/src"]);
    expect(filtered.unmatched).toEqual(["nothing"]);
    expect(filtered.keyTree).toEqual([]);
  });

  test("applyFilter() shows but does not count what is out of the key", () => {
    const entries = [
      { pattern: "src", cacheKey: "included" },
      { pattern: "big", cacheKey: "excluded" },
    ] as const;
    const changed = tree(
      ...view.filter(({ path }) => path !== "workspace/big/data.bin"),
      entry("workspace/big/data.bin", "file", { size: 1 }),
    );
    const filtered = applyFilter(view, compileFilter(entries));
    expect(filtered.hidden).toEqual(["workspace/a.txt"]);
    expect(filtered.keyDigest).toBe(applyFilter(changed, compileFilter(entries)).keyDigest);
    expect(filtered.keyDigest).not.toBe(applyFilter(view, KEEP_ALL).keyDigest);
  });

  test("applyFilter() gives one key to equal content, however many layers made it", () => {
    const one = tree(entry("workspace/a", "file"), entry("workspace/b", "file"));
    const two = [
      tree(entry("workspace/a", "file"), entry("workspace/gone", "file")),
      tree(entry("workspace/b", "file"), entry("workspace/gone", "whiteout")),
    ];
    expect(applyFilter(mergeTrees(two), KEEP_ALL).keyDigest).toBe(applyFilter(mergeTrees([one]), KEEP_ALL).keyDigest);
  });

  test("applyFilter() names entries that applied to nothing, not those that were overruled", () => {
    const patterns = ["src", "!src/gen", "lib/**", "!nope"];
    const filtered = applyFilter(view, compileFilter(patterns.map((pattern) => ({ pattern, cacheKey: "included" }))));
    expect(filtered.unmatched).toEqual(["lib/**", "!nope"]);
  });

  test("applyFilter() splits the workspace: what is hidden and what is kept are all there is", () =>
    forSeeds(200, (random) => {
      const layer = mergeTrees([randomLayer(random), randomLayer(random)]);
      const patterns = Array.from(
        { length: 1 + random.below(3) },
        () => `${random.pick(["", "!"])}${random.pick(["a", "b", "*", "**/c", "a/b", "?/**"])}`,
      );
      const filter = compileFilter(patterns.map((pattern) => ({ pattern, cacheKey: "included" })));
      const filtered = applyFilter(layer, filter);
      const inside = layer.filter(({ path }) => isBelow(path, "workspace"));
      const visible = inside.filter(
        ({ path }) => !filtered.hidden.some((hidden) => path === hidden || isBelow(path, hidden)),
      );
      expect(visible.length).toBe(filtered.keptCount);
      for (const { path, kind } of inside.filter((each) => each.kind !== "directory")) {
        const there = filter.decide(path.slice("workspace/".length), kind === "directory") !== "hidden";
        expect(visible.some((each) => each.path === path)).toBe(there);
      }
      expect(filtered.keyTree.map(({ path }) => path)).toEqual(visible.map(({ path }) => path));
    }));
});
