import { describe, expect, test } from "bun:test";
import type { LogFrame } from "../../../src/store/log-frames.ts";
import { framesAfter } from "../../../src/cli/commands/logs.ts";
import { FakeArchive } from "../fake/archive.ts";
import { fakeContext, runCommand } from "../fake/context.ts";
import { bytes } from "../fake/events.ts";
import { RUN_ID, STATUS, runJson, taskJson } from "../fake/run-json.ts";

const OLDER = "01ja0000000000000r";

function twoRuns(): FakeArchive {
  const outputs = { values: { version: "1.2" }, artifacts: [], links: {}, testResults: [], problems: [] };
  return new FakeArchive([
    runJson([
      taskJson("lint", STATUS.hit),
      taskJson("build", STATUS.succeeded, { outputs }),
      taskJson("test", STATUS.failed, { exitCode: 2 }),
    ]),
    runJson([taskJson("old", STATUS.succeeded)], { id: OLDER }),
  ]);
}

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

describe("mesh logs", () => {
  const frames: readonly LogFrame[] = [
    { kind: "output", stream: "stdout", atMs: 0, bytes: bytes("out 1\n\u001b[2J") },
    { kind: "dropped", atMs: 500, droppedBytes: 2_048 },
    { kind: "output", stream: "stderr", atMs: 1_000, bytes: bytes("err\n") },
  ];
  const whole = { kind: "whole", startedAtMs: 0, frames } as const;

  function withLog(...states: Parameters<FakeArchive["logs"]["set"]>[1]): FakeArchive {
    const archive = twoRuns();
    archive.logs.set("build", states);
    return archive;
  }

  test("prints raw bytes into pipes, each stream on its own", async () => {
    const said = await runCommand(fakeContext({ archive: withLog(whole) }), "logs", "build");
    expect(said.out).toBe("out 1\n\u001b[2J\n[... 2 KiB left out ...]\n");
    expect(said.err).toBe("err\n");
  });

  test("takes out of a terminal's way what would move its cursor", async () => {
    const said = await runCommand(
      fakeContext({ archive: withLog(whole), terminal: true }),
      "logs",
      "build",
      "--stdout",
    );
    expect(said.out).toBe("out 1\n\n[... 2 KiB left out ...]\n");
    expect(said.err).toBe("");
  });

  test("prints times and JSON lines", async () => {
    const timed = await runCommand(
      fakeContext({ archive: withLog(whole) }),
      "logs",
      "build",
      "--stderr",
      "--timestamps",
    );
    expect(timed.err).toBe("1970-01-01T00:00:01.000Z err\n");
    const json = await runCommand(fakeContext({ archive: withLog(whole) }), "logs", "build", "--json");
    expect(json.out.split("\n")[1]).toBe('{"droppedBytes":2048,"at":"1970-01-01T00:00:00.500Z"}');
  });

  test("follows a log that grows until it is whole, and repeats nothing", async () => {
    const growing = { kind: "growing", startedAtMs: 0, frames: frames.slice(0, 1), nextOffset: 20 } as const;
    const said = await runCommand(
      fakeContext({ archive: withLog({ kind: "waiting" }, growing, whole) }),
      "logs",
      RUN_ID,
      "build",
      "--follow",
    );
    // the run is over, so a task that waits will never start
    expect(said.error?.message).toBe("Cannot show the log of build: it has not started");
    const live = await runCommand(fakeContext({ archive: withLog(growing, whole) }), "logs", "build", "--follow");
    expect(live.out.split("out 1")).toHaveLength(2);
    expect(live.err).toBe("err\n");
  });

  test("refuses the log of a task that never ran", async () => {
    const said = await runCommand(fakeContext({ archive: withLog({ kind: "none" }) }), "logs", "build");
    expect(said.error?.message).toBe("Cannot show the log of build: it never ran");
  });
});

test("framesAfter() cuts inside a frame and counts what was dropped", () => {
  const frames: readonly LogFrame[] = [
    { kind: "output", stream: "stdout", atMs: 0, bytes: bytes("abc") },
    { kind: "dropped", atMs: 1, droppedBytes: 10 },
    { kind: "output", stream: "stdout", atMs: 2, bytes: bytes("def") },
  ];
  expect(framesAfter(frames, 0)).toEqual(frames);
  expect(framesAfter(frames, 5)).toEqual([{ kind: "dropped", atMs: 1, droppedBytes: 8 }, frames[2] as LogFrame]);
  expect(framesAfter(frames, 14)).toEqual([{ kind: "output", stream: "stdout", atMs: 2, bytes: bytes("ef") }]);
  expect(framesAfter(frames, 99)).toEqual([]);
});

describe("mesh why", () => {
  const common = {
    task: "build",
    run: RUN_ID,
    cacheKey: "sha256:1",
    status: STATUS.succeeded,
    cacheHitFrom: null,
    partsKept: true,
  };

  async function why(answer: object): Promise<string> {
    const archive = twoRuns();
    archive.whyAnswer = { ...common, nearest: null, differences: [], ...answer };
    return (await runCommand(fakeContext({ archive }), "why", "build")).out;
  }

  test("names what differs, part by part and file by file", async () => {
    const differences = [
      { kind: "env", change: "changed", name: "CI", before: "1", after: "2" },
      { kind: "file", change: "added", path: "src/a.ts" },
    ];
    const nearest = { cacheKey: "sha256:0", run: OLDER, at: "2026-01-01T00:00:00.000Z" };
    expect((await why({ nearest, differences })).split("\n")).toEqual([
      "build ran because its key differs from the nearest earlier result (run 01ja000000, 5 minutes ago):",
      '  ~ env CI differs: "1" -> "2"',
      "  + input file src/a.ts added",
      "",
    ]);
  });

  test("has a word for every other case", async () => {
    expect(await why({})).toBe("build ran because there was no earlier result of it.\n");
    expect(await why({ partsKept: false })).toStartWith("build left no result");
    expect(await why({ status: STATUS.hit, cacheHitFrom: OLDER })).toStartWith(
      "build came from the cache: run 01ja000000 made the same key.",
    );
    expect(await why({ status: STATUS.skipped, cacheKey: null })).toStartWith(
      "build has no cache key: it was skipped before one was made.",
    );
  });
});
