import { describe, expect, test } from "bun:test";
import { LIMITS } from "../../src/base/limits.ts";
import { checkGraph, describeFault } from "../../src/sched/graph-check.ts";
import { subsetFor, TaskGraph } from "../../src/sched/graph.ts";
import { after, task } from "../fake/sched-story.ts";

describe("checkGraph()", () => {
  test("orders tasks after all they wait for", () => {
    expect(checkGraph([task("c", ["b"]), task("b", [], after(["a"])), task("a")])).toEqual({
      faults: [],
      order: [2, 1, 0],
    });
  });

  test("names unknown tasks, with the nearest name", () => {
    const { faults } = checkGraph([task("build"), task("test", ["biuld"]), task("other", [], after(["zzzz"]))]);
    expect(faults.map(describeFault)).toEqual([
      'Task "test" waits for "biuld", which does not exist; did you mean "build"?',
      'Task "other" waits for "zzzz", which does not exist',
    ]);
  });

  test("shows each cycle as the path that closes it", () => {
    const { faults } = checkGraph([
      task("x", ["a"]),
      task("a", ["b"]),
      task("b", [], after(["c"])),
      task("c", ["a"]),
      task("self", ["self"]),
    ]);
    expect(faults).toEqual([
      { kind: "cycle", path: ["a", "b", "c", "a"] },
      { kind: "cycle", path: ["self", "self"] },
    ]);
    expect(faults.map(describeFault)[0]).toBe("The tasks wait for each other: a -> b -> c -> a");
  });

  test("refuses a key that is given twice, also one that an earlier task has", () => {
    expect(checkGraph([task("a"), task("a")]).faults).toEqual([{ kind: "duplicate", key: "a" }]);
    expect(checkGraph([task("a")], new Map([["a", 0]])).faults).toEqual([{ kind: "duplicate", key: "a" }]);
  });

  test("refuses more tasks than a run may have, and lists a bounded number of faults", () => {
    const many = Array.from({ length: LIMITS.tasks + 1 }, (_, index) => task(`t${index}`));
    expect(checkGraph(many).faults).toEqual([{ kind: "too-many", count: 50_001, most: 50_000 }]);
    expect(checkGraph(Array.from({ length: 1_000 }, () => task("same"))).faults).toHaveLength(LIMITS.diagnostics);
  });
});

describe("TaskGraph", () => {
  test("add() ranks a task by the longest expected chain behind it", () => {
    const graph = new TaskGraph();
    graph.add([
      task("a", [], { expectedMs: 10 }),
      task("b", ["a"], { expectedMs: 20 }),
      task("c", ["a"]),
      task("d", ["b", "c"], { expectedMs: 5 }),
    ]);
    expect(graph.tasks.map(({ rankMs }) => rankMs)).toEqual([1_015, 25, 1_005, 5]);
  });

  test("add() raises the ranks of earlier tasks that are not settled, and returns them", () => {
    const graph = new TaskGraph();
    graph.add([
      task("a", [], { expectedMs: 1 }),
      task("b", ["a"], { expectedMs: 1 }),
      task("c", [], { expectedMs: 1 }),
    ]);
    const raised = graph.add([task("d", ["b", "c"], { expectedMs: 100 })], (index) => index === 2);
    expect(raised.map(({ node, rankMs }) => [node.key, rankMs])).toEqual([
      ["b", 101],
      ["a", 102],
    ]);
  });

  test("add() throws every fault at once and changes nothing", () => {
    const graph = new TaskGraph();
    expect(() => graph.add([task("a", ["nope"]), task("b", ["b"])])).toThrow(/"nope"[^]*b -> b/);
    expect([graph.size, graph.indexOf("a")]).toEqual([0, null]);
  });
});

describe("subsetFor()", () => {
  const nodes = [task("a"), task("b", ["a"]), task("c", [], after(["b"])), task("d", ["a"]), task("e", ["c"])];

  test("keeps the targets and all they wait for, in definition order", () => {
    expect(subsetFor(nodes, ["c"]).map(({ key }) => key)).toEqual(["a", "b", "c"]);
    expect(subsetFor(nodes, ["d", "b"]).map(({ key }) => key)).toEqual(["a", "b", "d"]);
  });

  test("throws for a target that does not exist", () => {
    expect(() => subsetFor(nodes, ["zz"])).toThrow('Cannot run the target "zz": the definition has no such task');
  });
});
