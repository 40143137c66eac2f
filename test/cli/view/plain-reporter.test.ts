import { describe, expect, test } from "bun:test";
import { PLAIN_STYLE } from "../../../src/cli/text/style.ts";
import { PlainReporter } from "../../../src/cli/view/plain-reporter.ts";
import { bytes, finished, hit, node, runStarted, started } from "../fake/events.ts";
import { FakeOutput } from "../fake/output.ts";
import { STATUS, runJson, taskJson } from "../fake/run-json.ts";

const RERUN = { command: "mesh run tasks.yml" };
const SUMMARY = runJson([taskJson("lint", STATUS.hit), taskJson("build", STATUS.succeeded)]);

describe("PlainReporter", () => {
  test("prints starts, ends, hits and output lines behind the task's key", () => {
    const out = new FakeOutput();
    const reporter = new PlainReporter(out, PLAIN_STYLE, () => 0);
    reporter.event(runStarted([node("lint"), node("build"), node("test", ["build"])]));
    reporter.event(hit("lint"));
    reporter.event(started("build"));
    reporter.output("build", "stdout", bytes("compi"));
    reporter.output("build", "stderr", bytes("note\n"));
    reporter.output("build", "stdout", bytes("ling\nlast"));
    reporter.event(finished("build", { result: "failed", exitCode: 3 }));
    reporter.finished(SUMMARY, RERUN);
    expect(out.text.split("\n")).toEqual([
      "= lint   from cache",
      "● build  started",
      "  build │ note",
      "  build │ compiling",
      "  build │ last",
      "✗ build  exit code 3 after 1.0 s",
      "- test   skipped",
      "✓ 2 tasks: 1 from cache, 1 executed in 1.2 s  run 01jb000000",
      "",
    ]);
  });

  test("says only the last line when all comes from the cache", () => {
    const out = new FakeOutput();
    const reporter = new PlainReporter(out, PLAIN_STYLE, () => 0);
    const keys = Array.from({ length: 1_000 }, (_, index) => `t${index}`);
    reporter.event(runStarted(keys.map((key) => node(key))));
    for (const key of keys) reporter.event(hit(key));
    reporter.finished(
      runJson(
        keys.map((key) => taskJson(key, STATUS.hit)),
        { durationMs: 41 },
      ),
      RERUN,
    );
    expect(out.text).toBe("✓ 1,000 tasks: all from cache in 41 ms  run 01jb000000\n");
  });

  test("gathers many hits before other things happen", () => {
    const out = new FakeOutput();
    const reporter = new PlainReporter(out, PLAIN_STYLE, () => 0);
    const keys = Array.from({ length: 20 }, (_, index) => `t${index}`);
    reporter.event(runStarted([...keys, "x"].map((key) => node(key))));
    for (const key of keys) reporter.event(hit(key));
    reporter.event(started("x"));
    expect(out.text).toBe("= 20 tasks from cache\n● x    started\n");
  });
});
