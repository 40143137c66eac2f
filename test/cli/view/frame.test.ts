import { describe, expect, test } from "bun:test";
import { PLAIN_STYLE, makeStyle } from "../../../src/cli/text/style.ts";
import { frameLines } from "../../../src/cli/view/frame.ts";
import { RunProgress } from "../../../src/cli/view/progress.ts";
import { bytes, finished, hit, node, runStarted, started } from "../fake/events.ts";

describe("frameLines()", () => {
  test("draws what runs with its last lines, and the whole", () => {
    const progress = new RunProgress();
    progress.apply(
      runStarted([node("lint"), node("build", [], 10_000), node("test", ["build"], 20_000), node("docs")]),
      0,
    );
    progress.apply(hit("lint"), 0);
    progress.apply(started("build"), 0);
    progress.output("build", "stdout", bytes("one\ntwo\nthree\nfour\nfive\nsix"));
    progress.apply(started("docs"), 1_000);
    progress.apply(finished("docs", { result: "failed", exitCode: 1 }), 2_000);
    expect(frameLines(progress, 4_000, { width: 100, height: 24 }, PLAIN_STYLE)).toEqual([
      "● build       4.0 s",
      "  │ three",
      "  │ four",
      "  │ five",
      "  │ six",
      "━━━━━━━━━━━━──────────── 2/4 · 1 from cache · 1 running · 1 failed · 4.0 s · about 26 s left",
    ]);
  });

  test("puts the last line of each beside it when there is little room", () => {
    const progress = new RunProgress();
    progress.apply(runStarted(["a", "b", "c"].map((key) => node(key))), 0);
    for (const key of ["a", "b", "c"]) {
      progress.apply(started(key), 0);
      progress.output(key, "stderr", bytes(`\u001b[31mline of ${key}\n`));
    }
    expect(frameLines(progress, 500, { width: 60, height: 5 }, PLAIN_STYLE).slice(0, 3)).toEqual([
      "● a           0.5 s  line of a",
      "● b           0.5 s  line of b",
      "● c           0.5 s  line of c",
    ]);
  });

  test("stays inside its size with ten thousand tasks running", () => {
    const progress = new RunProgress();
    const keys = Array.from({ length: 10_000 }, (_, index) => `a-task-with-a-very-long-name-number-${index}`);
    progress.apply(runStarted(keys.map((key) => node(key))), 0);
    for (const key of keys) progress.apply(started(key), 0);
    for (const size of [
      { width: 40, height: 6 },
      { width: 9, height: 2 },
      { width: 200, height: 400 },
    ]) {
      const lines = frameLines(progress, 61_000, size, makeStyle(true));
      expect(lines.length).toBeLessThanOrEqual(Math.min(size.height, 30));
      for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(size.width);
    }
    expect(frameLines(progress, 0, { width: 60, height: 6 }, PLAIN_STYLE).at(-2)).toBe("  … and 9,996 more");
  });

  test("says that it is stopping instead of an estimate", () => {
    const progress = new RunProgress();
    progress.apply(runStarted([node("a", [], 60_000)]), 0);
    progress.apply(started("a"), 0);
    progress.apply({ kind: "cancel-requested", by: "the user", atMs: 0 }, 0);
    expect(frameLines(progress, 0, { width: 80, height: 9 }, PLAIN_STYLE).at(-1)).toEndWith("0.0 s · stopping");
  });
});
