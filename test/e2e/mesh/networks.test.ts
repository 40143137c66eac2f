// Networks as they come in homes and offices: without IPv4, and two of them at once.

import { expect, setDefaultTimeout, test } from "bun:test";
import { describeIf } from "../../support/require.ts";
import { leftOn } from "./faults.ts";
import { type Machines, makeMachines, until } from "./machines.ts";

setDefaultTimeout(60_000);

interface Listed {
  readonly nodes: readonly { readonly name: string; readonly state: string; readonly addresses: readonly string[] }[];
}

/** Has the second machine join the first one's mesh by multicast. */
async function join(machines: Machines): Promise<void> {
  await machines.at(0).mesh("init");
  await machines.at(0).mesh("up");
  const { code } = await machines.at(0).json<{ code: string }>("invite", "--no-wait");
  await machines.at(1).mesh("join", code, "--detach");
  await seesSecond(machines);
}

async function seesSecond(machines: Machines): Promise<void> {
  await until("the second machine is up", async () => (await machines.at(0).sees("up")).length === 1);
}

/** A task there, whose output comes back to a task here. */
async function runsThere(machines: Machines, mark: string): Promise<void> {
  const there = machines.at(1).name;
  const { run } = await machines.at(0).run(`tasks:
  - { key: there, run: "echo ${mark} > out", agent: { node: ${there} } }
  - { key: here, use: there, run: 'cp out "$MESH_VALUES/mark"', agent: { node: ${machines.at(0).name} } }
`);
  expect(run.tasks.map(({ node }) => node)).toEqual([there, machines.at(0).name]);
  expect(run.tasks[1]?.outputs.values).toEqual({ mark });
}

describeIf(["binary", "lan", "bash"], "a mesh", () => {
  test("is found, joined and worked with over IPv6 alone", async () => {
    await using machines = await makeMachines({ hosts: 2 });
    for (const { host } of machines.all) await host.forgetIpv4();
    await join(machines);
    await runsThere(machines, "six");
    const { nodes } = await machines.at(0).json<Listed>("nodes");
    const addresses = nodes.flatMap((node) => node.addresses);
    expect(addresses.length).toBeGreaterThan(1);
    expect(addresses.filter((address) => !address.startsWith("["))).toEqual([]);
    for (const machine of machines.all) expect(await leftOn(machine)).toEqual([]);
  });

  test("over two networks lists each machine once, and goes on over one when the other is gone", async () => {
    await using machines = await makeMachines({ hosts: 2 });
    for (const { host } of machines.all) await host.plugIntoSecond();
    await join(machines);
    const listed = async () => (await machines.at(0).json<Listed>("nodes")).nodes;
    expect((await listed()).map(({ name }) => name).toSorted()).toEqual(["host-1", "host-2"]);
    await runsThere(machines, "both");
    for (const { host } of machines.all) await host.unplug();
    // The broken line is noticed within seconds; then the machine is found again by its other address.
    await until("the first network is missed", async () => (await machines.at(0).sees("up")).length === 0);
    await seesSecond(machines);
    await runsThere(machines, "second");
    expect((await listed()).map(({ name }) => name).toSorted()).toEqual(["host-1", "host-2"]);
    for (const machine of machines.all) expect(await leftOn(machine)).toEqual([]);
  });
});
