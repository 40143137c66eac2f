import { describe, expect, test } from "bun:test";
import { PLAIN_STYLE } from "../../../src/cli/text/style.ts";
import { LiveReporter } from "../../../src/cli/view/live-reporter.ts";
import { bytes, finished, hit, node, runStarted, started } from "../fake/events.ts";
import { STATUS, runJson, taskJson } from "../fake/run-json.ts";
import { FakeTerminal } from "../fake/terminal.ts";

const RERUN = { command: "mesh run tasks.yml" };
const SUMMARY = runJson([taskJson("lint", STATUS.hit), taskJson("build", STATUS.succeeded)]);

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
    return {
      terminal,
      reporter,
      at: (ms: number) => {
        nowMs = ms;
        tick();
      },
      isTicking: () => ticking,
    };
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
