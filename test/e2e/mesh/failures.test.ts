// What goes wrong with machines and networks while a run goes on, and that it costs time and nothing else. One mesh for all
// faults that heal.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { describeIf, testIf } from "../../support/require.ts";
import { hiccup, killNode, leftOn, resultsOf, startRun, type Started } from "./faults.ts";
import { type Machines, makeMesh, until } from "./machines.ts";

setDefaultTimeout(60_000);

const FLAGS = [
  ["--cpus", "1"],
  ["--cpus", "1", "--labels", "maker"],
] as const;

/** More than goes in one piece, and not much more: a line of 200 ms there and back that loses 5 % carries little. */
const FAR_BYTES = 1_200_000;

/** Fourteen tasks of a third of a second over three machines, joined by a last one. `mark` gives them keys of their own. */
function pipeline(mark: string): string {
  const keys = Array.from({ length: 14 }, (_, at) => `t${at}`);
  const tasks = keys.map(
    (key) => `  - key: ${key}
    agent: { cpus: 1, memory: 100mb }
    run: "sleep 0.35; echo ${key} > ${key}.out # ${mark}"
`,
  );
  return `tasks:\n${tasks.join("")}  - key: all\n    use: [${keys.join(", ")}]\n    run: cat t*.out | wc -l > "$MESH_VALUES/count"\n`;
}

describeIf(["binary", "lan", "bash"], "a run goes on", () => {
  let machines: Machines;

  beforeAll(async () => {
    machines = await makeMesh({ hosts: 3, flags: FLAGS });
  });
  afterAll(async () => {
    await machines[Symbol.asyncDispose]();
  });

  const sees = async (state: string, ...names: readonly string[]) =>
    await until(`${names.join()} ${state}`, async () => {
      const seen = await machines.at(0).sees(state);
      return names.every((name) => seen.includes(name));
    });

  /** Waits until a machine runs a task. */
  async function busy(index: number): Promise<void> {
    await until(`machine ${index + 1} runs a task`, async () => {
      const { nodes } = await machines.at(0).json<{ nodes: { name: string; runningTasks: number | null }[] }>("nodes");
      return (nodes.find(({ name }) => name === machines.at(index).name)?.runningTasks ?? 0) > 0;
    });
  }

  async function start(mark: string, busyAt: number): Promise<Started> {
    const started = await startRun(machines.at(0), pipeline(mark));
    await busy(busyAt);
    return started;
  }

  /** The run is whole, each task was reported once, and nothing of it is left on any machine. */
  async function expectWhole({ over }: Started): Promise<void> {
    const { run, twice } = await over;
    expect(run.status).toEqual({ execution: "finished", result: "succeeded" });
    expect(run.tasks.at(-1)?.outputs.values["count"]).toBe("14");
    expect(twice).toEqual([]);
    await until("all are there", async () => (await machines.at(0).sees("up")).length === 2);
    for (const machine of machines.all)
      await until(`nothing is left on ${machine.name}`, async () => (await leftOn(machine)).length === 0);
  }

  test("when a worker's process is killed, and the node that comes back joins by itself", async () => {
    const started = await start("kill", 1);
    await killNode(machines.at(1));
    await machines.at(1).mesh("up");
    await expectWhole(started);
  });

  test("when a worker's cable is pulled and plugged again", async () => {
    const started = await start("cable", 2);
    await machines.lan.host(2).unplug();
    await sees("down", "host-3");
    await machines.lan.host(2).plug();
    await expectWhole(started);
  });

  test("when a worker sleeps for longer than it takes to be missed", async () => {
    const started = await start("sleep", 1);
    machines.lan.host(1).freeze();
    await sees("down", "host-2");
    machines.lan.host(1).thaw();
    await expectWhole(started);
  });

  for (const [who, index] of [
    ["a worker", 1],
    ["its coordinator", 0],
  ] as const)
    test(`when ${who} is slow, as one with a bad disk: it stands still most of the time, and never long enough to be missed`, async () => {
      const started = await start(`slow ${index}`, 1);
      for (let time = 0; time < 6; time++) {
        await hiccup(machines.lan.host(index));
        expect(await machines.at(1 - index).sees("down")).toEqual([]);
      }
      await expectWhole(started);
    });

  test("when its coordinator's cable is pulled and plugged again", async () => {
    const started = await start("coordinator's cable", 1);
    await machines.lan.host(0).unplug();
    await until("it is missed", async () => (await machines.at(1).sees("down")).includes("host-1"));
    await machines.lan.host(0).plug();
    await expectWhole(started);
  });

  test("when its coordinator sleeps for longer than it takes to be missed", async () => {
    const started = await start("coordinator sleeps", 1);
    machines.lan.host(0).freeze();
    await until("it is missed", async () => (await machines.at(1).sees("down")).includes("host-1"));
    machines.lan.host(0).thaw();
    await expectWhole(started);
  });

  test("when the network splits and heals", async () => {
    const started = await start("split", 1);
    const [a, b, c] = machines.lan.hosts;
    if (a === undefined || b === undefined || c === undefined) throw new Error("three machines are needed");
    await machines.lan.partition([[a], [b, c]]);
    await sees("down", "host-2", "host-3");
    await machines.lan.heal();
    await expectWhole(started);
  });

  for (const [what, index, direction] of [
    ["a worker is not heard", 1, "out"],
    ["a worker hears nothing", 1, "in"],
    ["its coordinator is not heard", 0, "out"],
    ["its coordinator hears nothing", 0, "in"],
  ] as const)
    testIf("nft", `when ${what}: one way of a line is dead`, async () => {
      const started = await start(what, 1);
      const { host, name } = machines.at(index);
      await host.lose({ percent: 100, direction });
      await until("it is missed", async () => (await machines.at(1 - index).sees("down")).includes(name));
      await host.loseNothing();
      await expectWhole(started);
    });

  testIf(
    "nft",
    "when two workers cannot reach each other: what one needs of the other goes by way of its coordinator",
    async () => {
      const [maker, user] = [machines.at(1), machines.at(2)];
      for (const direction of ["in", "out"] as const)
        await user.host.lose({ percent: 100, direction, with: [maker.host] });
      await until("they miss each other", async () => (await maker.sees("down")).includes(user.name));
      const started = await startRun(
        machines.at(0),
        `tasks:
  - { key: make, agent: { node: ${maker.name} }, run: 'head -c 2m /dev/urandom > made; sha256sum made > "$MESH_VALUES/sum"' }
  - { key: use, use: make, agent: { node: ${user.name} }, run: 'sha256sum made > "$MESH_VALUES/sum"' }
`,
      );
      const { run, twice } = await started.over;
      expect(run.status).toEqual({ execution: "finished", result: "succeeded" });
      expect(run.tasks.map(({ node }) => node)).toEqual([maker.name, user.name]);
      const [made, used] = run.tasks.map(({ outputs }) => outputs.values["sum"]);
      expect(used).toBe(made ?? "");
      expect(twice).toEqual([]);
      expect(await maker.sees("down")).toEqual([user.name]);
      await user.host.loseNothing();
      await until("they see each other", async () => (await maker.sees("up")).includes(user.name));
    },
  );

  test("when a worker has another address from now on", async () => {
    const started = await start("moved", 2);
    await machines.lan.host(2).moveTo("10.77.0.99");
    await expectWhole(started);
  });

  test("when a worker sleeps and wakes elsewhere, with another address", async () => {
    const started = await start("woken elsewhere", 1);
    machines.lan.host(1).freeze();
    await sees("down", "host-2");
    await machines.lan.host(1).moveTo("10.77.0.98");
    machines.lan.host(1).thaw();
    await expectWhole(started);
    const { nodes } = await machines.at(0).json<{ nodes: { name: string; addresses: string[] }[] }>("nodes");
    expect(nodes.find(({ name }) => name === "host-2")?.addresses.join()).toContain("10.77.0.98");
  });

  test("when its coordinator is killed: the run is taken up where it was", async () => {
    const first = machines.at(0);
    first.write("tasks.yml", pipeline("coordinator"));
    const { run } = await first.json<{ run: string }>("run", "tasks.yml", "--detach");
    await busy(1);
    await killNode(first);
    await first.mesh("up");
    await until("it ends", async () => (await resultsOf(first, run))?.status.execution === "finished", 40_000);
    const summary = await resultsOf(first, run);
    expect(summary?.status.result).toBe("succeeded");
    expect(summary?.tasks.at(-1)?.outputs.values["count"]).toBe("14");
  });

  test("when its coordinator is killed as soon as the run was accepted", async () => {
    const first = machines.at(0);
    first.write("tasks.yml", pipeline("accepted"));
    const { run } = await first.json<{ run: string }>("run", "tasks.yml", "--detach");
    await killNode(first);
    await first.mesh("up");
    await until("it ends", async () => (await resultsOf(first, run))?.status.execution === "finished", 40_000);
    expect((await resultsOf(first, run))?.status.result).toBe("succeeded");
  });

  testIf(["nft", "tun"], "when packets are lost on long lines, and files that come over them are whole", async () => {
    for (const host of machines.lan.hosts) await host.lose({ percent: 5, direction: "in" });
    await machines.lan.host(1).delay(100);
    const started = await startRun(machines.at(0), pipeline("loss"));
    await expectWhole(started);
    const { run } = await machines.at(0).run(`
tasks:
  - key: make
    agent: { node: host-2 }
    run: head -c ${FAR_BYTES} /dev/urandom > made; sha256sum made > "$MESH_VALUES/sum"
  - key: use
    use: make
    agent: { node: host-1 }
    run: sha256sum made > "$MESH_VALUES/sum"
`);
    expect(run.tasks.map(({ node }) => node)).toEqual(["host-2", "host-1"]);
    const [made, used] = run.tasks.map(({ outputs }) => outputs.values["sum"]);
    expect(made).toMatch(/^[0-9a-f]{64} /);
    expect(used).toBe(made);
    for (const host of machines.lan.hosts) await host.loseNothing();
  });

  test("when what a task left dies with its machine, which loses its power: it is made again elsewhere", async () => {
    const definition = `
tasks:
  - key: make
    agent: { labels: [maker] }
    run: echo made > made; hostname
  - key: wait
    after: make
    agent: { node: host-1 }
    run: sleep 4
  - key: use
    use: make
    after: wait
    agent: { node: host-1 }
    run: cat made > "$MESH_VALUES/it"
`;
    const watched = await startRun(machines.at(0), definition);
    const maker = await watched.finishedAt("make");
    await machines.lan.host(maker === "host-2" ? 1 : 2).powerOff();
    const { run } = await watched.over;
    expect(run.status.result).toBe("succeeded");
    expect(run.tasks.at(-1)?.outputs.values["it"]).toBe("made");
    expect(run.tasks[0]?.node).toBe(maker === "host-2" ? "host-3" : "host-2");
  });

  test("when a worker is revoked in the middle of its task: it runs elsewhere, and the worker lets go of it", async () => {
    const [name] = await machines.at(0).sees("up");
    const worker = machines.all.find((each) => each.name === name);
    if (worker === undefined) throw new Error("No worker is there");
    const keys = ["r0", "r1"];
    const tasks = keys.map(
      (key) => `  - { key: ${key}, agent: { cpus: 1, memory: 100mb }, run: "sleep 3 # ${key} revoked" }\n`,
    );
    const { over } = await startRun(machines.at(0), `tasks:\n${tasks.join("")}`);
    await busy(machines.all.indexOf(worker));
    await machines.at(0).mesh("revoke", worker.name);
    await until("its task is stopped there", async () => (await leftOn(worker)).length === 0);
    const { run, twice } = await over;
    expect(run.status).toEqual({ execution: "finished", result: "succeeded" });
    expect(run.tasks.map(({ node }) => node)).toEqual(["host-1", "host-1"]);
    expect(twice).toEqual([]);
  });
});
