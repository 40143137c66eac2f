// Disks that fill up in the middle of something: of a worker, of a machine that fetches, of a coordinator. Each MESH_HOME has a
// small disk of its own.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { describeIf, testIf } from "../../support/require.ts";
import { leftOn, resultsOf, startRun } from "./faults.ts";
import { type Machine, type Machines, makeMesh, manyTasks, until } from "./machines.ts";

setDefaultTimeout(60_000);

const DISK_MEBIBYTES = 256;
const BLOB_MEBIBYTES = 32;
/** So that the blob takes three seconds. */
const LINE_MEGABITS = 80;

describeIf(["binary", "lan", "bash"], "a disk that fills up", () => {
  let machines: Machines;

  beforeAll(async () => {
    const worker = ["--cpus", "1", "--labels", "worker"];
    machines = await makeMesh({ hosts: 3, flags: [["--cpus", "1"], worker], diskMebibytes: DISK_MEBIBYTES });
  });
  afterAll(async () => {
    await machines[Symbol.asyncDispose]();
  });

  const named = (name: string): Machine => {
    const found = machines.all.find((machine) => machine.name === name);
    if (found === undefined) throw new Error(`No machine ${name}`);
    return found;
  };

  async function expectNothingLeft(): Promise<void> {
    for (const machine of machines.all)
      await until(`nothing is left on ${machine.name}`, async () => (await leftOn(machine)).length === 0);
  }

  const usedKilobytes = async (machine: Machine) =>
    Number((await machine.host.shell(`df -k --output=used ${machine.home} | tail -n 1`)).trim());

  test("in the middle of a task: it runs elsewhere, and the machine gets no other one until it has room", async () => {
    const first = machines.at(0);
    const started = await startRun(
      first,
      `tasks:
  - key: big
    agent: { cpus: 1, memory: 100mb, labels: [worker] }
    run: for i in $(seq 8); do head -c 4m /dev/urandom >> big || exit 1; sleep 0.2; done; stat -c %s big > "$MESH_VALUES/size"
`,
    );
    const full = named(await started.placed("big"));
    await full.fillDisk();
    const { run, twice } = await started.over;
    expect(run.status).toEqual({ execution: "finished", result: "succeeded" });
    expect(run.tasks[0]?.outputs.values["size"]).toBe(String(32 * 1024 * 1024));
    const spare = full.name === "host-2" ? "host-3" : "host-2";
    expect(run.tasks[0]?.node).toBe(spare);
    expect(twice).toEqual([]);
    const others = await first.run(manyTasks(4, "sleep 0.1", "cpus: 1, memory: 100mb, labels: [worker]"));
    expect(others.run.tasks.map(({ node }) => node)).toEqual([spare, spare, spare, spare]);
    // who asks for that one is told why
    const asks = `tasks:\n  - { key: there, agent: { node: ${full.name} }, run: hostname }\n`;
    first.write("there.yml", asks);
    expect((await first.try("explain", "there.yml")).stdout).toContain("has a full disk");
    const refused = (await first.run(asks)).run.tasks[0];
    expect(refused?.messages.map(({ text }) => text).join()).toContain(`${full.name} would fit and has a full disk`);
    await full.emptyDisk();
    await until("it gets tasks again", async () => (await first.run(asks)).run.tasks[0]?.node === full.name);
    await expectNothingLeft();
  });

  testIf("tc", "in the middle of a fetch: that is said, nothing half is left, and with room it goes on", async () => {
    const [source, receiver] = [machines.at(0), machines.at(1)];
    await source.host.shell(`head -c ${BLOB_MEBIBYTES}m /dev/urandom > ${source.directory}/blob`);
    const digest = (await source.mesh("blob", "put", "blob")).trim();
    await source.host.limit(LINE_MEGABITS);
    const before = await usedKilobytes(receiver);
    const getting = receiver.try("blob", "get", digest, "-o", "got", "--json");
    await until("some of it is there", async () => (await usedKilobytes(receiver)) > before + 4_096);
    await receiver.fillDisk();
    const { exitCode, stderr } = await getting;
    expect(exitCode).toBe(4);
    expect(stderr).toContain('"code":"store.full"');
    expect(readdirSync(receiver.directory)).toEqual([]);
    await receiver.emptyDisk();
    await source.host.limit(null);
    await receiver.mesh("blob", "get", digest, "-o", "got");
    await source.host.shell(`cmp ${source.directory}/blob ${receiver.directory}/got`);
    await expectNothingLeft();
  });

  test("of a machine that has what others need: it serves all the same, what it made and what it was given", async () => {
    const [source, receiver] = [machines.at(1), machines.at(2)];
    await source.host.shell(`head -c 4m /dev/urandom > ${source.directory}/blob`);
    const digest = (await source.mesh("blob", "put", "blob")).trim();
    const started = await startRun(
      machines.at(0),
      `tasks:
  - { key: make, agent: { node: ${source.name} }, run: 'head -c 4m /dev/urandom > made; sha256sum made > "$MESH_VALUES/sum"' }
  - { key: wait, after: make, agent: { node: ${receiver.name} }, run: sleep 1 }
  - { key: use, use: make, after: wait, agent: { node: ${receiver.name} }, run: 'sha256sum made > "$MESH_VALUES/sum"' }
`,
    );
    await started.finishedAt("make");
    await source.fillDisk();
    await receiver.mesh("blob", "get", digest, "-o", "given");
    await source.host.shell(`cmp ${source.directory}/blob ${receiver.directory}/given`);
    const { run, twice } = await started.over;
    expect(run.status).toEqual({ execution: "finished", result: "succeeded" });
    const [made, , used] = run.tasks.map(({ outputs }) => outputs.values["sum"]);
    expect(made).toMatch(/^[0-9a-f]{64} /);
    expect(used).toBe(made);
    expect(twice).toEqual([]);
    await source.emptyDisk();
    await expectNothingLeft();
  });

  test("of the coordinator: its run stops under that name, and goes on with room", async () => {
    const first = machines.at(0);
    first.write("tasks.yml", manyTasks(8, "sleep 0.4; hostname; head -c 300k /dev/urandom | base64"));
    const { run } = await first.json<{ run: string }>("run", "tasks.yml", "--detach");
    const watching = await first.spawn("attach", run, "--json");
    await until("some of it is done", async () => {
      const tasks = (await resultsOf(first, run))?.tasks ?? [];
      return tasks.some(({ status }) => status.execution === "finished");
    });
    await first.fillDisk();
    expect(await watching.exited).toBe(4);
    expect(await new Response(watching.stderr).text()).toMatch(/"code":"store.full".*mesh cache prune/);
    await first.emptyDisk();
    await first.mesh("down");
    await first.mesh("up", "--cpus", "1");
    await until("it ends", async () => (await resultsOf(first, run))?.status.execution === "finished", 40_000);
    const summary = await resultsOf(first, run);
    expect(summary?.status.result).toBe("succeeded");
    await expectNothingLeft();
  });
});
