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
