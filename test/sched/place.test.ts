import { expect, test } from "bun:test";
import { LIMITS } from "../../src/base/limits.ts";
import { type Ask, makeAsk } from "../../src/sched/ask.ts";
import type { NodeCapacity } from "../../src/sched/fit.ts";
import { Fleet } from "../../src/sched/fleet.ts";
import { type Input, place, placeOn, type Round, scoreOn } from "../../src/sched/place.ts";
import { likelyEndMs, type PlaceNode } from "../../src/sched/place-node.ts";
import { type Ready, ReadyQueue } from "../../src/sched/ready-queue.ts";
import { Room } from "../../src/sched/room.ts";
import { SeededRandom } from "../fake/seeded-random.ts";
import { placeSimply } from "../fake/simple-place.ts";

function node(name: string, cpuMilli: number, more: Partial<NodeCapacity> = {}, speedPercent = 100): PlaceNode {
  const total = { cpuMilli, memoryBytes: 1_000, diskBytes: 0 };
  const capacity = { name, os: "linux", arch: "x64", labels: [], baseKeys: [], total, free: total, gpus: [], ...more };
  return { capacity, speedPercent, bytesPerMs: 100, running: [] };
}

function ready(key: string, index: number, rankMs: number, readyAtMs = 0): Ready {
  return { key, index, attempt: 1, rankMs, expectedMs: 1_000, readyAtMs };
}

type RoundOverNodes = Round & { readonly nodes: readonly PlaceNode[] };

function round(
  tasks: readonly (readonly [Ready, Ask])[],
  nodes: readonly PlaceNode[],
  more: Partial<Round> = {},
): RoundOverNodes {
  const queue = new ReadyQueue();
  for (const [task, ask] of tasks) queue.add(task, ask);
  return {
    lanes: queue.lanes(),
    nodes,
    inputOf: () => null,
    offered: new Set(),
    most: 1_000,
    nowMs: 0,
    reserveAfterMs: 60_000,
    ...more,
  };
}

function pairs(given: RoundOverNodes): readonly string[] {
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
  const inputOf = (): Input => ({ bytes: 50_000, present: new Map([["near", 50_000]]) });
  const tasks = [[ready("t", 0, 1), ONE]] as const;
  expect(pairs(round(tasks, [node("far", 4_000), node("near", 4_000)], { inputOf }))).toEqual(["t@near"]);
  expect(pairs(round(tasks, [node("far", 4_000, {}, 400), node("near", 4_000)], { inputOf }))).toEqual(["t@far"]);
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

test("scoreOn() adds up what it says", () => {
  const room = new Room(0, node("n", 4_000, {}, 50));
  const cost = scoreOn(room, ONE, { expectedMs: 1_000 }, { bytes: 8_000, present: new Map([["n", 3_000]]) });
  expect(cost).toEqual({ totalMs: 2_000 + 50 + 50, moveMs: 50, runMs: 2_000, loadMs: 0, wasteMs: 50 });
});

/** A machine whose one CPU is busy until `endsAtMs`. */
function busy(name: string, speedPercent: number, endsAtMs: number): PlaceNode {
  const nothing = { cpuMilli: 0, memoryBytes: 1_000, diskBytes: 0 };
  const amounts = { cpuMilli: 1_000, memoryBytes: 0, diskBytes: 0 };
  return { ...node(name, 1_000, { free: nothing }, speedPercent), running: [{ amounts, endsAtMs }] };
}

test("place() holds a task back for a busy machine that is likely to end it sooner than a slow free one", () => {
  const task = [[ready("t", 0, 1), ONE]] as const;
  const slow = node("slow", 1_000, {}, 50);
  const placing = placeOn(new Fleet([slow, busy("fast", 200, 1_499)]), round(task, []));
  expect(placing).toEqual({ assignments: [], held: [{ key: "t", node: "fast", freeAtMs: 1_499 }], againAtMs: 1_499 });
  expect(pairs(round(task, [slow, busy("fast", 200, 1_500)]))).toEqual(["t@slow"]);
});

test("place() promises a busy machine once: the next task takes the slow one when that ends it sooner", () => {
  const tasks = ["a", "b", "c", "d", "e"].map((key, index) => [ready(key, index, 9 - index), ONE] as const);
  const placing = placeOn(new Fleet([node("slow", 2_000, {}, 50), busy("fast", 200, 600)]), round(tasks, []));
  expect(placing.held.map(({ key, freeAtMs }) => `${key}@${freeAtMs}`)).toEqual(["a@600", "b@1100"]);
  expect(placing.assignments.map(({ key }) => key)).toEqual(["c", "d"]);
});

test("place() assigns as many as it may, however many are held back, and holds back no more than a bound", () => {
  const many = LIMITS.heldTasks + 10;
  const tasks = Array.from({ length: many }, (_, at) => [ready(`t${at}`, at, many - at), ONE] as const);
  const amounts = { cpuMilli: 1_000_000, memoryBytes: 0, diskBytes: 0 };
  const nothing = { cpuMilli: 0, memoryBytes: 1_000, diskBytes: 0 };
  const fast = { ...node("fast", 1_000_000, { free: nothing }, 1_000), running: [{ amounts, endsAtMs: 10 }] };
  const placing = placeOn(new Fleet([node("slow", 4_000), fast]), round(tasks, [], { most: 3 }));
  expect(placing.held).toHaveLength(LIMITS.heldTasks);
  expect(placing.assignments.map(({ key, node: name }) => `${key}@${name}`)).toEqual([
    `t${LIMITS.heldTasks}@slow`,
    `t${LIMITS.heldTasks + 1}@slow`,
    `t${LIMITS.heldTasks + 2}@slow`,
  ]);
});

test("likelyEndMs() takes a task that is overdue to be half way, so that nobody waits for it for ever", () => {
  const task = { startedAtMs: 1_000, likelyMs: 1_000, speedPercent: 50 };
  expect([2_999, 3_000, 3_400, 9_000].map((nowMs) => likelyEndMs(task, nowMs))).toEqual([3_000, 3_001, 3_800, 15_000]);
});

/** A round of tasks of a few shapes over machines of a few kinds, some of them with GPUs, inputs, or busy for a while. */
function randomRound(random: SeededRandom): RoundOverNodes {
  const nodes = Array.from({ length: 1 + random.below(12) }, (_, index): PlaceNode => {
    const total = { cpuMilli: 1_000 * (1 + random.below(4)), memoryBytes: 1_000, diskBytes: 10 };
    const usedMilli = 500 * random.below(total.cpuMilli / 500 + 1);
    const ends = Array.from({ length: usedMilli / 500 }, () => ({
      amounts: { cpuMilli: 500, memoryBytes: 100, diskBytes: 0 },
      endsAtMs: 1 + random.below(3_000),
    })).filter(() => random.chance(0.8));
    const free = { cpuMilli: total.cpuMilli - usedMilli, memoryBytes: 1_000 - usedMilli / 5, diskBytes: 10 };
    const gpus = random.chance(0.2) ? [{ index: 0, memoryBytes: 8, freeMemoryBytes: 8, inUse: false }] : [];
    const labels = random.chance(0.3) ? ["big"] : [];
    const made = node(`n${index}`, 0, { total, free, gpus, labels }, random.pick([50, 100, 100, 200]));
    return { ...made, bytesPerMs: random.pick([10, 100]), running: ends };
  });
  const asks = [
    ONE,
    TWO,
    makeAsk({ cpuMilli: 500, labels: ["big"] }),
    makeAsk({ cpuMilli: 500, gpus: 1 }),
    makeAsk({}),
  ];
  const tasks = Array.from({ length: random.below(40) }, (_, index) => {
    const task = { ...ready(`t${index}`, index, random.below(9)), expectedMs: random.pick([null, 0, 100, 4_000]) };
    return [task, random.pick(asks)] as const;
  });
  const inputs = new Map<string, Input>();
  for (const [task] of tasks) {
    if (random.chance(0.5)) continue;
    const present = new Map(nodes.filter(() => random.chance(0.2)).map(({ capacity }) => [capacity.name, 5_000]));
    inputs.set(task.key, { bytes: random.pick([5_000, 100_000]), present });
  }
  const more = { most: 1 + random.below(40), nowMs: 0, reserveAfterMs: random.pick([-1, 60_000]) };
  return round(tasks, nodes, { inputOf: (key) => inputs.get(key) ?? null, ...more });
}

test("placeOn() decides what looking at every machine for every task decides, also on a fleet that changes", () => {
  let held = 0;
  for (let seed = 1; seed <= 600; seed++) {
    const random = new SeededRandom(seed);
    const given = randomRound(random);
    const expected = placeSimply(given.nodes, given);
    const fleet = new Fleet(given.nodes);
    expect({ seed, ...placeOn(fleet, given) }).toEqual({ seed, ...expected });
    held += expected.held.length;
    // Another day: what is known of the machines is replaced, some of them go, the order of views is kept.
    const next = randomRound(random);
    for (const { capacity } of given.nodes) if (random.chance(0.2)) fleet.remove(capacity.name);
    const gone = given.nodes.filter(({ capacity }) => fleet.get(capacity.name) === null);
    for (const later of next.nodes) fleet.set(later);
    const names = new Set([...gone, ...next.nodes].map(({ capacity }) => capacity.name));
    const nodes = [...next.nodes, ...given.nodes.filter(({ capacity }) => !names.has(capacity.name))];
    expect({ seed, ...placeOn(fleet, next) }).toEqual({ seed, ...placeSimply(nodes, next) });
  }
  expect(held).toBeGreaterThan(100);
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
