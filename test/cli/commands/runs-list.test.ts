import { describe, expect, test } from "bun:test";
import { fakeContext, runCommand } from "../fake/context.ts";
import { twoRuns } from "../fake/two-runs.ts";

describe("mesh runs list", () => {
  test("shows runs, newest first", async () => {
    const said = await runCommand(fakeContext({ archive: twoRuns() }), "runs");
    expect(said.out.split("\n")).toEqual([
      "   RUN         TITLE      TASKS                       TOOK  STARTED",
      "✗  01jb000000  tasks.yml  3, 1 from cache, 1 failed  1.2 s  5 minutes ago",
      "✓  01ja000000  tasks.yml  1                          1.2 s  5 minutes ago",
      "",
    ]);
  });

  test("says what to do when there is none, and prints an empty list as JSON", async () => {
    expect((await runCommand(fakeContext(), "runs")).out).toBe("No runs yet. Start one with `mesh run tasks.yml`.\n");
    expect((await runCommand(fakeContext(), "runs", "--json")).out).toBe('{"runs":[]}\n');
  });

  test("calls a run whose process is gone interrupted", async () => {
    const archive = twoRuns();
    archive.interrupted = true;
    expect((await runCommand(fakeContext({ archive }), "runs", "-n", "1")).out).toContain(
      "!  01jb000000  tasks.yml  interrupted",
    );
  });
});
