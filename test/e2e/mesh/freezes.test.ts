// Machines that stand still for longer than anything they said is good for: claims on keys, leases that wait to begin. What they
// know when they wake is old. All stand still at the same time, as that takes the most of it.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { LIMITS } from "../../../src/base/limits.ts";
import { describeIf } from "../../support/require.ts";
import { leftOn, startRun } from "./faults.ts";
import { type Machine, type Machines, makeMesh, until } from "./machines.ts";

setDefaultTimeout(60_000);

/** Beyond every time that is good for seconds; of what is good for minutes the machines' own tests tell stories. */
const FREEZE_MS = Math.max(LIMITS.claimMs, LIMITS.grantMs, LIMITS.connectionSilentMs) + 3_000;
/** Tasks of a quarter of a CPU, on machines that lend one. */
const AT_ONCE = 4;

describeIf(["binary", "lan", "bash"], "a machine that stands still for longer than what it said is good for", () => {
  let machines: Machines;
  // The others stand still.
  let first: Machine;
  let spare: Machine;
  let worker: Machine;

  beforeAll(async () => {
    const [plain, labelled] = [
      ["--cpus", "1"],
      ["--cpus", "1", "--labels", "worker"],
    ];
    machines = await makeMesh({ hosts: 5, flags: [plain, labelled, labelled, plain] });
    [first, spare, worker] = [machines.at(0), machines.at(2), machines.at(3)];
  });
  afterAll(async () => {
    await machines[Symbol.asyncDispose]();
  });

  const task = (key: string, agent: string, run: string) =>
    `  - { key: ${key}, agent: { cpus: 0.25, memory: 50mb, ${agent} }, run: ${JSON.stringify(run)} }\n`;

  const sleepsOn = async (machine: Machine) => (await leftOn(machine)).filter((line) => line.startsWith("sleep "));

  /** Counts the sleeps on a machine, until somebody asks for the most that there were at once. */
  async function countSleeps(machine: Machine): Promise<() => Promise<number>> {
    const child = await machine.host.spawn([
      "bash",
      "-c",
      `most=0
      while read -t 0.02 || [ $? -gt 128 ]; do
        now=0
        for each in /proc/[0-9]*/comm; do
          { read name < $each; } 2>/dev/null && [ "$name" = sleep ] && now=$((now + 1))
        done
        [ $now -gt $most ] && most=$now
      done
      echo $most`,
    ]);
    return async () => {
      await child.stdin.end();
      return Number(await new Response(child.stdout).text());
    };
  }

  test.concurrent("as a worker: its work is done elsewhere and told once, it lets go of it, and takes no more than fits", async () => {
    const sleeper = machines.at(1);
    // On the machine that sleeps they take long, elsewhere no time.
    const slow = (key: string, seconds: number) =>
      task(
        key,
        "labels: [worker]",
        `[ "$(hostname)" != ${sleeper.name} ] || sleep ${seconds}; hostname > "$MESH_VALUES/at"`,
      );
    const keep = task("keep", `node: ${first.name}`, `sleep ${FREEZE_MS / 1_000 + 7}`);
    await spare.mesh("drain");
    const longer = await startRun(first, `tasks:\n${slow("ends", 7)}${slow("runs", 600)}${keep}`);
    for (const key of ["ends", "runs"]) expect(await longer.placed(key)).toBe(sleeper.name);
    const shorter = await startRun(first, `tasks:\n${slow("left", 601)}`);
    await until("all of it runs", async () => (await sleepsOn(sleeper)).length === 3);
    await spare.mesh("drain", "--off");
    sleeper.host.freeze();
    const longEnough = Bun.sleep(FREEZE_MS);
    const { run: before } = await shorter.over;
    expect(before.status.result).toBe("succeeded");
    await longEnough;
    sleeper.host.thaw();
    await until("it is back", async () => (await spare.sees("up")).includes(sleeper.name));
    expect(await sleepsOn(first)).toHaveLength(1);
    // Another coordinator, which knows nothing of what runs there, wants all of it twice over.
    const most = await countSleeps(sleeper);
    const wanted = Array.from({ length: 2 * AT_ONCE }, (_, at) =>
      task(`n${at}`, `node: ${sleeper.name}`, `sleep 1; echo ${at}`),
    );
    const { run: anew } = await (await startRun(spare, `tasks:\n${wanted.join("")}`)).over;
    expect(anew.status.result).toBe("succeeded");
    expect(await most()).toBe(AT_ONCE);
    const { run, twice } = await longer.over;
    expect(run.status).toEqual({ execution: "finished", result: "succeeded" });
    for (const { node, outputs } of run.tasks.slice(0, 2))
      expect([node, outputs.values]).toEqual([spare.name, { at: spare.name }]);
    expect(twice).toEqual([]);
    for (const machine of [first, sleeper, spare])
      await until(`nothing is left on ${machine.name}`, async () => (await leftOn(machine)).length === 0);
  });

  test.concurrent("as a coordinator: nobody runs what goes on meanwhile, and it takes all of it up", async () => {
    const sleeper = machines.at(4);
    // Their keys are the same wherever they run.
    const definition = ({ name }: Machine) => {
      const once = (key: string, seconds: number) =>
        task(key, `node: ${name}`, `sleep ${seconds}; date +%N > "$MESH_VALUES/when"`);
      return `tasks:\n${once("ends", 3)}${once("goes-on", FREEZE_MS / 1_000 + 5)}`;
    };
    const frozen = await startRun(sleeper, definition(worker));
    await until("all of it runs", async () => (await sleepsOn(worker)).length === 2);
    sleeper.host.freeze();
    const longEnough = Bun.sleep(FREEZE_MS);
    // By both, or two machines that stand still at once may be all that look after a key as one sees it.
    await until("it is missed", async () => {
      const down = await Promise.all([spare, worker].map((machine) => machine.sees("down")));
      return down.every((names) => names.includes(sleeper.name));
    });
    const other = await startRun(spare, definition(spare));
    await longEnough;
    sleeper.host.thaw();
    expect(await sleepsOn(worker)).toHaveLength(1);
    const ends = await Promise.all([frozen.over, other.over]);
    for (const { run, twice } of ends) {
      expect(run.status).toEqual({ execution: "finished", result: "succeeded" });
      expect(twice).toEqual([]);
    }
    const [here, there] = ends.map(({ run }) => run.tasks.map(({ outputs }) => outputs.values["when"]));
    expect(here).toEqual(there ?? []);
    for (const machine of [sleeper, worker])
      await until(`nothing is left on ${machine.name}`, async () => (await leftOn(machine)).length === 0);
  });
});
