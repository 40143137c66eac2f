import { describe, expect, test } from "bun:test";
import { type RunSummary, readRun } from "../../src/node/run-record.ts";
import { FakeBackend } from "../fake/backend.ts";
import { NodeFixture, outcomesOf } from "../fake/node-run.ts";

const YAML = "tasks:\n  - { key: a, run: a }\n  - { key: b, use: a, run: b }";
const writing = new FakeBackend({ a: (task) => task.write("io/values/x", "1") });

describe("readRun()", () => {
  test("readRun() gives of a finished run what it ended with", async () => {
    await using fixture = new NodeFixture();
    const driven = fixture.drive(YAML, writing);
    const run = await driven.finished();
    const stored = fixture.store.runs.get(driven.runId);
    const view = stored && readRun(stored, fixture.store.runs);
    expect(view).toMatchObject({ state: "finished", machine: null, run: JSON.parse(JSON.stringify(run)) as object });
    expect(Object.keys((view as RunSummary).logs)).toEqual(["a", "b"]);
  });

  test("readRun() replays the journal of a run that goes on", async () => {
    await using fixture = new NodeFixture();
    const hold = Promise.withResolvers<void>();
    const backend = new FakeBackend({ a: (task) => task.write("io/values/x", "1"), b: () => hold.promise });
    const driven = fixture.drive(YAML, backend);
    while (backend.started.length < 2) await new Promise((resolve) => setImmediate(resolve));
    const written = Promise.withResolvers<void>();
    driven.journal.onceWritten(() => written.resolve());
    await written.promise;
    const stored = fixture.store.runs.get(driven.runId);
    const view = stored && readRun(stored, fixture.store.runs);
    expect([view?.state, view?.run.status.execution]).toEqual(["running", "running"]);
    expect(view?.run.tasks.map(({ status, outputs }) => [status.execution, outputs.values])).toEqual([
      ["finished", { x: "1" }],
      ["running", {}],
    ]);
    expect(view?.options.path).toBe("/project/tasks.yml");
    hold.resolve();
    await driven.finished();
  });

  test("readRun() calls a run aborted whose process is gone", async () => {
    await using fixture = new NodeFixture();
    const driven = fixture.drive(YAML, new FakeBackend());
    await driven.status;
    driven.journal.abandon();
    const stored = fixture.store.runs.get(driven.runId);
    const view = stored && readRun({ ...stored, state: "interrupted" }, fixture.store.runs);
    expect(view?.run.status.execution).toBe("aborted");
  });

  test("readRun() answers null for a run of which nothing was written", async () => {
    await using fixture = new NodeFixture();
    fixture.store.runs.create({ id: "r", title: "t", definition: "d" }, 1);
    const stored = fixture.store.runs.get("r");
    expect(stored && readRun(stored, fixture.store.runs)).toBeNull();
  });
});

test("a run that is answered from the cache alone writes no event", async () => {
  await using fixture = new NodeFixture();
  await fixture.run(YAML, writing);
  const driven = fixture.drive(YAML, writing);
  expect(outcomesOf(await driven.finished())).toEqual({ a: "cacheHit", b: "cacheHit" });
  expect(fixture.store.runs.events(driven.runId)).toEqual([]);
  const stored = fixture.store.runs.get(driven.runId);
  expect((stored && readRun(stored, fixture.store.runs))?.run.tasks[0]?.outputs.values).toEqual({ x: "1" });
});
