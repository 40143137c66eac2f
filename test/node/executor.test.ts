import { describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FakeBackend } from "../fake/backend.ts";
import { NodeFixture, outcomesOf, taskOf } from "../fake/node-run.ts";

const ONE = "tasks:\n  - { key: a, run: a }";

describe("Executor", () => {
  test("a task that replaced its io folder by a link fails alone, and nothing is read there", async () => {
    await using fixture = new NodeFixture();
    const outside = fixture.folder.join("outside");
    mkdirSync(outside);
    writeFileSync(join(outside, "secret"), "the machine's");
    const backend = new FakeBackend({
      a: ({ execution }) => {
        rmSync(join(execution.scratch.io, "values"), { recursive: true });
        symlinkSync(outside, join(execution.scratch.io, "values"));
      },
    });
    const run = await fixture.run(ONE, backend);
    expect(outcomesOf(run)).toEqual({ a: "failed" });
    expect(JSON.stringify(run)).not.toContain("the machine's");
  });

  test("a scratch in which a task left a link of its own is not given to the next task", async () => {
    await using fixture = new NodeFixture();
    const roots: string[] = [];
    const backend = new FakeBackend({
      a: ({ execution }) => {
        roots.push(execution.scratch.root);
        symlinkSync("/etc", join(execution.scratch.io, "script"));
      },
      b: ({ execution }) => void roots.push(execution.scratch.root),
    });
    await fixture.run(`${ONE}\n  - { key: b, after: a, run: b }`, backend);
    expect(new Set(roots).size).toBe(2);
  });

  test("what a task wrote becomes a layer when nothing holds it any more; who wrote nothing is not waited for", async () => {
    await using fixture = new NodeFixture();
    const gone = Promise.withResolvers<void>();
    const backend = new FakeBackend({ writes: (task) => task.write("workspace/file", "") });
    backend.lingers = gone.promise;
    const driven = fixture.drive(
      "tasks:\n  - { key: writes, run: writes }\n  - { key: reads, run: reads }\n  - { key: next, after: reads, run: next }",
      backend,
    );
    const finished = () => driven.events.flatMap((event) => (event.kind === "task-finished" ? [event.key] : []));
    while (!finished().includes("next")) await new Promise((resolve) => setImmediate(resolve));
    expect(finished()).toEqual(["reads", "next"]);
    gone.resolve();
    expect(outcomesOf(await driven.finished())).toEqual({ writes: "succeeded", reads: "succeeded", next: "succeeded" });
  });

  test("a failed task leaves its outputs for people, and no result for the cache", async () => {
    await using fixture = new NodeFixture();
    const backend = new FakeBackend({
      a: (task) => {
        task.write("io/values/x", "1");
        task.write("io/errors/why", "because");
        return { exitCode: 9 };
      },
    });
    const run = await fixture.run(ONE, backend);
    expect(taskOf(run, "a")).toMatchObject({ exitCode: 9, outputs: { values: { x: "1" } } });
    expect(
      taskOf(run, "a")
        .messages.map(({ text }) => text)
        .join(),
    ).toContain("because");
    expect(outcomesOf(await fixture.run(ONE, backend))).toEqual({ a: "failed" });
  });

  test("an attempt knows its run, its task and its key by both families of names", async () => {
    await using fixture = new NodeFixture();
    let env: Readonly<Record<string, string>> = {};
    const backend = new FakeBackend({ a: ({ execution }) => void (env = execution.env) });
    const driven = fixture.drive(ONE, backend);
    await driven.finished();
    for (const prefix of ["MESH", "RWX"])
      expect([env[`${prefix}_RUN_ID`], env[`${prefix}_TASK_ID`], env[`${prefix}_TASK_ATTEMPT_NUMBER`]]).toEqual([
        driven.runId,
        `${driven.runId}.a`,
        "1",
      ]);
  });
});
