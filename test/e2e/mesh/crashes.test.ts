// Crashes at many moments: `kill -9` of a node, whatever it does just then for the runs that go on, and it comes back. Every run
// ends well. The seed is named when one does not; MESH_TEST_SEED plays it again.

import { expect } from "bun:test";
import { SeededRandom } from "../../fake/seeded-random.ts";
import { testIf } from "../../support/require.ts";
import { leftOn, resultsOf } from "./faults.ts";
import { type Machine, makeMesh, until } from "./machines.ts";

const MOMENTS = 50;
const MOST_BETWEEN_MS = 400;
/** Runs that go on at the same time. */
const RUNS = 2;
/** After the last crash. */
const END_MS = 40_000;

/** Five tasks and one over them. `mark` gives them keys of their own. */
function pipeline(mark: string): string {
  const keys = Array.from({ length: 5 }, (_, at) => `t${at}`);
  const tasks = keys.map(
    (key) => `  - key: ${key}\n    agent: { cpus: 1, memory: 50mb }\n    run: "sleep 0.2; echo ${mark} > ${key}.out"\n`,
  );
  return `tasks:\n${tasks.join("")}  - key: all\n    use: [${keys.join(", ")}]\n    run: cat *.out | grep -c ${mark} > "$MESH_VALUES/count"\n`;
}

interface Submitted {
  readonly machine: Machine;
  readonly run: string;
}

testIf(
  ["binary", "lan", "bash"],
  `a node that dies at any of ${MOMENTS} moments costs no run`,
  async () => {
    const seed = Number(process.env["MESH_TEST_SEED"] ?? Date.now() % 1_000_000_007);
    const random = new SeededRandom(seed);
    await using machines = await makeMesh({ hosts: 3, flags: [["--cpus", "2"]] });
    const pids = await Promise.all(
      machines.all.map(async (machine) => {
        const { running } = await machine.json<{ running: { pid: number } }>("service", "status");
        return running.pid;
      }),
    );
    const submitted: Submitted[] = [];
    const open = async (runs: readonly Submitted[]) => {
      const looked = await Promise.all(runs.map(async ({ machine, run }) => await resultsOf(machine, run)));
      return runs.filter((_, at) => looked[at]?.status.execution !== "finished");
    };
    let going: readonly Submitted[] = [];
    for (let moment = 0; moment < MOMENTS; moment++) {
      if (moment % 4 === 0) going = await open(going);
      if (going.length < RUNS) {
        const machine = machines.at(random.below(machines.all.length));
        machine.write("tasks.yml", pipeline(`m${moment}-${seed}`));
        const { run } = await machine.json<{ run: string }>("run", "tasks.yml", "--detach");
        submitted.push({ machine, run });
        going = [...going, { machine, run }];
      }
      await Bun.sleep(random.below(MOST_BETWEEN_MS));
      const victim = random.below(machines.all.length);
      await machines.at(victim).host.shell(`kill -9 ${pids[victim]}`);
      pids[victim] = (await machines.at(victim).json<{ pid: number }>("up")).pid;
    }
    await until(`all runs end (seed ${seed})`, async () => (going = await open(going)).length === 0, END_MS);
    const ends = await Promise.all(submitted.map(async ({ machine, run }) => await resultsOf(machine, run)));
    for (const end of ends) {
      // what the tasks say of losses is no fault; it is shown when the run is no success
      const messages = end?.tasks.flatMap((task) => task.messages.map(({ text }) => `${task.key}: ${text}`));
      const told = [`seed ${seed}`, messages, end?.status, end?.tasks.at(-1)?.outputs.values["count"]];
      expect(told).toEqual([`seed ${seed}`, messages, { execution: "finished", result: "succeeded" }, "5"]);
    }
    expect(submitted.length).toBeGreaterThan(RUNS);
    // empty groups of a node that was killed may stay until the next one there begins to run tasks
    const isLeft = (line: string) => !line.startsWith("/sys/fs/cgroup/");
    for (const machine of machines.all)
      await until(
        `nothing is left on ${machine.name} (seed ${seed})`,
        async () => !(await leftOn(machine)).some(isLeft),
      );
  },
  180_000,
);
