import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { heftMakespan } from "../../sim/heft.ts";
import { judge, judgeFolder, meanOf, MESHES } from "../../sim/judge.ts";
import { madeWorkflows, workflowOf } from "../../sim/made-workflow.ts";
import { scheduledMakespan } from "../../sim/schedule.ts";
import { lowerBound, ranks, readWorkflow, type Workflow } from "../../sim/workflow.ts";
import { SeededRandom } from "../fake/seeded-random.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** A fork of four unequal branches that join. */
const FORK = workflowOf("fork", [
  [2, []],
  [8, [0]],
  [4, [0]],
  [4, [0]],
  [2, [0]],
  [2, [1, 2, 3, 4]],
]);

const knownMs = ({ tasks }: Workflow) => tasks.map(({ seconds }) => seconds * 1_000);

test("lowerBound() is the longest chain, or all work on all machines", () => {
  expect(ranks(FORK, 1)).toEqual([12, 10, 6, 6, 4, 2]);
  expect(lowerBound(FORK, [1, 1])).toBe(12);
  expect(lowerBound(FORK, [1])).toBe(22);
  expect(lowerBound(FORK, [2, 1])).toBe(22 / 3);
});

test("heftMakespan() plans the fork as the paper's rule has it", () => {
  // On two equal machines: 0, then 1 beside 2 and 3 in turn, 4 beside their end, and the join.
  expect(heftMakespan(FORK, [1, 1])).toBe(14);
  // On speeds 2 and 1: 0 ends at 1, 1 at 5, 2 on the slow one at 5, 3 at 7, 4 on the slow one at 7, the join at 8.
  expect(heftMakespan(FORK, [2, 1])).toBe(8);
});

test("scheduledMakespan() gives no critical task to a slow machine when a fast one ends it sooner", () => {
  const chainAndFill = workflowOf("chain and fill", [
    [4, []],
    [4, []],
    [4, [0]],
    [4, [2]],
  ]);
  // All three of the chain on the fast machine: 2 seconds each. A plain list scheduler would give 2 away at the first gap.
  expect(scheduledMakespan(chainAndFill, [2, 0.5], knownMs(chainAndFill))).toBe(8);
  expect(scheduledMakespan(FORK, [2, 1], knownMs(FORK))).toBe(8);
});

test("judge() finds placing within 1.02 times of HEFT on equal machines, 1.1 on unequal ones, 1.25 with learnt durations", () => {
  const workflows = madeWorkflows(new SeededRandom(11), 12);
  for (const [mesh, speeds] of Object.entries(MESHES)) {
    const verdicts = judge(workflows, speeds);
    const found = {
      mesh,
      known: meanOf(verdicts.map(({ known }) => known)) <= (mesh === "unequal" ? 1.1 : 1.02),
      learnt: meanOf(verdicts.map(({ learnt }) => learnt)) <= 1.25,
      isBound: verdicts.every(({ heft, ours }) => heft >= 0.999 && ours >= 0.999),
    };
    expect(found).toEqual({ mesh, known: true, learnt: true, isBound: true });
  }
});

test("judgeFolder() reads workflows as WfCommons has them, reduced, and prints a table per mesh", () => {
  using folder = temporaryFolder();
  const tasks = [
    { i: 0, name: "split_ID0001", rt: 2, parents: [] },
    { i: 1, name: "map_ID0002", rt: 4, parents: [0] },
    { i: 2, name: "map_ID0003", rt: 4, parents: [0] },
  ];
  writeFileSync(join(folder.path, "small.json"), JSON.stringify({ n: 3, tasks }));
  expect(readWorkflow(join(folder.path, "small.json")).tasks.map(({ kind, children }) => [kind, children])).toEqual([
    ["split", [1, 2]],
    ["map", []],
    ["map", []],
  ]);
  const text = judgeFolder(folder.path);
  expect(text.split("\n\n")).toHaveLength(Object.keys(MESHES).length);
  expect(text).toContain("geometric mean");
});
