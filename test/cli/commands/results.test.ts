import { describe, expect, test } from "bun:test";
import { fakeContext, runCommand } from "../fake/context.ts";
import { RUN_ID } from "../fake/run-json.ts";
import { OLDER, twoRuns } from "../fake/two-runs.ts";

describe("mesh results", () => {
  test("shows the latest run and exits with 1 when it failed", async () => {
    const said = await runCommand(fakeContext({ archive: twoRuns() }), "results");
    expect(said.out.split("\n")).toEqual([
      "   TASK   RESULT        TOOK  OUTPUTS",
      "✓  lint   from cache",
      "✓  build  executed     1.0 s",
      "✗  test   exit code 2  1.0 s",
      "",
      "✗ 3 tasks: 1 failed, 1 from cache, 1 executed in 1.2 s  run 01jb000000",
      "",
    ]);
    expect(said.code).toBe(1);
  });

  test("shows one task with its values", async () => {
    const said = await runCommand(fakeContext({ archive: twoRuns() }), "results", "--task", "build");
    expect(said.out).toContain("✓ build  executed");
    expect(said.out).toContain("Values\n  version  1.2\n");
    expect(said.code).toBe(0);
  });

  test("finds a run by the start of its id, and refuses one that is not unique or not there", async () => {
    expect(await runCommand(fakeContext({ archive: twoRuns() }), "results", "01ja", "--json")).toMatchObject({
      code: 0,
    });
    const many = await runCommand(fakeContext({ archive: twoRuns() }), "results", "01j");
    expect([many.code, many.error?.code, many.error?.hint]).toEqual([
      2,
      "run.not-found",
      `They are ${RUN_ID}, ${OLDER}.`,
    ]);
    expect((await runCommand(fakeContext({ archive: twoRuns() }), "results", "zz")).error?.code).toBe("run.not-found");
    expect((await runCommand(fakeContext({ archive: twoRuns() }), "results", "%")).error?.code).toBe("run.not-found");
  });

  test("suggests the task that was meant", async () => {
    const said = await runCommand(fakeContext({ archive: twoRuns() }), "results", "--task", "biuld");
    expect(said.error?.toJSON()).toMatchObject({ code: "task.not-found", hint: "Did you mean build?" });
  });
});
