import { expect, test } from "bun:test";
import { type Ask, makeAsk } from "../../src/sched/ask.ts";
import type { NodeCapacity } from "../../src/sched/fit.ts";
import { place, type PlaceNode, type Round, score } from "../../src/sched/place.ts";
import { type Ready, ReadyQueue } from "../../src/sched/ready-queue.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

function node(name: string, cpuMilli: number, more: Partial<NodeCapacity> = {}, speedPercent = 100): PlaceNode {
  const total = { cpuMilli, memoryBytes: 1_000, diskBytes: 0 };
  const capacity = { name, os: "linux", arch: "x64", labels: [], baseKeys: [], total, free: total, gpus: [], ...more };
  return { capacity, speedPercent, bytesPerMs: 100 };
}

function ready(key: string, index: number, rankMs: number, readyAtMs = 0): Ready {
  return { key, index, attempt: 1, rankMs, expectedMs: 1_000, readyAtMs };
}

function round(
  tasks: readonly (readonly [Ready, Ask])[],
  nodes: readonly PlaceNode[],
  more: Partial<Round> = {},
): Round {
  const queue = new ReadyQueue();
  for (const [task, ask] of tasks) queue.add(task, ask);
  return {
    lanes: queue.lanes(),
    nodes,
    missingBytes: () => 0,
    offered: new Set(),
    most: 1_000,
    nowMs: 0,
    reserveAfterMs: 60_000,
    ...more,
  };
}

function pairs(given: Round): readonly string[] {
  return place(given).map(({ key, node: name }) => `${key}@${name}`);
}

const ONE = makeAsk({ cpuMilli: 1_000 });
const TWO = makeAsk({ cpuMilli: 2_000 });

test("place() gives the most urgent tasks the room there is, across lanes", () => {
  const tasks = [
    [ready("low", 0, 10), ONE],
    [ready("high", 1, 90), TWO],
    [ready("mid", 2, 50), ONE],
    [ready("tie", 3, 10), ONE],
  ] as const;
  expect(pairs(round(tasks, [node("a", 4_000)]))).toEqual(["high@a", "mid@a", "low@a"]);
});

test("place() lets a small task pass a big one that does not fit", () => {
  const tasks = [
    [ready("big", 0, 90), TWO],
    [ready("small", 1, 10), ONE],
  ] as const;
  expect(pairs(round(tasks, [node("a", 1_000)]))).toEqual(["small@a"]);
});

test("place() keeps a machine for a task that waited too long", () => {
  const busy = { free: { cpuMilli: 1_000, memoryBytes: 1_000, diskBytes: 0 } };
  const tasks = [
    [ready("big", 0, 90), TWO],
    [ready("small", 1, 10), ONE],
  ] as const;
  expect(pairs(round(tasks, [node("a", 2_000, busy), node("tiny", 1_000)], { nowMs: 70_000 }))).toEqual(["small@tiny"]);
});

test("place() leaves out what is being offered, and stops at the most it may assign", () => {
  const tasks = ["a", "b", "c", "d"].map((key, index) => [ready(key, index, 1), ONE] as const);
  expect(pairs(round(tasks, [node("n", 9_000)], { offered: new Set(["a"]), most: 2 }))).toEqual(["b@n", "c@n"]);
});

test("place() prefers the machine that has the input, unless a faster one outweighs the move", () => {
  const missingBytes = (_key: string, name: string) => (name === "far" ? 50_000 : 0);
  expect(pairs(round([[ready("t", 0, 1), ONE]], [node("far", 4_000), node("near", 4_000)], { missingBytes }))).toEqual([
    "t@near",
  ]);
  expect(
    pairs(round([[ready("t", 0, 1), ONE]], [node("far", 4_000, {}, 400), node("near", 4_000)], { missingBytes })),
  ).toEqual(["t@far"]);
});

test("place() keeps tasks without GPU off machines with GPUs, while another has room", () => {
  const gpus = [{ index: 0, memoryBytes: 100, freeMemoryBytes: 100, inUse: false }];
  const nodes = [node("gpu", 1_000, { gpus }), node("plain", 1_000)];
  const tasks = ["a", "b"].map((key, index) => [ready(key, index, 1), ONE] as const);
  expect(pairs(round(tasks, nodes))).toEqual(["a@plain", "b@gpu"]);
});

test("place() never assigns a GPU twice in one round", () => {
  const gpus = [{ index: 0, memoryBytes: 100, freeMemoryBytes: 100, inUse: false }];
  const tasks = ["a", "b"].map((key, index) => [ready(key, index, 1), makeAsk({ gpus: 1 })] as const);
  expect(pairs(round(tasks, [node("n", 9_000, { gpus })]))).toEqual(["a@n"]);
});

test("score() adds up what it says", () => {
  const cost = score({ key: "t", expectedMs: 1_000 }, ONE, node("n", 4_000, {}, 50), 5_000);
  expect(cost).toEqual({ totalMs: 2_000 + 50 + 50, moveMs: 50, runMs: 2_000, loadMs: 0, wasteMs: 50 });
});

test("place() gives the same answer whatever the order of machines, and never more than they have", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = new SeededRandom(seed);
    const nodes = Array.from({ length: 1 + random.below(6) }, (_, index) => node(`n${index}`, 1_000 * random.below(8)));
    const tasks = Array.from(
      { length: random.below(60) },
      (_, index) => [ready(`t${index}`, index, random.below(9)), makeAsk({ cpuMilli: 500 * random.below(5) })] as const,
    );
    const assignments = place(round(tasks, nodes));
    expect(place(round(tasks, nodes.toReversed()))).toEqual(assignments);
    for (const { capacity } of nodes) {
      const used = assignments
        .filter((assignment) => assignment.node === capacity.name)
        .map(({ key }) => tasks.find(([task]) => task.key === key)?.[1].cpuMilli ?? 0);
      expect(used.reduce((sum, cpuMilli) => sum + cpuMilli, 0)).toBeLessThanOrEqual(capacity.free.cpuMilli);
    }
  }
});
