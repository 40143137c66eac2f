import { expect, test } from "bun:test";
import { countTasks, runJson } from "../../src/sched/summary.ts";
import { FAILED, Story, task } from "../fake/sched-story.ts";

test("runJson() gives the documented objects", () => {
  const story = Story.of([task("a"), task("b", ["a"])]);
  story.run("a", { ...FAILED, used: { cpuMs: 3, memoryBytesMax: 9 } });
  expect(runJson(story.machine)).toEqual({
    id: "run1",
    title: "story",
    definition: "tasks.yml",
    status: { execution: "finished", result: "failed" },
    startedAt: "1970-01-01T00:00:01.000Z",
    completedAt: "1970-01-01T00:00:01.004Z",
    durationMs: 4,
    init: {},
    targets: [],
    coordinator: "here",
    tasks: [
      {
        id: "run1.a",
        key: "a",
        type: "command",
        status: { execution: "finished", result: "failed", finished: "executed", aborted: null },
        cacheKey: "key-a",
        cacheHitFrom: null,
        exitCode: 1,
        signal: null,
        node: "here",
        asked: { cpuMilli: 1_000, memoryBytes: 0, gpus: 0 },
        used: { cpuMs: 3, memoryBytesMax: 9 },
        attempt: 1,
        startedAt: "1970-01-01T00:00:01.003Z",
        completedAt: "1970-01-01T00:00:01.004Z",
        durationMs: 5,
        outputs: { values: {}, artifacts: [], links: {}, testResults: [], problems: [] },
        messages: [],
      },
      {
        id: "run1.b",
        key: "b",
        type: "command",
        status: { execution: "skipped", result: "none", finished: null, aborted: null },
        cacheKey: null,
        cacheHitFrom: null,
        exitCode: null,
        signal: null,
        node: null,
        asked: null,
        used: null,
        attempt: 1,
        startedAt: null,
        completedAt: "1970-01-01T00:00:01.004Z",
        durationMs: null,
        outputs: { values: {}, artifacts: [], links: {}, testResults: [], problems: [] },
        messages: [{ level: "info", text: "Skipped: a, which it needs, failed", file: null, line: null }],
      },
    ],
  });
});

test("countTasks() counts by phase and by outcome", () => {
  const story = Story.of(["done", "bad", "on", "next", "end"].map((key) => task(key, key === "end" ? ["on"] : [])));
  story.run("done");
  story.run("bad", FAILED);
  story.miss("on");
  story.start("on");
  expect(countTasks(story.machine.tasks)).toEqual({
    total: 5,
    waiting: 2,
    ready: 0,
    running: 1,
    executed: 2,
    cacheHits: 0,
    succeeded: 1,
    failed: 1,
    skipped: 0,
    aborted: 0,
  });
  story.finish("on");
  story.hit("next");
  story.hit("end");
  expect(countTasks(story.machine.tasks)).toMatchObject({ executed: 3, cacheHits: 2, succeeded: 4, failed: 1 });
});
