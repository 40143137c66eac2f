import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import type { Digest } from "../../src/base/digest.ts";
import { MeshError } from "../../src/base/errors.ts";
import type { Store } from "../../src/store/io/store.ts";
import { FakeBackend, type FakeScript, KILLED } from "../fake/backend.ts";
import { NodeFixture, outcomesOf, taskOf } from "../fake/node-run.ts";

const independent = (count: number) =>
  `tasks:\n${Array.from({ length: count }, (_, at) => `  - { key: t${at}, run: "script ${at}" }\n`).join("")}`;

const untilTerminated: FakeScript = async ({ terminated }) => {
  await terminated;
  return { exitCode: 3 };
};
const untilKilled: FakeScript = async ({ killed }) => {
  await killed;
  return KILLED;
};

describe("Coordinator.run()", () => {
  test("run() executes tasks in order, and answers all of them from the cache the second time", async () => {
    await using fixture = new NodeFixture();
    const yaml =
      "tasks:\n  - { key: a, run: make a }\n  - { key: b, use: a, run: make b }\n  - { key: c, after: b, run: make c }";
    const backend = new FakeBackend({ "make a": (task) => task.write("workspace/a", "a") });
    expect(outcomesOf(await fixture.run(yaml, backend))).toEqual({ a: "succeeded", b: "succeeded", c: "succeeded" });
    expect(backend.started).toEqual(["make a", "make b", "make c"]);
    expect(outcomesOf(await fixture.run(yaml, backend))).toEqual({ a: "cacheHit", b: "cacheHit", c: "cacheHit" });
    expect(backend.started).toHaveLength(3);
  });

  test("run() executes again with the cache off, and keeps what comes out", async () => {
    await using fixture = new NodeFixture();
    const backend = new FakeBackend();
    await fixture.run(independent(1), backend);
    expect(outcomesOf(await fixture.run(independent(1), backend, { cache: false }))).toEqual({ t0: "succeeded" });
    expect(outcomesOf(await fixture.run(independent(1), backend))).toEqual({ t0: "cacheHit" });
    expect(backend.started).toHaveLength(2);
  });

  test("run() gives values, variables and layers to the tasks that use them", async () => {
    await using fixture = new NodeFixture();
    const yaml = `
tasks:
  - { key: a, run: a }
  - { key: b, use: a, run: "b \${{ tasks.a.values.x }}" }`;
    let seen: unknown = null;
    const backend = new FakeBackend({
      a: (task) => {
        task.write("io/values/x", "17\n");
        task.write("io/env/NAME", "value");
        task.write("workspace/f", "f");
      },
      "b 17": ({ execution }) => {
        seen = { name: execution.env["NAME"], layers: execution.layers.length };
      },
    });
    expect(outcomesOf(await fixture.run(yaml, backend))).toEqual({ a: "succeeded", b: "succeeded" });
    expect(seen).toEqual({ name: "value", layers: 1 });
  });

  test("run() executes tasks of the same key once, and after a failure the next of them", async () => {
    await using fixture = new NodeFixture();
    const yaml = "tasks:\n  - { key: a, run: same }\n  - { key: b, run: same }\n  - { key: c, run: same }";
    const well = new FakeBackend();
    const outcomes = Object.values(outcomesOf(await fixture.run(yaml, well)));
    expect(outcomes.toSorted()).toEqual(["cacheHit", "cacheHit", "succeeded"]);
    const badly = new FakeBackend({ bad: () => ({ exitCode: 1 }) });
    expect(Object.values(outcomesOf(await fixture.run(yaml.replaceAll("same", "bad"), badly)))).toEqual([
      "failed",
      "failed",
      "failed",
    ]);
    expect([well.started.length, badly.started.length, badly.mostRunning]).toEqual([1, 3, 1]);
  });

  test("run() runs no more at once than fit, nor than `jobs`", async () => {
    await using fixture = new NodeFixture();
    const byCpu = new FakeBackend();
    await fixture.run(independent(9), byCpu, { cpuMilli: 3_000 });
    const byJobs = new FakeBackend();
    await fixture.run(independent(9), byJobs, { cache: false, jobs: 2 });
    expect([byCpu.mostRunning, byJobs.mostRunning]).toEqual([3, 2]);
  });

  test("run() refuses a task that no machine could ever run, and runs the others", async () => {
    await using fixture = new NodeFixture();
    const yaml = "tasks:\n  - { key: big, run: big, agent: { cpus: 64 } }\n  - { key: small, run: small }";
    const run = await fixture.run(yaml, new FakeBackend());
    expect(outcomesOf(run)).toEqual({ big: "aborted", small: "succeeded" });
    expect(taskOf(run, "big").messages[0]?.text).toContain("No machine fits");
  });

  test("run() skips what needs a failed task, and stops the rest under fail-fast", async () => {
    await using fixture = new NodeFixture();
    const yaml = `
tasks:
  - { key: bad, run: bad }
  - { key: user, use: bad, run: user }
  - { key: long, run: long }
  - { key: later, use: long, run: later }`;
    const backend = new FakeBackend({ bad: () => ({ exitCode: 2 }), long: untilTerminated });
    const run = await fixture.run(yaml, backend, { failFast: true });
    expect(outcomesOf(run)).toEqual({ bad: "failed", user: "skipped", long: "aborted", later: "skipped" });
    expect(run.status).toEqual({ execution: "finished", result: "failed" });
    expect(backend.running).toBe(0);
  });

  test("run() makes again what was lost from the store while another task ran", async () => {
    await using fixture = new NodeFixture();
    const yaml =
      "tasks:\n  - { key: a, run: a }\n  - { key: slow, after: a, run: slow }\n  - { key: b, use: a, after: slow, run: b }";
    let made = 0;
    const backend = new FakeBackend({
      a: (task) => {
        made++;
        task.write("workspace/a", "content");
      },
      slow: () => {
        for (const digest of layersOf(fixture.store)) fixture.store.layers.drop(digest);
      },
    });
    expect(outcomesOf(await fixture.run(yaml, backend))).toEqual({ a: "succeeded", slow: "succeeded", b: "succeeded" });
    expect(made).toBe(2);
  });

  test("run() rejects when no context can be made, and leaves nothing running or claimed", async () => {
    await using fixture = new NodeFixture();
    const backend = new FakeBackend({
      "script 0": () => {
        throw new MeshError("context.unavailable", "Cannot make a context here");
      },
      "script 1": untilKilled,
    });
    const { status } = fixture.drive(independent(4), backend, { cpuMilli: 2_000 });
    expect(await status.catch((error: unknown) => (error as MeshError).code)).toBe("context.unavailable");
    expect(backend.started).toEqual(["script 0", "script 1"]);
    expect(backend.running).toBe(0);
    expect(fixture.store.claims.list()).toEqual([]);
  });

  test("run() calls a context that failed a failure of its task alone", async () => {
    await using fixture = new NodeFixture();
    const backend = new FakeBackend({
      "script 0": () => {
        throw new MeshError("context.failed", "Cannot mount", { hint: "" });
      },
      "script 1": () => {
        throw Object.assign(new Error("no space"), { code: "ENOSPC" });
      },
    });
    const run = await fixture.run(independent(3), backend);
    expect(outcomesOf(run)).toEqual({ t0: "failed", t1: "failed", t2: "succeeded" });
    expect(
      taskOf(run, "t0")
        .messages.map(({ text }) => text)
        .join(),
    ).toContain("Cannot mount");
  });

  test("run() rejects with a bug's own error", async () => {
    await using fixture = new NodeFixture();
    const backend = new FakeBackend({
      "script 0": () => {
        throw new TypeError("a bug");
      },
    });
    expect(fixture.drive(independent(1), backend).status).rejects.toThrow("a bug");
  });

  test("run() begins nothing more once an observer has failed", async () => {
    await using fixture = new NodeFixture();
    const backend = new FakeBackend({ "script 0": untilKilled });
    const driven = fixture.drive(
      "tasks:\n  - { key: a, run: script 0 }\n  - { key: b, after: a, run: never }",
      backend,
    );
    driven.coordinator.machine.step = () => {
      throw new Error("broken");
    };
    driven.coordinator.cancel("test");
    expect(driven.status).rejects.toThrow("broken");
    await driven.status.catch(() => {});
    expect(backend.started).not.toContain("never");
    expect(backend.running).toBe(0);
  });
});

describe("Coordinator.cancel()", () => {
  test("cancel() asks what runs to end, and starts nothing more", async () => {
    await using fixture = new NodeFixture();
    const backend = new FakeBackend({ "script 0": untilTerminated, "script 1": untilTerminated });
    const driven = fixture.drive(independent(5), backend, { jobs: 2 });
    await until(() => backend.started.length === 2);
    driven.coordinator.cancel("the user");
    const run = await driven.finished();
    expect(run.status).toEqual({ execution: "aborted", result: "none" });
    expect(backend.started).toHaveLength(2);
    expect(Object.values(outcomesOf(run))).toEqual(["aborted", "aborted", "aborted", "aborted", "aborted"]);
  });

  test("cancel() twice kills what is deaf, and a third time changes nothing", async () => {
    await using fixture = new NodeFixture();
    const backend = new FakeBackend({ "script 0": untilKilled });
    const driven = fixture.drive(independent(1), backend);
    await until(() => backend.started.length === 1);
    for (let times = 0; times < 3; times++) driven.coordinator.cancel("the user");
    expect((await driven.finished()).status.execution).toBe("aborted");
    expect(driven.events.filter(({ kind }) => kind === "cancel-requested")).toHaveLength(3);
  });

  test("a message of another process cancels the run", async () => {
    await using fixture = new NodeFixture();
    const backend = new FakeBackend({ "script 0": untilTerminated });
    const driven = fixture.drive(independent(1), backend);
    await until(() => backend.started.length === 1);
    fixture.store.runs.send(driven.runId, { kind: "cancel", by: "somebody" });
    expect((await driven.finished()).status.execution).toBe("aborted");
  });
});

describe("beside another process", () => {
  test("a key that runs elsewhere is waited for, without an event for each look", async () => {
    await using fixture = new NodeFixture();
    const first = await fixture.run(independent(1), new FakeBackend());
    const claim = claimKey(fixture.store, taskOf(first, "t0").cacheKey as Digest);
    const backend = new FakeBackend();
    const driven = fixture.drive(independent(2), backend, { jobs: 1 });
    await until(() => driven.events.some(({ kind }) => kind === "task-finished"));
    await Bun.sleep(150);
    expect(backend.started).toEqual(["script 1"]);
    fixture.store.claims.release(claim);
    expect(outcomesOf(await driven.finished())).toEqual({ t0: "succeeded", t1: "succeeded" });
    expect(driven.events.filter(({ kind }) => kind === "task-deferred")).toHaveLength(1);
    expect(backend.started).toEqual(["script 1", "script 0"]);
  });

  test("a task that waits for another process can be cancelled", async () => {
    await using fixture = new NodeFixture();
    const first = await fixture.run(independent(1), new FakeBackend());
    claimKey(fixture.store, taskOf(first, "t0").cacheKey as Digest);
    const driven = fixture.drive(independent(1), new FakeBackend());
    await until(() => driven.events.some(({ kind }) => kind === "task-deferred"));
    driven.coordinator.cancel("the user");
    expect((await driven.finished()).status.execution).toBe("aborted");
  });
});

describe("many tasks", () => {
  test("2,000 independent tasks run, and are all answered the second time", async () => {
    await using fixture = new NodeFixture();
    const backend = new FakeBackend();
    const yaml = independent(2_000);
    expect(new Set(Object.values(outcomesOf(await fixture.run(yaml, backend))))).toEqual(new Set(["succeeded"]));
    expect(new Set(Object.values(outcomesOf(await fixture.run(yaml, backend))))).toEqual(new Set(["cacheHit"]));
    expect(backend.started).toHaveLength(2_000);
    expect(fixture.store.claims.list()).toEqual([]);
  });

  test("a chain of 100 tasks with a layer each runs to its end", async () => {
    await using fixture = new NodeFixture();
    const links = Array.from(
      { length: 100 },
      (_, at) => `  - { key: t${at}, run: "s${at}"${at > 0 ? `, use: t${at - 1}` : ""} }\n`,
    );
    const scripts = Object.fromEntries(
      links.map((_, at) => [`s${at}`, ((task) => task.write(`workspace/f${at}`, String(at))) satisfies FakeScript]),
    );
    const run = await fixture.run(`tasks:\n${links.join("")}`, new FakeBackend(scripts));
    expect(run.status).toEqual({ execution: "finished", result: "succeeded" });
  });
});

/** Waits for something that comes soon, or fails. */
async function until(isSo: () => boolean): Promise<void> {
  for (const started = performance.now(); !isSo(); await new Promise((resolve) => setImmediate(resolve)))
    if (performance.now() - started > 10_000) throw new Error("it did not come");
}

/** What another process does that runs a key: the result goes, and the key is held. */
function claimKey(store: Store, key: Digest): number {
  store.results.drop(key);
  const claim = store.claims.claim({
    key,
    owner: store.claims.owner("another-run", "t"),
    cpuMilli: 1_000,
    memoryBytes: 0,
    gpus: 0,
    gpuMemoryBytes: null,
    capacity: { cpuMilli: 64_000, memoryBytes: 1, gpus: [] },
    nowMs: Date.now(),
  });
  if (claim.kind !== "granted") throw new Error(claim.kind);
  return claim.id;
}

function layersOf(store: Store): readonly Digest[] {
  return readdirSync(store.paths.layers).map((hex) => `sha256:${hex}` as Digest);
}
