// One DAG over three machines, as their users would see it: joining, spreading, files and results that move, runs watched and
// stopped from elsewhere, capacity that is asked for and found.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { describeIf } from "../../support/require.ts";
import { type Machines, makeMesh, manyTasks, until } from "./machines.ts";

setDefaultTimeout(60_000);

describeIf(["binary", "lan", "bash"], "a mesh of three machines", () => {
  let mesh: Machines;

  beforeAll(async () => {
    mesh = await makeMesh({
      hosts: 3,
      flags: [
        ["--cpus", "2"],
        ["--cpus", "2", "--labels", "ssd"],
        ["--cpus", "2", "--gpus", "2xh100:80gb"],
      ],
    });
  });
  afterAll(async () => {
    await mesh[Symbol.asyncDispose]();
  });

  test("every machine is listed with what it has", async () => {
    const { nodes } = await mesh.at(0).json<{ nodes: Record<string, unknown>[] }>("nodes");
    expect(nodes.map(({ name, state }) => [name, state])).toEqual([
      ["host-1", "self"],
      ["host-2", "up"],
      ["host-3", "up"],
    ]);
    expect(nodes[1]).toMatchObject({ labels: ["ssd"], foundBy: "mdns", total: { cpuMilli: 2_000 } });
    expect(nodes[2]).toMatchObject({ gpus: [{ model: "h100", inUse: false }, { model: "h100" }] });
    expect(await mesh.at(1).mesh("ping", "host-3", "-c", "2")).toContain("2 of 2 answered");
  });

  test("a run spreads over all of them, and is a hit on each afterwards", async () => {
    const definition = manyTasks(12);
    const { run, exitCode } = await mesh.at(0).run(definition);
    expect(exitCode).toBe(0);
    expect(new Set(run.tasks.map(({ node }) => node))).toEqual(new Set(["host-1", "host-2", "host-3"]));
    const again = await mesh.at(1).run(definition);
    expect(again.run.tasks.map(({ status }) => status.finished)).toEqual(run.tasks.map(() => "cacheHit"));
  });

  test("files move to the task that uses them, and artifacts come back", async () => {
    const { run, exitCode, stderr } = await mesh.at(0).run(`
tasks:
  - key: make
    agent: { node: host-2 }
    run: mkdir d; printf 'made on %s' "$(hostname)" > d/file; ln -s file d/link; printf v > "$MESH_VALUES/v"
  - key: use
    use: make
    agent: { node: host-3 }
    run: cat d/link > out; printf ' used on %s' "$(hostname)" >> out; echo \${{ tasks.make.values.v }}
    outputs: { artifacts: [{ key: out, path: out }] }
`);
    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(run.tasks.map(({ node }) => node)).toEqual(["host-2", "host-3"]);
    await mesh.at(0).mesh("artifacts", "download", run.id, "use", "-o", "got", "--force");
    expect(readFileSync(`${mesh.at(0).directory}/got/out/out`, "utf8")).toBe("made on host-2 used on host-3");
    expect(await mesh.at(0).mesh("logs", run.id, "use")).toBe("v\n");
  });

  test("the working tree of the submitter travels", async () => {
    mesh.at(0).write("source.txt", "from the first");
    const { run, exitCode } = await mesh.at(0).run(`
tasks:
  - key: code
    call: mesh/checkout
  - key: read
    use: code
    agent: { node: host-3 }
    run: cat source.txt
`);
    expect(exitCode).toBe(0);
    expect(await mesh.at(0).mesh("logs", run.id, "read")).toBe("from the first");
  });

  test("labels and GPUs are found where they are", async () => {
    const { run, exitCode } = await mesh.at(0).run(`
tasks:
  - key: ssd
    agent: { labels: [ssd] }
    run: hostname
  - key: gpu
    agent: { gpu: 1 }
    run: echo "$CUDA_VISIBLE_DEVICES" > "$MESH_VALUES/seen"
  - key: big
    agent: { gpu-memory: 70gb }
    run: echo "$CUDA_VISIBLE_DEVICES"
`);
    expect(exitCode).toBe(0);
    expect(run.tasks.map(({ node }) => node)).toEqual(["host-2", "host-3", "host-3"]);
    expect(run.tasks[1]?.outputs.values["seen"]).toMatch(/^GPU-simulated-\d$/);
  });

  test("what no machine can fit fails at once, with the nearest miss", async () => {
    const { run, exitCode } = await mesh.at(0).run(`
tasks:
  - key: huge
    agent: { cpus: 64 }
    run: "true"
`);
    expect(exitCode).toBe(3);
    expect(run.tasks[0]?.messages.map(({ text }) => text).join()).toMatch(/64.*(host-1|host-2|host-3)/s);
  });

  test("a detached run is watched and stopped from another machine", async () => {
    mesh.at(1).write("tasks.yml", manyTasks(2, "echo begun; sleep 300"));
    const { run } = await mesh.at(1).json<{ run: string }>("run", "tasks.yml", "--detach");
    await until("the run is seen elsewhere", async () =>
      (await mesh.at(2).mesh("top", "-n", "1")).includes("of 1 run"),
    );
    const watching = await mesh.at(0).spawn("attach", run, "--json");
    await until("its tasks run", async () => {
      const { nodes } = await mesh.at(0).json<{ nodes: { runningTasks: number }[] }>("nodes");
      return nodes.reduce((sum, { runningTasks }) => sum + runningTasks, 0) === 2;
    });
    await mesh.at(2).mesh("cancel", run);
    const events = (await new Response(watching.stdout).text()).trimEnd().split("\n");
    expect(await watching.exited).toBe(130);
    expect(JSON.parse(events.at(-1) ?? "")).toMatchObject({ id: run, status: { execution: "aborted" } });
  });

  test("the same key on two machines at once runs once", async () => {
    const definition = manyTasks(1, 'sleep 1; date +%N > "$MESH_VALUES/when"');
    const [a, b] = await Promise.all([mesh.at(0).run(definition), mesh.at(1).run(definition)]);
    const when = [a, b].map(({ run }) => run.tasks[0]?.outputs.values["when"]);
    expect(when[0]).toBeString();
    expect(when[1]).toBe(when[0]);
  });

  test("a machine that is drained gets no task", async () => {
    await mesh.at(0).mesh("drain", "host-2");
    const { run } = await mesh.at(0).run(manyTasks(6, "sleep 0.1; hostname; : drained"));
    expect(run.tasks.map(({ node }) => node)).not.toContain("host-2");
    mesh.at(0).write("ssd.yml", 'tasks: [{ key: ssd, agent: { labels: [ssd] }, run: "true" }]');
    const { exitCode, stdout } = await mesh.at(0).try("explain", "ssd.yml");
    expect(exitCode).toBe(3);
    expect(stdout).toContain("host-1: lacks the label ssd\n    host-2: would fit, but takes no more tasks");
    expect(stdout).toContain("host-3: lacks the label ssd");
    await mesh.at(0).mesh("drain", "host-2", "--off");
  });

  test("blobs are found and fetched by their hash", async () => {
    mesh.at(1).write("blob", "some bytes");
    const digest = (await mesh.at(1).mesh("blob", "put", "blob")).trim();
    expect(await mesh.at(0).mesh("blob", "ls", digest)).toBe("host-2\n");
    expect(await mesh.at(0).mesh("blob", "get", digest)).toBe("some bytes");
    expect((await mesh.at(0).mesh("blob", "ls", digest)).split("\n")).toContain("host-1");
  });

  test("a member that was revoked is none within two seconds", async () => {
    const { code } = await mesh.at(0).json<{ code: string }>("invite", "--no-wait");
    const host = await mesh.lan.addHost();
    const { Machine } = await import("./machines.ts");
    const late = new Machine(host, `${mesh.at(0).home}-late`);
    await late.mesh("join", code, "--detach", "--name", "late");
    await until("it is seen", async () => (await mesh.at(1).sees("up")).includes("late"));
    const started = performance.now();
    await mesh.at(0).mesh("revoke", "late");
    await until("the others know", async () => !(await mesh.at(2).sees("up")).includes("late"), 4_000);
    expect(performance.now() - started).toBeLessThan(4_000);
    expect(await late.sees("up")).toEqual([]);
    await late.mesh("down");
  });
});
