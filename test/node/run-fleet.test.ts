import { expect, test } from "bun:test";
import type { PeerId } from "../../src/base/ids.ts";
import { RunFleet } from "../../src/node/run-fleet.ts";
import type { RemoteSite, Taken } from "../../src/node/site.ts";
import { makeAsk } from "../../src/sched/ask.ts";
import type { NodeCapacity } from "../../src/sched/fit.ts";
import { RunMachine } from "../../src/sched/run-machine.ts";
import { evaluateAfter, HEADER, task } from "../fake/sched-story.ts";

const ASK = makeAsk({ cpuMilli: 1_000 });
const { cpuMilli } = ASK;

function capacity(name: string): NodeCapacity {
  const total = { cpuMilli: 1_000, memoryBytes: 0, diskBytes: 0 };
  return { name, os: "linux", arch: "x64", labels: [], baseKeys: [], total, free: total, gpus: [] };
}

/** A machine of double speed; `isThere` false: it takes nothing at the moment. */
function site(name: string, taken: readonly Taken[], isThere = true): RemoteSite {
  const machine = capacity(name);
  const seen = { capacity: machine, speedPercent: 200, bytesPerMs: 1 };
  return {
    peer: name as PeerId,
    node: name,
    seen: () => (isThere ? seen : null),
    taken: () => taken,
    capacity: () => machine,
    absence: () => null,
    size: taken.length,
    offer: () => Promise.resolve([]),
    start: () => {},
    cancel: () => {},
  };
}

/** A run in which the task "a", of two seconds, has begun at 1,000 and "b" has not. */
function fleetOf(taken: readonly Taken[]): RunFleet {
  const machine = new RunMachine(evaluateAfter);
  const tasks = [task("a", [], { expectedMs: 2_000 }), task("b", [], { expectedMs: 400 })];
  machine.step({ kind: "run-started", atMs: 0, run: HEADER, options: { failFast: false }, tasks });
  const resolved = { kind: "miss", cacheKey: "k", ask: ASK, shared: true } as const;
  machine.step({ kind: "task-resolved", key: "a", round: 1, atMs: 0, outcome: resolved });
  const ref = { key: "a", attempt: 1, lease: "a#1" };
  machine.step({ kind: "task-placed", ...ref, node: "there", atMs: 900 });
  machine.step({ kind: "task-started", ...ref, atMs: 1_000 });
  return new RunFleet({ machine, executor: { taken: () => taken }, bytesPerMs: 1, ownSpeedPercent: () => 50 });
}

const taken = (key: string): Taken => ({ key, ask: ASK });

test("what the run has on a machine is likely to end after what is left of it, at the speed of the machine", () => {
  const fleet = fleetOf([taken("b")]).at(1_500, capacity("here"), [site("there", [taken("a"), taken("b")])]);
  const running = (name: string) =>
    fleet.get(name)?.node.running.map(({ amounts, endsAtMs }) => [amounts.cpuMilli, endsAtMs]);
  // "b" is on its way: all of it is to come
  expect(running("there")).toEqual([
    [cpuMilli, 2_000],
    [cpuMilli, 1_700],
  ]);
  expect(running("here")).toEqual([[cpuMilli, 2_300]]);
});

test("how fast a machine is stays known, and counts as 100 before anything is", () => {
  const machines = fleetOf([]);
  machines.at(0, capacity("here"), []);
  expect([machines.speedPercentOf("here"), machines.speedPercentOf("there")]).toEqual([100, 100]);
  machines.at(0, capacity("here"), [site("there", [])]);
  machines.at(0, capacity("here"), [site("there", [], false)]);
  expect([machines.speedPercentOf("here"), machines.speedPercentOf("there")]).toEqual([50, 200]);
});

test("alone, a machine is asked for nothing but what is free", () => {
  expect(
    fleetOf([taken("a")])
      .at(0, capacity("here"), [])
      .get("here")?.node.running,
  ).toEqual([]);
});

test("machines that take nothing are left out until they do again, and nothing new changes nothing", () => {
  const machines = fleetOf([]);
  const [here, there] = [capacity("here"), site("there", [taken("a")])];
  const names = (fleet: ReturnType<RunFleet["at"]>) => Array.from(fleet.rooms(), ({ name }) => name).sort();
  const fleet = machines.at(1_100, here, [there]);
  const { version } = fleet.get("there") ?? { version: -1 };
  expect(machines.at(1_200, here, [there]).get("there")?.version).toBe(version);
  // half way and overdue: that is new
  expect(machines.at(5_000, here, [there]).get("there")?.version).toBeGreaterThan(version);
  expect(names(machines.at(5_000, here, [site("there", [], false)]))).toEqual(["here"]);
  expect(names(machines.at(5_000, null, [there]))).toEqual(["there"]);
  expect(names(machines.at(5_000, here, [there]))).toEqual(["here", "there"]);
});
