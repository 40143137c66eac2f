import { describe, expect, test } from "bun:test";
import { RunProgress } from "../../../src/cli/view/progress.ts";
import { bytes, finished, hit, node, runStarted, started } from "../fake/events.ts";

function begun(...tasks: Parameters<typeof node>[]): RunProgress {
  const progress = new RunProgress();
  progress.apply(runStarted(tasks.map((task) => node(...task))), 0);
  return progress;
}

describe("RunProgress", () => {
  test("counts tasks by state", () => {
    const progress = begun(["a"], ["b", ["a"]], ["c", ["b"]]);
    progress.apply(hit("a"), 0);
    progress.apply(started("b"), 5);
    expect(progress.counts).toEqual({
      waiting: 1,
      ready: 0,
      running: 1,
      hit: 1,
      succeeded: 0,
      failed: 0,
      skipped: 0,
      stopped: 0,
    });
    expect([...progress.running.keys()]).toEqual(["b"]);
    progress.apply(finished("b"), 9);
    expect(progress.done).toBe(2);
    expect(progress.running.size).toBe(0);
  });

  test("skips all that needs a task that failed, once", () => {
    const progress = begun(["a"], ["b", ["a"]], ["c", ["a", "b"]], ["d"]);
    progress.apply(started("a"), 0);
    const settled = progress.apply(finished("a", { result: "failed", exitCode: 1 }), 1);
    expect(settled.map(({ key, state }) => [key, state])).toEqual([
      ["a", "failed"],
      ["c", "skipped"],
      ["b", "skipped"],
    ]);
    expect(progress.counts.skipped).toBe(2);
    expect(progress.task("d")?.state).toBe("waiting");
  });

  test("keeps the end of a failed task's output and forgets that of others", () => {
    const progress = begun(["a"], ["b"]);
    for (const key of ["a", "b"]) {
      progress.apply(started(key), 0);
      progress.output(key, "stdout", bytes("one\ntwo\n"));
    }
    progress.apply(finished("a", { result: "failed" }), 1);
    progress.apply(finished("b"), 1);
    expect(progress.task("a")?.tail?.last(5)).toEqual(["one", "two"]);
    expect(progress.task("b")?.tail).toBeNull();
  });

  test("estimates by the longest chain, less what was spent", () => {
    const progress = begun(["a", [], 10_000], ["b", ["a"], 20_000], ["c", [], 5_000]);
    progress.apply(started("a"), 0);
    progress.apply(started("c"), 0);
    expect(progress.remainingMs(4_000)).toBe(26_000);
    // a task that takes longer than ever before is expected to end at any moment
    expect(progress.remainingMs(60_000)).toBe(20_000);
  });

  test("estimates by all the work when little runs at once", () => {
    const progress = begun(["a", [], 10_000], ["b", [], 10_000], ["c", [], 10_000]);
    progress.apply(started("a"), 0);
    expect(progress.remainingMs(0)).toBe(30_000);
  });

  test("says nothing about the end while nothing is known", () => {
    const progress = begun(["a"], ["b"]);
    expect(progress.remainingMs(0)).toBeNull();
    progress.apply(started("a"), 0);
    progress.apply(finished("a", { durationMs: 4_000 }), 4_000);
    expect(progress.remainingMs(4_000)).toBe(4_000);
  });

  test("a task that may be retried is not failed yet", () => {
    const progress = new RunProgress();
    progress.apply(runStarted([{ ...node("a"), retries: 1 }, node("b", ["a"])]), 0);
    progress.apply(started("a"), 0);
    expect(progress.apply(finished("a", { result: "failed" }), 1)).toEqual([]);
    expect(progress.task("b")?.state).toBe("waiting");
    progress.apply(started("a"), 1);
    progress.apply(finished("a", { result: "failed" }), 2);
    expect(progress.counts).toMatchObject({ failed: 1, skipped: 1 });
  });
});
