import { describe, expect, spyOn, test } from "bun:test";
import { MeshError } from "../../../src/base/errors.ts";
import type { FakeScript } from "../../fake/backend.ts";
import { KILLED } from "../../fake/backend.ts";
import { NodeMesh, placesOf, summaryOf, until } from "../../fake/node-mesh.ts";
import { outcomesOf, taskOf } from "../../fake/node-run.ts";
import { failureOf } from "../../support/failure.ts";

const HOST = "base: { image: host }\n";
const independent = (count: number) =>
  `${HOST}tasks:\n${Array.from({ length: count }, (_, at) => `  - { key: t${at}, run: "script ${at}" }\n`).join("")}`;

const untilTerminated: FakeScript = async ({ terminated }) => {
  await terminated;
  return { exitCode: 3 };
};
const untilKilled: FakeScript = async ({ killed }) => {
  await killed;
  return KILLED;
};
const NOTHING = { exitCode: null, signal: null, reason: null, used: null, message: null };
const writeA: FakeScript = (task) => task.write("workspace/a", "content");

describe("a run over several machines", () => {
  test("a task runs on another machine, and the next one finds its files here", async () => {
    await using mesh = new NodeMesh();
    let layers = 0;
    const here = await mesh.add("here", {
      scripts: { use: ({ execution }) => void (layers = execution.layers.length) },
    });
    const there = await mesh.add("there", {
      scripts: {
        make: (task) => {
          task.write("workspace/a", "content");
          task.write("io/values/x", "1");
          task.print("hello\n");
        },
      },
    });
    const watched = mesh.start(
      here,
      `${HOST}tasks:
  - { key: make, run: make, agent: { node: there } }
  - { key: use, run: use, use: make, agent: { node: here } }`,
    );
    const run = summaryOf(await watched.outcome);
    expect(outcomesOf(run)).toEqual({ make: "succeeded", use: "succeeded" });
    expect(placesOf(run)).toEqual({ make: "there", use: "here" });
    expect(layers).toBe(1);
    expect(watched.output()).toBe("hello\n");
    expect(taskOf(run, "make").outputs.values).toEqual({ x: "1" });
    expect([here.backend.started, there.backend.started]).toEqual([["use"], ["make"]]);
  });

  test("a machine of another architecture gets no task of this one's system, and is asked for by none", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here", { cpus: 1 });
    const arm = await mesh.add("arm", { cpus: 8 });
    const capacity = arm.node.nodeCapacity();
    const said = {
      ...capacity,
      arch: "arm64",
      baseKeys: capacity.baseKeys.map((key) => key.replaceAll("x86_64", "arm64")),
    };
    const published = { gpuModels: [], cpuPercent: 0, runningTasks: 0, blobs: { count: 0, bytes: 0 }, draining: false };
    arm.peers.publish({ ...published, capacity: said, speedPercent: 1_000 });
    expect(new Set(Object.values(placesOf(await mesh.run(here, independent(6)))))).toEqual(new Set(["here"]));
    const asking = `${HOST}tasks:\n  - { key: a, run: a, agent: { arch: arm64 } }\n`;
    const { messages, status } = taskOf(await mesh.run(here, asking), "a");
    expect(status.result).toBe("failed");
    const [why = ""] = messages.map(({ text }) => text);
    expect(why).toMatch(/here [^/]*arm64/);
    expect(why).toMatch(/arm [^/]*base/);
    expect(arm.backend.started).toEqual([]);
  });

  test("many tasks use all machines, and none is overbooked", async () => {
    await using mesh = new NodeMesh();
    const machines = [
      await mesh.add("a", { cpus: 1 }),
      await mesh.add("b", { cpus: 2 }),
      await mesh.add("c", { cpus: 3 }),
    ];
    const run = await mesh.run(machines[0] as (typeof machines)[0], independent(60));
    expect(new Set(Object.values(outcomesOf(run)))).toEqual(new Set(["succeeded"]));
    expect(machines.reduce((sum, { backend }) => sum + backend.started.length, 0)).toBe(60);
    for (const [at, { backend }] of machines.entries()) {
      expect(backend.started.length).toBeGreaterThan(0);
      expect(backend.mostRunning).toBeLessThanOrEqual(at + 1);
    }
  });

  const slowOrFast = `${HOST}tasks:
  - { key: first, run: first, agent: { node: fast } }
  - { key: gate, run: gate, agent: { node: here } }
  - { key: second, run: second, after: gate }`;

  /** Two machines; on the fast one the first task runs until `release`, and only then the second one is ready. */
  const busyFast = async (mesh: NodeMesh, second: FakeScript = () => {}) => {
    const [begun, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const here = await mesh.add("here", { cpus: 1, scripts: { gate: () => begun.promise, second } });
    const first: FakeScript = async () => {
      begun.resolve();
      await released.promise;
    };
    const fast = await mesh.add("fast", { cpus: 1, speedPercent: 1_000, scripts: { first } });
    return { here, fast, release: released.resolve };
  };

  test("a task waits for a faster machine where the run's own task is about to end", async () => {
    await using mesh = new NodeMesh();
    const { here, release } = await busyFast(mesh);
    const watched = mesh.start(here, slowOrFast);
    await until(() => watched.events.some((event) => event.kind === "task-finished"), "the end of the gate");
    release();
    expect(placesOf(summaryOf(await watched.outcome))).toEqual({ first: "fast", gate: "here", second: "fast" });
  });

  test("it waits no longer than what was to be gained, though nothing happens meanwhile", async () => {
    await using mesh = new NodeMesh();
    const release = Promise.withResolvers<void>();
    const { here, ...fast } = await busyFast(mesh, () => release.resolve());
    void release.promise.then(fast.release);
    expect(placesOf(await mesh.run(here, slowOrFast))).toEqual({ first: "fast", gate: "here", second: "here" });
  });

  test("a result made anywhere is a hit everywhere, and its files stay until somebody needs them", async () => {
    await using mesh = new NodeMesh();
    const a = await mesh.add("a", { scripts: { make: writeA } });
    const b = await mesh.add("b");
    const yaml = `${HOST}tasks:\n  - { key: make, run: make }\n  - { key: more, run: more, use: make }`;
    expect(outcomesOf(await mesh.run(a, yaml))).toEqual({ make: "succeeded", more: "succeeded" });
    expect(outcomesOf(await mesh.run(b, yaml))).toEqual({ make: "cacheHit", more: "cacheHit" });
    expect(b.backend.started).toEqual([]);
    expect(b.node.store.stats().layers.count).toBe(0);
    // an empty result needs nothing, so it is kept here too
    expect(b.node.store.stats().results).toBe(1);
  });

  test("a task that failed there fails here, with its exit code and its log", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here");
    await mesh.add("there", {
      scripts: {
        bad: (task) => {
          task.print("it is broken\n");
          return { exitCode: 7 };
        },
      },
    });
    const watched = mesh.start(here, `${HOST}tasks:\n  - { key: bad, run: bad, agent: { node: there } }`);
    const run = summaryOf(await watched.outcome);
    expect(taskOf(run, "bad")).toMatchObject({ exitCode: 7, node: "there", status: { result: "failed" } });
    expect(watched.output()).toBe("it is broken\n");
  });

  test("artifacts and long logs come to the one who started the run", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here");
    await mesh.add("there", {
      scripts: {
        make: (task) => {
          task.write("workspace/out/f", "artifact");
          task.print("line\n".repeat(20_000));
        },
      },
    });
    const yaml = `${HOST}tasks:
  - key: make
    run: make
    agent: { node: there }
    outputs: { artifacts: [{ key: out, path: out }, { key: f, path: out/f }] }`;
    const run = await mesh.run(here, yaml);
    const { artifacts } = taskOf(run, "make").outputs;
    expect(artifacts.map(({ key }) => key)).toEqual(["out", "f"]);
    const { blobs, layers } = here.node.store;
    expect([layers.has(artifacts[0]?.digest as never), blobs.has(artifacts[1]?.digest as never)]).toEqual([true, true]);
  });
});

describe("the same key on two machines at once", () => {
  test("it runs once, and the other run is answered by its result", async () => {
    await using mesh = new NodeMesh();
    const release = Promise.withResolvers<void>();
    const scripts = { same: async () => await release.promise };
    const a = await mesh.add("a", { scripts });
    const b = await mesh.add("b", { scripts });
    const yaml = `${HOST}tasks:\n  - { key: same, run: same }`;
    const first = mesh.start(a, yaml);
    await until(() => a.backend.running + b.backend.running === 1);
    const second = mesh.start(b, yaml);
    await until(() => second.events.some(({ kind }) => kind === "task-deferred"), "task-deferred");
    release.resolve();
    expect(outcomesOf(summaryOf(await first.outcome))).toEqual({ same: "succeeded" });
    expect(outcomesOf(summaryOf(await second.outcome))).toEqual({ same: "cacheHit" });
    expect([...a.backend.started, ...b.backend.started]).toEqual(["same"]);
  });

  test("it runs once, also when the other run asks while the first closes and nothing is written yet", async () => {
    await using mesh = new NodeMesh();
    const gone = Promise.withResolvers<void>();
    const [a, b] = [await mesh.add("a"), await mesh.add("b")];
    for (const { backend } of [a, b]) backend.lingers = gone.promise;
    const yaml = `${HOST}tasks:\n  - { key: same, run: same }`;
    const first = mesh.start(a, yaml);
    await until(() => first.events.some(({ kind }) => kind === "task-finished"), "task-finished");
    await new Promise((resolve) => setImmediate(resolve));
    const second = mesh.start(b, yaml);
    expect(outcomesOf(summaryOf(await second.outcome))).toEqual({ same: "cacheHit" });
    gone.resolve();
    await first.outcome;
    expect([...a.backend.started, ...b.backend.started]).toEqual(["same"]);
  });

  test("when the first fails, the other runs it", async () => {
    await using mesh = new NodeMesh();
    const release = Promise.withResolvers<void>();
    const scripts: Record<string, FakeScript> = {
      same: async () => {
        await release.promise;
        return { exitCode: 1 };
      },
    };
    const a = await mesh.add("a", { scripts });
    const b = await mesh.add("b", { scripts });
    const yaml = `${HOST}tasks:\n  - { key: same, run: same }`;
    const first = mesh.start(a, yaml);
    await until(() => a.backend.running + b.backend.running === 1);
    const second = mesh.start(b, yaml);
    await until(() => second.events.some(({ kind }) => kind === "task-deferred"), "task-deferred");
    release.resolve();
    expect(outcomesOf(summaryOf(await first.outcome))).toEqual({ same: "failed" });
    expect(outcomesOf(summaryOf(await second.outcome))).toEqual({ same: "failed" });
    expect([...a.backend.started, ...b.backend.started]).toEqual(["same", "same"]);
  });
});

describe("when machines go", () => {
  test("a task of a machine that is lost in the middle runs again elsewhere", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here", { cpus: 1 });
    const there = await mesh.add("there", { cpus: 1, scripts: { "script 0": untilKilled, "script 1": untilKilled } });
    const watched = mesh.start(here, independent(2));
    await until(() => there.backend.running === 1);
    mesh.hub.kill(there.id);
    const run = summaryOf(await watched.outcome);
    expect(outcomesOf(run)).toEqual({ t0: "succeeded", t1: "succeeded" });
    expect(watched.events.filter(({ kind }) => kind === "task-lost")).toHaveLength(1);
    expect(new Set(Object.values(placesOf(run)))).toEqual(new Set(["here"]));
  });

  test("what a machine says late of a lease that it lost changes nothing, and it is told to stop", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here", { cpus: 1 });
    const there = await mesh.add("there", { cpus: 1, scripts: { "script 0": untilKilled, "script 1": untilKilled } });
    const watched = mesh.start(here, `${independent(2)}  - { key: last, run: last, after: [t0, t1] }\n`);
    await until(() => there.backend.running === 1);
    mesh.hub.cut(here.id, there.id);
    mesh.hub.heal(here.id, there.id);
    await until(() => there.backend.running === 0);
    await until(() => there.served?.live === 0 || watched.events.some(({ kind }) => kind === "task-lost"));
    const killed = new Set(there.backend.started);
    expect(killed.size).toBeGreaterThan(0);
    watched.kill.abort();
    await watched.outcome;
  });

  test("a machine that has attempts of a run is told which of them nobody wants: all once it is over, none before", async () => {
    await using mesh = new NodeMesh();
    const ended = Promise.withResolvers<void>();
    const here = await mesh.add("here", { cpus: 1, scripts: { "script 0": () => ended.promise } });
    const there = await mesh.add("there");
    const watched = mesh.start(here, `${HOST}tasks: [{ key: a, run: script 0, agent: { node: here } }]`);
    await until(() => here.backend.running === 1);
    const [started] = watched.events;
    if (started?.kind !== "run-started") throw new Error("The run has not started");
    const doubt = async (run: string) =>
      await there.peers.call(here.id, "work.doubt", { run, leases: ["life.1"] }, { timeoutMs: 5_000 });
    const run = started.run.id;
    expect(await doubt(run)).toEqual({ run, leases: [] });
    ended.resolve();
    await watched.outcome;
    expect(await doubt(run)).toEqual({ run, leases: ["life.1"] });
    const unknown = run.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
    expect(await doubt(unknown)).toEqual({ run: unknown, leases: [] });
  });

  test("what a machine cannot reach and this one can goes by way of this one: nothing is lost", async () => {
    await using mesh = new NodeMesh();
    let layers = 0;
    const use: FakeScript = ({ execution }) => void (layers += execution.layers.length);
    const here = await mesh.add("here", { cpus: 1 });
    const maker = await mesh.add("maker", { cpus: 1, scripts: { make: writeA } });
    const user = await mesh.add("user", { cpus: 2, scripts: { use, "use as well": use } });
    mesh.hub.cut(maker.id, user.id);
    const watched = mesh.start(
      here,
      `${HOST}tasks:
  - { key: make, run: make, agent: { node: maker } }
  - { key: use, run: use, use: make, agent: { node: user } }
  - { key: too, run: use as well, use: make, agent: { node: user } }`,
    );
    const run = summaryOf(await watched.outcome);
    expect(outcomesOf(run)).toEqual({ make: "succeeded", use: "succeeded", too: "succeeded" });
    expect(placesOf(run)).toEqual({ make: "maker", use: "user", too: "user" });
    expect([here.backend.started, maker.backend.started, layers]).toEqual([[], ["make"], 2]);
    expect(watched.events.filter(({ kind }) => kind === "output-lost")).toEqual([]);
  });

  test("an output that was lost with its machine is made again, elsewhere", async () => {
    await using mesh = new NodeMesh();
    let layers = 0;
    const here = await mesh.add("here", {
      cpus: 1,
      scripts: { slow: () => mesh.hub.kill(there.id), use: ({ execution }) => void (layers = execution.layers.length) },
    });
    const there = await mesh.add("there", { cpus: 2, scripts: { make: writeA } });
    const spare = await mesh.add("a-spare", { cpus: 2, scripts: { make: writeA } });
    spare.served?.drain(true);
    spare.beat(true);
    const yaml = `${HOST}tasks:
  - { key: make, run: make, agent: { cpus: 2 } }
  - { key: slow, run: slow, after: make, agent: { node: here } }
  - { key: use, run: use, use: make, after: slow, agent: { node: here } }`;
    const watched = mesh.start(here, yaml);
    await until(() => there.backend.started.length === 1);
    spare.served?.drain(false);
    spare.beat();
    const run = summaryOf(await watched.outcome);
    expect(outcomesOf(run)).toEqual({ make: "succeeded", slow: "succeeded", use: "succeeded" });
    expect(placesOf(run)).toEqual({ make: "a-spare", slow: "here", use: "here" });
    expect([there.backend.started, spare.backend.started, layers]).toEqual([["make"], ["make"], 1]);
    expect(watched.events.filter(({ kind }) => kind === "output-lost")).toHaveLength(1);
  });

  test("a task that only a machine could run which has gone is refused after a while, with its name", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here", { cpus: 1 });
    const there = await mesh.add("there", { cpus: 2, scripts: { big: untilKilled } });
    const watched = mesh.start(here, `${HOST}tasks:\n  - { key: big, run: big, agent: { cpus: 2 } }`);
    await until(() => there.backend.running === 1);
    mesh.hub.kill(there.id);
    const run = summaryOf(await watched.outcome);
    expect(outcomesOf(run)).toEqual({ big: "aborted" });
    expect(
      taskOf(run, "big")
        .messages.map(({ text }) => text)
        .join(),
    ).toContain("there would fit and is down");
  });

  test("a task waits for the only machine that can run it, when that comes back in time", async () => {
    await using mesh = new NodeMesh();
    let times = 0;
    const here = await mesh.add("here", { cpus: 1, patienceMs: 10_000 });
    const there = await mesh.add("there", {
      cpus: 2,
      scripts: { big: async ({ killed }) => (times++ === 0 ? (await killed, KILLED) : {}) },
    });
    const watched = mesh.start(here, `${HOST}tasks:\n  - { key: big, run: big, agent: { cpus: 2 } }`);
    await until(() => there.backend.running === 1);
    mesh.hub.kill(there.id);
    await until(() => watched.events.some(({ kind }) => kind === "task-lost"));
    mesh.hub.heal(here.id, there.id);
    expect(placesOf(summaryOf(await watched.outcome))).toEqual({ big: "there" });
    expect(times).toBe(2);
  });
});

describe("a machine that lies", () => {
  test("about the lease of another one is not believed: its word is put aside, and the task ends by its own", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here", { cpus: 1 });
    const release = Promise.withResolvers<void>();
    const there = await mesh.add("there", {
      scripts: {
        make: async (task) => {
          await release.promise;
          task.write("io/values/x", "true");
        },
      },
    });
    const liar = await mesh.add("liar", { serves: false });
    const heard = Promise.withResolvers<unknown>();
    liar.peers.onWord("work.acknowledge", (said) => heard.resolve(said));
    const watched = mesh.start(here, `${HOST}tasks:\n  - { key: make, run: make, agent: { node: there } }`);
    await until(() => watched.events.some(({ kind }) => kind === "task-started"), "the start");
    const [started] = watched.events;
    const placed = watched.events.find((event) => event.kind === "task-placed");
    if (started?.kind !== "run-started" || placed?.kind !== "task-placed") throw new Error("It never began");
    const { key, attempt, lease } = placed;
    const outcome = { ...NOTHING, result: "failed", exitCode: 1, durationMs: 1, message: "It is broken, believe me" };
    liar.peers.tell(here.id, "work.words", {
      run: started.run.id,
      words: [{ kind: "finished", key, attempt, lease, outcome, parcel: null }],
      free: { cpuMilli: 2 ** 40, memoryBytes: 2 ** 40, diskBytes: 2 ** 40, gpus: [] },
    });
    expect(await heard.promise).toEqual({ run: started.run.id, leases: [lease] });
    expect(watched.events.filter(({ kind }) => kind === "task-finished")).toEqual([]);
    expect(there.backend.running).toBe(1);
    release.resolve();
    const run = summaryOf(await watched.outcome);
    expect(outcomesOf(run)).toEqual({ make: "succeeded" });
    expect(taskOf(run, "make").outputs.values).toEqual({ x: "true" });
  });
});

describe("a machine whose disk is full", () => {
  const noSpace: FakeScript = () => {
    throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  };

  test("its task runs elsewhere, and it is left alone meanwhile", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here", { cpus: 1 });
    const full = await mesh.add("full", { cpus: 4, scripts: { big: noSpace } });
    const spare = await mesh.add("spare", { cpus: 2 });
    spare.served?.drain(true);
    spare.beat(true);
    const watched = mesh.start(here, `${HOST}tasks:\n  - { key: big, run: big, agent: { cpus: 2 } }`);
    await until(() => watched.events.some(({ kind }) => kind === "task-lost"), "the loss");
    spare.served?.drain(false);
    spare.beat();
    const run = summaryOf(await watched.outcome);
    expect(outcomesOf(run)).toEqual({ big: "succeeded" });
    expect(placesOf(run)).toEqual({ big: "spare" });
    expect(full.backend.started).toEqual(["big"]);
    expect(watched.events.find(({ kind }) => kind === "task-lost")).toMatchObject({
      reason: expect.stringContaining("full: ") as string,
    });
  });

  test("no task is placed on it, and who asks for it is told why", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here", { cpus: 1 });
    const full = await mesh.add("full", { cpus: 4 });
    const { snapshot } = full.peers;
    if (snapshot === null) throw new Error("It has said nothing of itself");
    const { capacity } = snapshot;
    full.peers.publish({ ...snapshot, capacity: { ...capacity, free: { ...capacity.free, diskBytes: 1_048_576 } } });
    const run = await mesh.run(here, `${independent(3)}  - { key: big, run: big, agent: { cpus: 2 } }`);
    expect(outcomesOf(run)).toEqual({ t0: "succeeded", t1: "succeeded", t2: "succeeded", big: "aborted" });
    expect(full.backend.started).toEqual([]);
    expect(taskOf(run, "big").messages[0]?.text).toContain("full would fit and has a full disk (1 MiB free)");
  });

  test("of the one that coordinates: the run stops under that name, no worker is blamed, and it is taken up later", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here", { cpus: 1 });
    const there = await mesh.add("there", { scripts: { make: (task) => task.write("workspace/out", "artifact") } });
    const full = new MeshError("store.full", "Cannot take 1 GiB: 3 MiB are free");
    spyOn(here.content, "fetch").mockRejectedValueOnce(full);
    const watched = mesh.start(
      here,
      `${HOST}tasks:
  - { key: make, run: make, agent: { node: there }, outputs: { artifacts: [{ key: out, path: out }] } }`,
    );
    const failure = await failureOf(watched.outcome);
    expect(failure.code).toBe("store.full");
    expect(failure.message).toBe("Cannot take what make left on there: Cannot take 1 GiB: 3 MiB are free");
    expect(watched.events.filter(({ kind }) => kind === "task-lost")).toEqual([]);
    const [started] = watched.events;
    if (started?.kind !== "run-started") throw new Error("It never began");
    expect(here.node.store.runs.get(started.run.id)?.state).toBe("interrupted");
    const run = summaryOf(await mesh.resume(here, started.run.id).outcome);
    expect(outcomesOf(run)).toEqual({ make: "cacheHit" });
    expect(taskOf(run, "make").outputs.artifacts).toHaveLength(1);
    expect(there.backend.started).toEqual(["make"]);
  });
});

describe("stopping", () => {
  test("a cancelled run stops its tasks on other machines, within their grace or at once", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here");
    const there = await mesh.add("there", { scripts: { soft: untilTerminated, deaf: untilKilled } });
    const yaml = `${HOST}tasks:
  - { key: soft, run: soft, agent: { node: there } }
  - { key: deaf, run: deaf, agent: { node: there } }`;
    const watched = mesh.start(here, yaml);
    await until(() => there.backend.running === 2);
    watched.cancel.abort();
    await until(() => there.backend.running === 1);
    watched.kill.abort();
    expect(summaryOf(await watched.outcome).status.execution).toBe("aborted");
    expect(there.backend.running).toBe(0);
    await until(() => there.node.store.claims.list().length === 0);
  });
});

describe("tasks of one run with the same key", () => {
  test("run once, wherever: the next is answered although the layer stays there", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here");
    const there = await mesh.add("there", { scripts: { same: writeA } });
    const yaml = `${HOST}tasks:
  - { key: one, run: same }
  - { key: two, run: same }
  - { key: late, run: same, after: [one, two] }`;
    const run = await mesh.run(here, yaml, { nodes: ["there"] });
    expect(Object.values(outcomesOf(run)).toSorted()).toEqual(["cacheHit", "cacheHit", "succeeded"]);
    expect([here.backend.started, there.backend.started]).toEqual([[], ["same"]]);
  });
});

describe("which machines", () => {
  test("a task that no machine could ever run is refused at once, with what each lacks", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here", { cpus: 1 });
    await mesh.add("there", { cpus: 2 });
    const run = await mesh.run(here, `${HOST}tasks:\n  - { key: big, run: big, agent: { cpus: 64 } }`);
    expect(outcomesOf(run)).toEqual({ big: "aborted" });
    const text = taskOf(run, "big").messages[0]?.text ?? "";
    expect(text).toContain("here asks for 64 CPU, has 1");
    expect(text).toContain("there asks for 64 CPU, has 2");
  });

  test("a machine that is missing and would fit is named, with what to do", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here", { cpus: 1 });
    const there = await mesh.add("there", { cpus: 2 });
    mesh.hub.kill(there.id);
    const run = await mesh.run(here, `${HOST}tasks:\n  - { key: big, run: big, agent: { cpus: 2 } }`);
    expect(taskOf(run, "big").messages[0]?.text).toContain("there would fit and is down: the link is cut");
  });

  test("a machine that drains takes no task, and ends those that it has", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here", { cpus: 1 });
    const there = await mesh.add("there", { cpus: 2 });
    there.served?.drain(true);
    const run = await mesh.run(here, independent(6));
    expect(new Set(Object.values(placesOf(run)))).toEqual(new Set(["here"]));
  });

  test("--node and --label keep tasks to some machines", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here");
    await mesh.add("fast", { lending: { labels: ["ssd"] } });
    await mesh.add("slow");
    expect(new Set(Object.values(placesOf(await mesh.run(here, independent(4), { nodes: ["slow"] }))))).toEqual(
      new Set(["slow"]),
    );
    const labelled = await mesh.run(here, independent(4), { labels: ["ssd"], cache: false });
    expect(new Set(Object.values(placesOf(labelled)))).toEqual(new Set(["fast"]));
    const none = await mesh.run(here, independent(1), { nodes: ["gone"], cache: false });
    expect(outcomesOf(none)).toEqual({ t0: "aborted" });
  });
});
