// What goes wrong with machines and networks while a run goes on, and that it costs time and nothing else.

import { expect, setDefaultTimeout, test } from "bun:test";
import { describeIf, testIf } from "../../support/require.ts";
import type { RunJson } from "../harness.ts";
import { type Machine, type Machines, makeMesh, until } from "./machines.ts";

setDefaultTimeout(120_000);

/** Fourteen tasks of a third of a second over three machines, joined by a last one. Each notes that it ran, outside of the mesh. */
function pipeline(marks: string): string {
  const keys = Array.from({ length: 14 }, (_, at) => `t${at}`);
  const tasks = keys.map(
    (key) => `  - key: ${key}
    agent: { cpus: 1, memory: 100mb }
    run: sleep 0.35; echo ${key} > ${key}.out; echo ${marks} > /dev/null
`,
  );
  return `tasks:\n${tasks.join("")}  - key: all\n    use: [${keys.join(", ")}]\n    run: cat t*.out | wc -l > "$MESH_VALUES/count"\n`;
}

async function threeMachines(): Promise<Machines> {
  return await makeMesh({ hosts: 3, flags: [["--cpus", "1"]] });
}

/** Starts a run on a machine; resolves with its JSON when it is over. */
async function startRun(machine: Machine, definition: string): Promise<{ readonly over: Promise<RunJson> }> {
  machine.write("tasks.yml", definition);
  const child = await machine.spawn("run", "tasks.yml", "--json");
  const over = (async () => {
    const text = await new Response(child.stdout).text();
    await child.exited;
    return JSON.parse(text.trimEnd().split("\n").at(-1) ?? "") as RunJson;
  })();
  return { over };
}

async function busy(machines: Machines, index: number): Promise<void> {
  await until(`machine ${index + 1} runs a task`, async () => {
    const { nodes } = await machines.at(0).json<{ nodes: { name: string; runningTasks: number | null }[] }>("nodes");
    return (nodes.find(({ name }) => name === machines.at(index).name)?.runningTasks ?? 0) > 0;
  });
}

function expectWhole(run: RunJson): void {
  expect(run.status).toEqual({ execution: "finished", result: "succeeded" });
  expect(run.tasks.at(-1)?.outputs.values["count"]).toBe("14");
}

describeIf(["binary", "lan", "bash"], "a run goes on", () => {
  test("when a worker loses its power", async () => {
    await using machines = await threeMachines();
    const { over } = await startRun(machines.at(0), pipeline("power"));
    await busy(machines, 1);
    await machines.lan.host(1).powerOff();
    expectWhole(await over);
    expect(await machines.at(0).sees("down")).toEqual(["host-2"]);
  });

  test("when a worker's process is killed, and the node that comes back joins by itself", async () => {
    await using machines = await threeMachines();
    const { running } = await machines.at(1).json<{ running: { pid: number } }>("service", "status");
    const { over } = await startRun(machines.at(0), pipeline("kill"));
    await busy(machines, 1);
    await machines.at(1).host.shell(`kill -9 ${running.pid}`);
    await machines.at(1).mesh("up", "--cpus", "1");
    expectWhole(await over);
    await until("it is back", async () => (await machines.at(0).sees("up")).includes("host-2"));
  });

  test("when a worker's cable is pulled and plugged again", async () => {
    await using machines = await threeMachines();
    const { over } = await startRun(machines.at(0), pipeline("cable"));
    await busy(machines, 2);
    await machines.lan.host(2).unplug();
    await until("it is missed", async () => (await machines.at(0).sees("down")).includes("host-3"));
    await machines.lan.host(2).plug();
    expectWhole(await over);
    await until("it is back", async () => (await machines.at(0).sees("up")).includes("host-3"));
  });

  test("when a worker is frozen and thawed", async () => {
    await using machines = await threeMachines();
    const { over } = await startRun(machines.at(0), pipeline("freeze"));
    await busy(machines, 1);
    machines.lan.host(1).freeze();
    await until("it is missed", async () => (await machines.at(0).sees("down")).includes("host-2"));
    machines.lan.host(1).thaw();
    expectWhole(await over);
    await until("it is back", async () => (await machines.at(0).sees("up")).includes("host-2"));
  });

  test("when the network splits and heals", async () => {
    await using machines = await threeMachines();
    const { over } = await startRun(machines.at(0), pipeline("split"));
    await busy(machines, 1);
    const [a, b, c] = machines.lan.hosts;
    if (a === undefined || b === undefined || c === undefined) throw new Error("three machines are needed");
    await machines.lan.partition([[a], [b, c]]);
    await until("both are missed", async () => (await machines.at(0).sees("down")).length === 2);
    await machines.lan.heal();
    expectWhole(await over);
    await until("all are back", async () => (await machines.at(0).sees("up")).length === 2);
  });

  testIf("nft", "when packets are lost", async () => {
    await using machines = await threeMachines();
    for (const host of machines.lan.hosts) await host.lose({ percent: 5, direction: "in" });
    const { over } = await startRun(machines.at(0), pipeline("loss"));
    expectWhole(await over);
  });

  testIf("nft", "when one way of a line is dead", async () => {
    await using machines = await threeMachines();
    const { over } = await startRun(machines.at(0), pipeline("one way"));
    await busy(machines, 1);
    await machines.lan.host(1).lose({ percent: 100, direction: "out" });
    await until("it is missed", async () => (await machines.at(0).sees("down")).includes("host-2"));
    await machines.lan.host(1).loseNothing();
    expectWhole(await over);
  });

  test("when what a task left dies with its machine: it is made again elsewhere", async () => {
    await using machines = await threeMachines();
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
    const { over } = await startRun(machines.at(0), definition);
    await until("it is made", async () =>
      (
        await machines
          .at(0)
          .mesh("results")
          .catch(() => "")
      ).includes("make"),
    );
    await machines.lan.host(1).powerOff();
    const run = await over;
    expect(run.status.result).toBe("succeeded");
    expect(run.tasks.at(-1)?.outputs.values["it"]).toBe("made");
    expect(run.tasks[0]).toMatchObject({ node: "host-3" });
  });

  test("when its coordinator is killed: it is taken up where it was", async () => {
    await using machines = await threeMachines();
    const first = machines.at(0);
    first.write("tasks.yml", pipeline("coordinator"));
    const { run } = await first.json<{ run: string }>("run", "tasks.yml", "--detach");
    await busy(machines, 1);
    const { running } = await first.json<{ running: { pid: number } }>("service", "status");
    await first.host.shell(`kill -9 ${running.pid}`);
    await first.mesh("up", "--cpus", "1");
    await until(
      "it ends",
      async () => {
        const { status } = await resultsOf(first, run);
        return status.execution === "finished";
      },
      60_000,
    );
    expectWhole(await resultsOf(first, run));
  });
});

async function resultsOf(machine: Machine, run: string): Promise<RunJson> {
  const { stdout } = await machine.try("results", run, "--json");
  return JSON.parse(stdout) as RunJson;
}
