import { describe, expect, test } from "bun:test";
import { PLAIN_STYLE } from "../../../src/cli/text/style.ts";
import { RunProgress } from "../../../src/cli/view/progress.ts";
import { summaryLines, wholeLine } from "../../../src/cli/view/summary.ts";
import { bytes, finished, node, runStarted, started } from "../fake/events.ts";
import { STATUS, runJson, taskJson } from "../fake/run-json.ts";

const whole = (...args: Parameters<typeof runJson>) => wholeLine(runJson(...args), PLAIN_STYLE);

describe("wholeLine()", () => {
  test("counts what was executed and what came from the cache", () => {
    expect(whole([taskJson("a", STATUS.hit), taskJson("b", STATUS.hit), taskJson("c", STATUS.succeeded)])).toBe(
      "✓ 3 tasks: 2 from cache, 1 executed in 1.2 s  run 01jb000000",
    );
    expect(whole([taskJson("a", STATUS.hit)], { durationMs: 41 })).toBe(
      "✓ 1 task: all from cache in 41 ms  run 01jb000000",
    );
  });

  test("puts failures first", () => {
    expect(whole([taskJson("a", STATUS.failed), taskJson("b", STATUS.skipped), taskJson("c", STATUS.refused)])).toBe(
      "✗ 3 tasks: 2 failed, 1 skipped in 1.2 s  run 01jb000000",
    );
  });

  test("says that a run was stopped", () => {
    const status = { execution: "aborted", result: "none" } as const;
    expect(whole([taskJson("a", STATUS.cancelled)], { status })).toBe("■ 1 task: 1 cancelled in 1.2 s  run 01jb000000");
  });
});

describe("summaryLines()", () => {
  const rerun = { command: "mesh run tasks.yml" };

  test("shows why a task failed, the end of its log and what to do next", () => {
    const progress = new RunProgress();
    progress.apply(runStarted([node("test")]), 0);
    progress.apply(started("test"), 0);
    progress.output("test", "stderr", bytes("boom\u001b[2J\n"));
    progress.apply(finished("test", { result: "failed", exitCode: 2 }), 1_000);
    const summary = runJson([taskJson("test", STATUS.failed, { exitCode: 2 })]);
    expect(summaryLines({ summary, progress, rerun, style: PLAIN_STYLE })).toEqual([
      "",
      "✗ test  exit code 2 after 1.0 s",
      "  │ boom",
      "  whole log  mesh logs 01jb000000 test",
      "  run again  mesh run tasks.yml --target test",
      "",
      "✗ 1 task: 1 failed in 1.2 s  run 01jb000000",
    ]);
  });

  test("shows only the message of a task that could not start", () => {
    const message = { level: "error", text: "No machine fits", file: null, line: 4 } as const;
    const summary = runJson([taskJson("big", STATUS.refused, { messages: [message] })]);
    expect(summaryLines({ summary, progress: new RunProgress(), rerun, style: PLAIN_STYLE }).slice(0, 4)).toEqual([
      "",
      "✗ big  could not start",
      "  No machine fits",
      "  run again  mesh run tasks.yml --target big",
    ]);
  });

  test("names the failures that are too many to be shown", () => {
    const summary = runJson(["a", "b", "c", "d", "e", "f", "g"].map((key) => taskJson(key, STATUS.failed)));
    expect(summaryLines({ summary, progress: new RunProgress(), rerun, style: PLAIN_STYLE })).toContain(
      "✗ 2 more tasks failed: f, g",
    );
  });
});
