// What deciding costs and what it is worth: placements over a thousand machines, a coordinator's work for a task, and how long
// workflows take beside HEFT. MESH_TRACES names a folder of workflow traces; without it they are made up.

import { heftMakespan } from "../sim/heft.ts";
import { meanOf, MESHES } from "../sim/judge.ts";
import { madeWorkflows } from "../sim/made-workflow.ts";
import { scheduledMakespan } from "../sim/schedule.ts";
import { readWorkflows } from "../sim/workflow.ts";
import { makeAsk } from "../src/sched/ask.ts";
import { Fleet } from "../src/sched/fleet.ts";
import { placeOn } from "../src/sched/place.ts";
import type { PlaceNode } from "../src/sched/place-node.ts";
import { ReadyQueue } from "../src/sched/ready-queue.ts";
import { RunMachine } from "../src/sched/run-machine.ts";
import type { Effect, RunEvent } from "../src/sched/run-event.ts";
import { evaluateAfter, HEADER, SUCCEEDED, task } from "../test/fake/sched-story.ts";
import { SeededRandom } from "../test/fake/seeded-random.ts";
import { median, type Row } from "./row.ts";

const MACHINES = 1_000;
const ROUNDS = 5;

export async function scheduleRows(): Promise<readonly Row[]> {
  const equal = machines([100]);
  const unequal = machines([50, 100, 100, 200]);
  return [
    row(
      "a placement among 1,000 machines",
      repeated(() => placementUs(equal)),
      20,
    ),
    row(
      "the same on machines of three speeds",
      repeated(() => placementUs(unequal)),
      20,
    ),
    row(
      "a task through run machine and journal entries",
      repeated(() => coordinationUs(10_000)),
      20,
    ),
    ...makespanRows(),
  ];
}

function row(what: string, ours: number, limitUs: number): Row {
  return { what, ours, unit: "µs", other: { name: "limit", value: limitUs }, most: 1 };
}

/** CPU time: what else the machine does changes it little. */
function cpuUsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** Once to warm up, then the middle of several. */
function repeated(measure: () => number): number {
  measure();
  return median(Array.from({ length: ROUNDS }, measure));
}

/** Tasks of eight shapes, in rounds of a hundred, each told to the fleet as a coordinator does. */
function placementUs(nodes: readonly PlaceNode[]): number {
  const random = new SeededRandom(1);
  const asks = Array.from({ length: 8 }, (_, at) => makeAsk({ cpuMilli: 500 + 250 * (at % 4), memoryBytes: at * 1e8 }));
  const queue = new ReadyQueue();
  const askOf = new Map<string, { readonly index: number; readonly ask: (typeof asks)[number] }>();
  for (let index = 0; index < 10_000; index++) {
    const ask = random.pick(asks);
    const key = `t${index}`;
    askOf.set(key, { index, ask });
    queue.add({ key, index, attempt: 1, rankMs: random.below(100_000), expectedMs: 1_000, readyAtMs: 0 }, ask);
  }
  const fleet = new Fleet(nodes);
  const byName = new Map(nodes.map((node) => [node.capacity.name, node]));
  const before = process.cpuUsage();
  let decided = 0;
  while (queue.size > 0) {
    const round = { lanes: queue.lanes(), inputOf: () => null, offered: new Set<string>(), most: 100, nowMs: 0 };
    const { assignments, held } = placeOn(fleet, { ...round, reserveAfterMs: Number.POSITIVE_INFINITY });
    if (assignments.length === 0) throw new Error("Nothing has room");
    decided += assignments.length + held.length;
    for (const { key, node } of assignments) {
      const placed = askOf.get(key);
      const machine = byName.get(node);
      if (placed === undefined || machine === undefined) continue;
      queue.remove(placed.index);
      const { free } = machine.capacity;
      const { cpuMilli, memoryBytes } = placed.ask;
      const now = { ...free, cpuMilli: free.cpuMilli - cpuMilli, memoryBytes: free.memoryBytes - memoryBytes };
      const after = { ...machine, capacity: { ...machine.capacity, free: now } };
      byName.set(node, after);
      fleet.set(after);
    }
  }
  return cpuUsSince(before) / decided;
}

function machines(speeds: readonly number[]): readonly PlaceNode[] {
  const total = { cpuMilli: 16_000, memoryBytes: 64e9, diskBytes: 1e12 };
  return Array.from({ length: MACHINES }, (_, at) => {
    const machine = { name: `n${at}`, os: "linux", arch: "x64", labels: [], baseKeys: [], gpus: [] };
    const speedPercent = speeds[at % speeds.length] ?? 100;
    return { capacity: { ...machine, total, free: total }, speedPercent, bytesPerMs: 100_000, running: [] };
  });
}

/** All events of a run, taken and written out as its journal has them. */
function coordinationUs(count: number): number {
  const machine = new RunMachine(evaluateAfter);
  const ask = makeAsk({ cpuMilli: 1_000 });
  let bytes = 0;
  const tell = (event: RunEvent): readonly Effect[] => {
    bytes += JSON.stringify(event).length;
    return machine.step(event);
  };
  const tasks = Array.from({ length: count }, (_, at) => task(`t${at}`, at < 100 ? [] : [`t${at - 100}`]));
  const before = process.cpuUsage();
  const open = [...tell({ kind: "run-started", atMs: 0, run: HEADER, options: { failFast: false }, tasks })];
  for (let effect = open.pop(); effect !== undefined; effect = open.pop()) {
    if (effect.kind === "resolve") {
      const outcome = { kind: "miss", cacheKey: `sha256:${effect.key.padEnd(64, "0")}`, ask, shared: true } as const;
      open.push(...tell({ kind: "task-resolved", atMs: 0, key: effect.key, round: effect.round, outcome }));
    } else if (effect.kind === "place") {
      const { key, attempt } = effect;
      open.push(...tell({ kind: "task-placed", atMs: 0, key, attempt, node: "n1", lease: `life.${key}` }));
    } else if (effect.kind === "start") {
      const { key, attempt, lease } = effect;
      tell({ kind: "task-started", atMs: 0, key, attempt, lease });
      open.push(...tell({ kind: "task-finished", atMs: 0, key, attempt, lease, outcome: SUCCEEDED }));
    }
  }
  if (machine.status.result !== "succeeded" || bytes === 0) throw new Error("The run did not end well");
  return cpuUsSince(before) / count;
}

/** Geometric means over all workflows. */
function makespanRows(): readonly Row[] {
  const folder = process.env["MESH_TRACES"];
  const workflows = folder === undefined ? madeWorkflows(new SeededRandom(1), 20) : readWorkflows(folder);
  const named = folder === undefined ? "made-up workflows" : "workflow traces";
  return Object.entries({ "16 equal": 1.02, unequal: 1.1 }).map(([mesh, most]): Row => {
    const speeds = MESHES[mesh] ?? [];
    const known = (workflow: (typeof workflows)[number]) =>
      workflow.tasks.map(({ seconds }) => Math.round(seconds * 1_000));
    const ours = meanOf(workflows.map((workflow) => scheduledMakespan(workflow, speeds, known(workflow))));
    const heft = meanOf(workflows.map((workflow) => heftMakespan(workflow, speeds)));
    return {
      what: `${workflows.length} ${named} on ${mesh} machines, simulated`,
      ours,
      unit: "s",
      other: { name: "HEFT, which knows all ahead", value: heft },
      most,
    };
  });
}
