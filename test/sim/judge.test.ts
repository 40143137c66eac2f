import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { heftMakespan } from "../../sim/heft.ts";
import { judge, judgeFolder, MESHES } from "../../sim/judge.ts";
import { scheduledMakespan } from "../../sim/schedule.ts";
import { lowerBound, ranks, readWorkflow, type Workflow } from "../../sim/workflow.ts";
import { SeededRandom } from "../fake/seeded-random.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** A workflow from seconds and parents. */
function workflow(tasks: readonly (readonly [seconds: number, parents: readonly number[]])[]): Workflow {
  return {
    name: "made",
    tasks: tasks.map(([seconds, parents], at) => ({
      kind: "task",
      seconds,
      parents,
      children: tasks.flatMap(([, others], child) => (others.includes(at) ? [child] : [])),
    })),
  };
}

/** A fork of four unequal branches that join. */
const FORK = workflow([
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
  const chainAndFill = workflow([
    [4, []],
    [4, []],
    [4, [0]],
    [4, [2]],
  ]);
  // All three of the chain on the fast machine: 2 seconds each. A plain list scheduler would give 2 away at the first gap.
  expect(scheduledMakespan(chainAndFill, [2, 0.5], knownMs(chainAndFill))).toBe(8);
  expect(scheduledMakespan(FORK, [2, 1], knownMs(FORK))).toBe(8);
});

/** Layers of random tasks, as workflows have them. */
function randomWorkflow(random: SeededRandom): Workflow {
  const count = 20 + random.below(100);
  return workflow(
    Array.from({ length: count }, (_, at) => {
      const first = Math.max(0, at - 12);
      const parents = at < 3 ? [] : Array.from({ length: 1 + random.below(3) }, () => first + random.below(at - first));
      return [1 + random.below(random.chance(0.1) ? 120 : 20), [...new Set(parents)]] as const;
    }),
  );
}

test("judge() finds placing within 1.02 times of HEFT on equal machines, 1.1 on unequal ones, 1.25 with learnt durations", () => {
  const random = new SeededRandom(11);
  const workflows = Array.from({ length: 12 }, () => randomWorkflow(random));
  for (const [mesh, speeds] of Object.entries(MESHES)) {
    const verdicts = judge(workflows, speeds);
    const mean = (values: readonly number[]) =>
      Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
    const found = {
      mesh,
      known: mean(verdicts.map(({ known }) => known)) <= (mesh === "unequal" ? 1.1 : 1.02),
      learnt: mean(verdicts.map(({ learnt }) => learnt)) <= 1.25,
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
