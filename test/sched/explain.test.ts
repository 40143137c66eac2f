import { expect, test } from "bun:test";
import { makeAsk } from "../../src/sched/ask.ts";
import {
  answersOf,
  type Candidate,
  describeAnswer,
  explain,
  explanationLines,
  fitsSomewhere,
} from "../../src/sched/explain.ts";
import type { NodeCapacity } from "../../src/sched/fit.ts";
import { after, FAILED, Story, task } from "../fake/sched-story.ts";

const total = { cpuMilli: 2_000, memoryBytes: 2 ** 30, diskBytes: 0 };
const HERE: NodeCapacity = {
  name: "here",
  os: "linux",
  arch: "x64",
  labels: [],
  baseKeys: [],
  total,
  free: { ...total, cpuMilli: 500 },
  gpus: [],
};

function present(capacity: NodeCapacity): Candidate {
  return { node: capacity.name, capacity, absence: null };
}

function linesOf(story: Story, key: string, nodes: readonly NodeCapacity[] = [HERE]): readonly string[] {
  const explanation = explain(story.machine, key, nodes.map(present));
  return explanation === null ? [] : explanationLines(explanation);
}

test("explain() says what a waiting task waits for", () => {
  const many = Array.from({ length: 12 }, (_, index) => task(`n${index}`));
  const story = Story.of([
    ...many,
    task(
      "end",
      many.map(({ key }) => key),
      after(["n0"]),
    ),
  ]);
  story.hit("n0");
  expect(linesOf(story, "end")).toEqual(["end: waits for n1, n2, n3, n4, n5, n6, n7, n8, n9, n10 and 1 more"]);
  expect(linesOf(story, "n1")).toEqual(["n1: its cache key is being computed"]);
  expect(explain(story.machine, "zz", [])).toBeNull();
});

test("explain() says where a ready task could run, and why not now", () => {
  const story = Story.of([task("a"), task("b")]);
  story.miss("a");
  story.miss("b", "kb", makeAsk({ cpuMilli: 9_000, os: "darwin" }));
  expect(linesOf(story, "a")).toEqual(["a: waits for room; 2 tasks ready", "  here: asks for 1 CPU, has 0.5 free"]);
  expect(linesOf(story, "a", [{ ...HERE, free: total }])).toEqual([
    "a: will be placed in the next round",
    "  here: fits now",
  ]);
  expect(linesOf(story, "b")).toEqual([
    "b: no machine fits",
    "  here: asks for darwin, runs linux and asks for 9 CPU, has 2 in all",
  ]);
});

test("answersOf() says of a machine that is not there whether it would fit, whatever runs on it", () => {
  const away = { node: "away", capacity: { ...HERE, free: { ...total, cpuMilli: 0 } }, absence: "is down: silent" };
  const never = { node: "never", capacity: null, absence: "is down" };
  const wordsFor = (cpuMilli: number) => {
    const answers = answersOf(makeAsk({ cpuMilli }), [never, away, present(HERE)]);
    return [fitsSomewhere(answers), ...answers.map((answer) => `${answer.node}: ${describeAnswer(answer)}`)];
  };
  expect(wordsFor(1_000)).toEqual([
    true,
    "away: would fit, but is down: silent",
    "here: asks for 1 CPU, has 0.5 free",
    "never: is down",
  ]);
  expect(wordsFor(3_000)).toEqual([
    false,
    "away: is down: silent; asks for 3 CPU, has 2 in all",
    "here: asks for 3 CPU, has 2 in all",
    "never: is down",
  ]);
  expect(fitsSomewhere(answersOf(makeAsk({ cpuMilli: 1_000 }), [away, never]))).toBe(false);
});

test("explain() follows skips to their first cause", () => {
  const story = Story.of([task("a"), task("b", ["a"]), task("c", [], after(["b"]))]);
  story.run("a", FAILED);
  expect(explain(story.machine, "c", [])?.because).toEqual({
    kind: "skipped",
    chain: [
      { task: "c", reason: { kind: "after", task: "b", was: "skipped" } },
      { task: "b", reason: { kind: "need", task: "a", was: "failed" } },
    ],
    cause: "a",
  });
  expect(linesOf(story, "c")).toEqual(["c: skipped: b, which it comes after, was skipped; a, which it needs, failed"]);
});

test("explain() knows runs, twins, deferrals, hits and ends", () => {
  const story = Story.of(["run", "twin", "far", "hit", "done", "off"].map((key) => task(key)));
  story.miss("run", "same");
  story.start("run");
  story.miss("twin", "same");
  story.tell({ kind: "task-deferred", key: "far", round: 1, elsewhere: "run9" });
  story.hit("hit");
  story.run("done", { ...FAILED, exitCode: 3 });
  story.resolve("off", { kind: "skip" });
  expect(["run", "twin", "far", "hit", "done", "off"].flatMap((key) => linesOf(story, key))).toEqual([
    "run: runs on here",
    "twin: waits for run, which has the same cache key",
    "far: waits for the run run9, in which the same cache key runs",
    "hit: answered from the cache; the result is from the run run0",
    "done: executed on here, exit code 3",
    "off: skipped: its `if` is false",
  ]);
});
