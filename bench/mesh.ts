// Several machines on a LAN of network namespaces: how soon they find each other and notice a loss, what placing a task on
// another one costs, how fast content moves. Needs root.

import { type Machine, type Machines, makeMachines, makeMesh, manyTasks, until } from "../test/e2e/mesh/machines.ts";
import { meshBinary } from "../test/support/binary.ts";
import { median, type Row } from "./row.ts";

const TIMES = 5;
const TASKS = 1_000;

export async function meshRows(): Promise<readonly Row[]> {
  return [...(await joinRows()), ...(await lossRows()), ...(await placingRows())];
}

/** From `mesh join` to the end of a first task on the machine that joined. */
async function joinRows(): Promise<readonly Row[]> {
  const seconds: number[] = [];
  for (let time = 0; time < TIMES; time++) {
    await using machines = await makeMachines({ hosts: 2 });
    const [first, second] = [machines.at(0), machines.at(1)];
    await first.mesh("init");
    await first.mesh("up");
    const { code } = await first.json<{ code: string }>("invite", "--no-wait");
    const started = performance.now();
    await second.mesh("join", code, "--detach");
    const { exitCode, stderr } = await first.run("tasks:\n  - key: a\n    agent: { node: host-2 }\n    run: 'true'\n");
    if (exitCode !== 0) throw new Error(stderr);
    seconds.push((performance.now() - started) / 1_000);
  }
  return [
    {
      what: "`mesh join CODE` to the end of its first task, by mDNS",
      ours: median(seconds),
      unit: "s",
      other: { name: "limit", value: 2 },
      most: 1,
    },
  ];
}

/** How soon the others know that a machine is gone. */
async function lossRows(): Promise<readonly Row[]> {
  const killed: number[] = [];
  const silent: number[] = [];
  for (let time = 0; time < TIMES; time++) {
    await using machines = await makeMesh({ hosts: 3 });
    const { running } = await machines.at(1).json<{ running: { pid: number } }>("service", "status");
    killed.push(await missedAfter(machines, "host-2", () => machines.at(1).host.shell(`kill -9 ${running.pid}`)));
    silent.push(await missedAfter(machines, "host-3", () => machines.lan.host(2).powerOff()));
  }
  return [
    {
      what: "a killed machine is missed",
      ours: median(killed),
      unit: "s",
      other: { name: "limit", value: 1 },
      most: 1,
    },
    {
      what: "a machine without power is missed",
      ours: median(silent),
      unit: "s",
      other: { name: "limit", value: 4 },
      most: 1,
    },
  ];
}

async function missedAfter(machines: Machines, name: string, end: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await end();
  await until(`${name} is missed`, async () => (await machines.at(0).sees("down")).includes(name), 30_000);
  return (performance.now() - started) / 1_000;
}

/** A thousand tasks over three machines, against the same on one: what placing one elsewhere adds. */
async function placingRows(): Promise<readonly Row[]> {
  await using machines = await makeMesh({ hosts: 3 });
  const first = machines.at(0);
  const alone = await secondsOf(first, ["--node", "host-1"]);
  const away = await secondsOf(first, ["--node", "host-2"]);
  const spread = await secondsOf(first, []);
  const perTask = (seconds: number) => (seconds * 1_000) / TASKS;
  return [
    {
      what: "one of 1,000 tasks, placed on another machine",
      ours: perTask(away),
      unit: "ms",
      other: { name: "on this one", value: perTask(alone) },
      most: null,
    },
    {
      what: "one of 1,000 `sh` tasks over 3 machines of this one's 2 CPUs, isolated",
      ours: perTask(spread),
      unit: "ms",
      other: { name: "Ray's, not isolated, plus a context", value: 1.25 + perTask(alone) },
      most: 1,
    },
  ];
}

async function secondsOf(machine: Machine, flags: readonly string[]): Promise<number> {
  machine.write("tasks.yml", manyTasks(TASKS, "true", "cpus: 0.5, memory: 10mb"));
  const started = performance.now();
  const { exitCode, stderr } = await machine.host.run([meshBinary, "run", "tasks.yml", "--no-cache", ...flags], {
    env: machine.environment,
    cwd: machine.directory,
  });
  if (exitCode !== 0) throw new Error(stderr);
  return (performance.now() - started) / 1_000;
}
