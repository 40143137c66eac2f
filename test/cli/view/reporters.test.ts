import { describe, expect, test } from "bun:test";
import { PLAIN_STYLE } from "../../../src/cli/text/style.ts";
import { JsonReporter } from "../../../src/cli/view/json-reporter.ts";
import { LiveReporter } from "../../../src/cli/view/live-reporter.ts";
import { PlainReporter } from "../../../src/cli/view/plain-reporter.ts";
import { bytes, finished, hit, node, runStarted, started } from "../fake/events.ts";
import { FakeOutput } from "../fake/output.ts";
import { STATUS, runJson, taskJson } from "../fake/run-json.ts";
import { FakeTerminal } from "../fake/terminal.ts";

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

describe("LiveReporter", () => {
  function live() {
    const terminal = new FakeTerminal(80, 12);
    let tick = () => {};
    let ticking = false;
    let nowMs = 0;
    const reporter = new LiveReporter({
      terminal,
      style: PLAIN_STYLE,
      now: () => nowMs,
      ticker: (_, callback) => {
        tick = callback;
        ticking = true;
        return () => (ticking = false);
      },
    });
    return { terminal, reporter, at: (ms: number) => ((nowMs = ms), tick()), isTicking: () => ticking };
  }

  test("scrolls what has ended into the history and ends with the summary alone", () => {
    const { terminal, reporter, at, isTicking } = live();
    reporter.event(runStarted([node("lint"), node("build"), node("test")]));
    reporter.event(hit("lint"));
    reporter.event(started("build"));
    reporter.output("build", "stdout", bytes("hello\n"));
    at(100);
    expect(terminal.lines).toEqual([
      "= lint   from cache",
      "● build       0.1 s",
      "  │ hello",
      "━━━━━━───────────── 1/3 · 1 from cache · 1 running · 0.1 s",
    ]);
    reporter.event(finished("build"));
    at(200);
    expect(terminal.lines.slice(0, 2)).toEqual(["= lint   from cache", "✓ build  1.0 s"]);
    reporter.finished(SUMMARY, RERUN);
    expect(terminal.lines).toEqual([
      "= lint   from cache",
      "✓ build  1.0 s",
      "✓ 2 tasks: 1 from cache, 1 executed in 1.2 s  run 01jb000000",
      "",
    ]);
    expect(isTicking()).toBe(false);
    expect(terminal.cursorHidden).toBe(false);
  });

  test("draws nothing for a run that is over before the first tick", () => {
    const { terminal, reporter } = live();
    reporter.event(runStarted([node("lint")]));
    reporter.event(hit("lint"));
    reporter.finished(runJson([taskJson("lint", STATUS.hit)]), RERUN);
    expect(terminal.lines).toEqual(["✓ 1 task: all from cache in 1.2 s  run 01jb000000", ""]);
  });

  test("gives the terminal back when the run ends by an error", () => {
    const { terminal, reporter, at, isTicking } = live();
    reporter.event(runStarted([node("a")]));
    reporter.event(started("a"));
    at(100);
    reporter.close();
    reporter.close();
    expect(terminal.cursorHidden).toBe(false);
    expect(isTicking()).toBe(false);
    expect(terminal.lines).toEqual([""]);
  });
});

describe("JsonReporter", () => {
  test("prints documented events, and the run as the last line", () => {
    const out = new FakeOutput();
    const reporter = new JsonReporter(out, () => 0);
    reporter.event(runStarted([node("a"), node("b", ["a"])]));
    reporter.event(started("a"));
    reporter.output("a", "stdout", bytes("\u001b[31mhé").slice(0, -1));
    reporter.output("a", "stdout", bytes("é").slice(1));
    reporter.event(finished("a", { result: "failed", exitCode: 1 }));
    reporter.finished(SUMMARY);
    const lines = out.text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map((line) => line["event"])).toEqual([
      "run-started",
      "task-started",
      "task-output",
      "task-output",
      "task-finished",
      "task-skipped",
      undefined,
    ]);
    expect(lines[0]).toEqual({
      event: "run-started",
      run: "01jb0000000000000r",
      title: "tasks.yml",
      definition: "tasks.yml",
      init: {},
      targets: [],
      coordinator: "here",
      tasks: ["a", "b"],
      at: "1970-01-01T00:00:00.000Z",
    });
    expect(lines.slice(2, 4).map((line) => line["text"])).toEqual(["\u001b[31mh", "é"]);
    expect(lines.at(-1)).toEqual(JSON.parse(JSON.stringify(SUMMARY)) as Record<string, unknown>);
  });
});
