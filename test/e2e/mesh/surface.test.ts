// What a user does with a node, with the compiled program on hosts of their own: starting, stopping, leaving, and what is said when
// that cannot be done.

import { expect, setDefaultTimeout, test } from "bun:test";
import { statSync } from "node:fs";
import { inProject } from "../../../scripts/support/project.ts";
import { describeIf } from "../../support/require.ts";
import { makeLan } from "../../support/lan/lan.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { makeMachines, makeMesh, until } from "./machines.ts";

setDefaultTimeout(60_000);

describeIf(["binary", "lan", "bash"], "a node", () => {
  test("starts once, whoever else starts it; its socket and folder are its user's alone", async () => {
    await using machines = await makeMachines({ hosts: 1 });
    const one = machines.at(0);
    expect((await one.try("up")).stderr).toContain("this machine is in no mesh");
    await one.mesh("init");
    expect(await one.try("up", "--cpus", "no")).toMatchObject({ exitCode: 2 });
    const ups = await Promise.all([one.try("up"), one.try("up")]);
    expect(new Set(ups.map(({ exitCode }) => exitCode))).toEqual(new Set([0, 2]));
    expect(ups.map(({ stderr }) => stderr).join("")).toContain("node runs already, as process ");
    const mode = (path: string) => statSync(`${one.home}/mesh/${path}`).mode & 0o777;
    expect(["", "node.sock", "node.log", "lending.json"].map(mode)).toEqual([0o700, 0o600, 0o600, 0o600]);
    expect((await one.try("leave")).stderr).toContain("while this machine's node runs");
    await one.mesh("down");
    expect((await one.try("down")).exitCode).toBe(2);
  });

  test("that was killed leaves a socket that the next one takes", async () => {
    await using machines = await makeMachines({ hosts: 1 });
    const one = machines.at(0);
    await one.mesh("init");
    await one.mesh("up");
    const { running } = await one.json<{ running: { pid: number } }>("service", "status");
    await one.host.shell(`kill -9 ${running.pid}`);
    expect((await one.try("service", "status")).exitCode).toBe(2);
    expect(await one.sees("self")).toHaveLength(1);
    await one.mesh("up");
    await one.mesh("down");
  });

  test("that is stopped stops its runs, and who watches hears it", async () => {
    await using machines = await makeMachines({ hosts: 1 });
    const one = machines.at(0);
    await one.mesh("init");
    await one.mesh("up");
    one.write("tasks.yml", "tasks:\n  - key: long\n    run: sleep 300\n");
    const run = await one.spawn("run", "tasks.yml", "--json");
    await until("it runs", async () => (await one.mesh("top", "-n", "1")).includes("Tasks 1 running"));
    await one.mesh("down");
    expect(await run.exited).toBe(130);
    expect(await new Response(run.stderr).text()).toBe("");
  });

  test("loses a run whose client is killed, and keeps one that was detached", async () => {
    await using machines = await makeMachines({ hosts: 1 });
    const one = machines.at(0);
    await one.mesh("init");
    await one.mesh("up", "--cpus", "2");
    one.write("tasks.yml", "tasks:\n  - key: long\n    run: sleep 300\n    agent: { cpus: 1, memory: 50mb }\n");
    const activeRuns = async () => (await one.json<{ activeRuns: number }>("stats")).activeRuns;
    const run = await one.spawn("run", "tasks.yml", "--no-cache");
    await until("it runs", async () => (await activeRuns()) === 1);
    run.kill("SIGKILL");
    await until("it is stopped", async () => (await activeRuns()) === 0);
    await one.mesh("run", "tasks.yml", "--detach");
    expect(await activeRuns()).toBe(1);
    await one.mesh("down");
  });
});

describeIf(["binary", "lan", "bash"], "mesh leave", () => {
  test("is heard by others; where nobody hears it, the key is forgotten too", async () => {
    await using machines = await makeMesh({ hosts: 3, flags: [["--cpus", "1"]] });
    const leave = async (index: number) => {
      await machines.at(index).mesh("down");
      return await machines.at(index).json<{ heard: boolean; newIdentity: boolean }>("leave");
    };
    expect(await leave(1)).toMatchObject({ heard: true, newIdentity: false });
    await until("it is out", async () => (await machines.at(0).sees("revoked")).includes("host-2"));
    await machines.lan.host(2).unplug();
    expect(await leave(2)).toMatchObject({ heard: false, newIdentity: true });
    await machines.lan.host(2).plug();
    const { code } = await machines.at(0).json<{ code: string }>("invite", "--no-wait");
    await machines.at(2).mesh("join", code, "--detach", "--name", "back");
    await until("it is back as another", async () => (await machines.at(0).sees("up")).includes("back"));
  });
});

describeIf(["binary", "lan", "bash"], "the example of three machines", () => {
  test("shows a run that outlives a machine, and leaves nothing", async () => {
    await using lan = await makeLan({ hosts: 1 });
    using folder = temporaryFolder();
    const env = { TMPDIR: folder.path, HOME: folder.path, NO_COLOR: "1", LANG: "C.UTF-8" };
    const argv = [process.execPath, inProject("examples/three-machines/run.ts")];
    const { exitCode, stdout, stderr } = await lan.host(0).run(argv, { env });
    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/train {2,}gamma\n/);
    expect(stdout).toMatch(/○ {2}beta/);
    expect(stdout).toMatch(/at its attempt 2/);
    expect(stdout).toContain("training on GPU GPU-simulated-0");
    expect(await lan.host(0).shell(`ls ${folder.path}; pgrep -x mesh || true`)).toBe("");
  });
});
