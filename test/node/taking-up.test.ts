import { describe, expect, test } from "bun:test";
import type { FakeScript } from "../fake/backend.ts";
import { type Machine, NodeMesh, type Watched, placesOf, summaryOf, until } from "../fake/node-mesh.ts";
import { outcomesOf, taskOf } from "../fake/node-run.ts";

const HOST = "base: { image: host }\n";
const untilKilled: FakeScript = async ({ killed }) => await killed;

/** Waits until the journal of a run on the disk holds an event of this kind about a task. */
async function written(machine: Machine, watched: Watched, kind: string, key: string): Promise<string> {
  const id = () => {
    const started = watched.events[0];
    return started?.kind === "run-started" ? started.run.id : "";
  };
  await until(
    () =>
      machine.node.store.runs.events(id()).some(({ event }) => {
        const entry = event as { kind: string; event?: { kind: string; key?: string } };
        return entry.event?.kind === kind && entry.event.key === key;
      }),
    `${kind} ${key}`,
  );
  return id();
}

describe("MeshNode.resumeRun()", () => {
  test("resumeRun() runs again what its old driver was running, and nothing that was finished", async () => {
    await using mesh = new NodeMesh();
    const before = await mesh.add("here", {
      scripts: { make: (task) => task.write("workspace/a", "a"), slow: untilKilled },
    });
    const yaml = `${HOST}tasks:
  - { key: make, run: make, cache: false }
  - { key: slow, run: slow, use: make }
  - { key: last, run: last, use: slow }`;
    const runId = await written(before, mesh.start(before, yaml), "task-started", "slow");
    let layers = 0;
    const after = mesh.restart(before, { slow: ({ execution }) => void (layers = execution.layers.length) });
    const resumed = mesh.resume(after, runId);
    const run = summaryOf(await resumed.outcome);
    expect(run.id).toBe(runId);
    expect(outcomesOf(run)).toEqual({ make: "succeeded", slow: "succeeded", last: "succeeded" });
    expect(after.backend.started).toEqual(["slow", "last"]);
    expect(layers).toBe(1);
    const finished = [...resumed.replayed, ...resumed.events].flatMap((event) =>
      event.kind === "task-finished" ? [event.key] : [],
    );
    expect(finished).toEqual(["make", "slow", "last"]);
    expect(after.node.store.runs.get(runId)?.state).toBe("finished");
  });

  test("resumeRun() adopts what went on at another machine, and what ended there meanwhile", async () => {
    await using mesh = new NodeMesh();
    const before = await mesh.add("here", { cpus: 1 });
    const [ended, goesOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const there = await mesh.add("there", {
      cpus: 4,
      scripts: {
        ended: async (task) => {
          await ended.promise;
          task.write("io/values/x", "1");
        },
        "goes on": async () => await goesOn.promise,
      },
    });
    const yaml = `${HOST}tasks:
  - { key: ended, run: ended, cache: false, agent: { node: there } }
  - { key: going, run: goes on, agent: { node: there } }
  - { key: last, run: "last \${{ tasks.ended.values.x }}", after: going, agent: { node: here } }`;
    const first = mesh.start(before, yaml);
    await written(before, first, "task-started", "ended");
    const runId = await written(before, first, "task-started", "going");
    const after = mesh.restart(before);
    ended.resolve();
    await until(() => there.backend.running === 1);
    const resumed = mesh.resume(after, runId);
    await until(() => resumed.events.some((event) => event.kind === "task-finished" && event.key === "ended"));
    goesOn.resolve();
    const run = summaryOf(await resumed.outcome);
    expect(outcomesOf(run)).toEqual({ ended: "succeeded", going: "succeeded", last: "succeeded" });
    expect(placesOf(run)).toMatchObject({ ended: "there", going: "there" });
    expect(there.backend.started.toSorted()).toEqual(["ended", "goes on"]);
    expect(resumed.events.some(({ kind }) => kind === "task-lost")).toBe(false);
    expect(taskOf(run, "ended").attempt).toBe(1);
    await until(() => there.served?.live === 0);
  });

  test("resumeRun() offers elsewhere what was at a machine that does not know of it any more", async () => {
    await using mesh = new NodeMesh();
    const before = await mesh.add("here", { cpus: 1 });
    const there = await mesh.add("there", { cpus: 4, scripts: { slow: untilKilled } });
    const yaml = `${HOST}tasks:\n  - { key: slow, run: slow, agent: { cpus: 2 } }`;
    const runId = await written(before, mesh.start(before, yaml), "task-started", "slow");
    const after = mesh.restart(before);
    await there.served?.[Symbol.asyncDispose]();
    const again = mesh.restart(there);
    again.served = await again.node.serveWork({ draining: false });
    again.beat();
    const run = summaryOf(await mesh.resume(after, runId).outcome);
    expect(outcomesOf(run)).toEqual({ slow: "succeeded" });
    expect(again.backend.started.length + after.backend.started.length).toBe(1);
    expect(taskOf(run, "slow").attempt).toBe(2);
  });

  test("resumeRun() refuses a run that is over, and one that nobody knows", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here");
    const run = await mesh.run(here, `${HOST}tasks:\n  - { key: a, run: a }`);
    const codeOf = async (id: string) =>
      await mesh.resume(here, id).outcome.then(
        () => "it ran",
        (error: unknown) => (error as { code?: string }).code,
      );
    expect([await codeOf(run.id), await codeOf("01m8a0mxqk0jxg4mj2")]).toEqual(["usage.invalid", "run.not-found"]);
  });
});
