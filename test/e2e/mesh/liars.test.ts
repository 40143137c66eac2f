// A member that lies about itself or floods the others: the work of the others goes on, and their nodes stay as they are.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { describeIf } from "../../support/require.ts";
import { leftOn } from "./faults.ts";
import { type Machines, makeMesh, manyTasks, until } from "./machines.ts";

setDefaultTimeout(60_000);

const LIAR = fileURLToPath(new URL("liar.ts", import.meta.url));
const MIB = 1 << 20;

describeIf(["binary", "lan", "bash"], "a mesh with a liar among its members", () => {
  let machines: Machines;

  beforeAll(async () => {
    machines = await makeMesh({ hosts: 3, flags: [["--cpus", "1"]] });
    await machines.at(2).mesh("down");
  });
  afterAll(async () => {
    await machines[Symbol.asyncDispose]();
  });

  const pidOf = async () => (await machines.at(0).json<{ running: { pid: number } }>("service", "status")).running.pid;
  const memoryOf = async (pid: number) =>
    1024 * Number(/VmRSS:\s+(\d+)/.exec(await machines.at(0).host.shell(`cat /proc/${pid}/status`))?.[1]);

  /** Has the third machine lie while the first one does something. */
  async function besideLiar(way: string, work: () => Promise<void>): Promise<void> {
    const [node, before] = [await pidOf(), await memoryOf(await pidOf())];
    const liar = machines.at(2);
    const child = await liar.host.spawn([process.execPath, LIAR, `${liar.home}/mesh`, way], {
      env: liar.environment,
      cwd: liar.directory,
    });
    try {
      const { value } = await child.stdout.getReader().read();
      if (value === undefined) throw new Error(await new Response(child.stderr).text());
      await Bun.sleep(1_500);
      await work();
      // It did so to the end.
      expect(await Promise.race([child.exited, Bun.sleep(0)])).toBeUndefined();
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
    expect(await pidOf()).toBe(node);
    expect((await memoryOf(node)) - before).toBeLessThan(200 * MIB);
    expect(await machines.at(0).sees("up")).toEqual(["host-2"]);
  }

  async function runsOnTheOthers(mark: string): Promise<void> {
    const { run, exitCode } = await machines.at(0).run(manyTasks(8, `sleep 0.2; echo ${mark}`));
    expect(exitCode).toBe(0);
    expect(new Set(run.tasks.map(({ node }) => node))).toEqual(new Set(["host-1", "host-2"]));
  }

  test("whose amounts are none gets no task", async () => {
    await besideLiar("absurd", async () => {
      await runsOnTheOthers("absurd");
      const { nodes } = await machines.at(0).json<{ nodes: { name: string; total: object | null }[] }>("nodes");
      const told = nodes.find(({ name }) => name === "host-3")?.total ?? null;
      if (told !== null) for (const amount of Object.values(told)) expect(amount).toBeLessThan(1e15);
    });
  });

  test("who boasts and does nothing costs time and nothing else", async () => {
    await besideLiar("boasting", async () => await runsOnTheOthers("boasting"));
  });

  test("who floods keeps nobody from working", async () => {
    await besideLiar("flooding", async () => {
      await runsOnTheOthers("flooding");
      await until("the other machine answers", async () => {
        const { exitCode, stdout } = await machines.at(0).try("ping", "host-2", "--json");
        return exitCode === 0 && stdout !== "";
      });
    });
    for (const machine of machines.all.slice(0, 2)) expect(await leftOn(machine)).toEqual([]);
  });
});
