import { expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import { RunMachine } from "../../src/sched/run-machine.ts";
import { after, HEADER, state, task } from "../fake/sched-story.ts";

function runWith(evaluate: () => boolean): RunMachine {
  const machine = new RunMachine(evaluate);
  const tasks = [task("a"), task("b", [], after(["a"], state("a", "failed")))];
  machine.step({ kind: "run-started", atMs: 0, run: HEADER, options: { failFast: false }, tasks });
  machine.step({ kind: "task-resolved", atMs: 0, key: "a", round: 1, outcome: { kind: "skip" } });
  return machine;
}

test("afterAllows() takes an error for the user as an answer: the task is refused at the condition's line", () => {
  const machine = runWith(() => {
    throw new MeshError("expression.invalid", "Cannot compare");
  });
  expect(machine.task("b")).toMatchObject({
    status: { execution: "aborted", aborted: "refused" },
    refusal: { code: "expression.invalid", message: "Cannot compare", line: 1 },
  });
});

test("afterAllows() lets a bug crash", () => {
  const broken = () => {
    throw new TypeError("oops");
  };
  expect(() => runWith(broken)).toThrow("oops");
});

test("afterAllows() tells the condition what became of each task", () => {
  const seen: unknown[] = [];
  const machine = new RunMachine((_condition, states) => seen.push(states) > 0);
  const tasks = [task("a"), task("b"), task("c", ["a"]), task("d", [], after(["a", "b", "c"], state("a", "failed")))];
  machine.step({ kind: "run-started", atMs: 0, run: HEADER, options: { failFast: false }, tasks });
  const refusal = { code: "capacity.none-fits", message: "no", line: null } as const;
  machine.step({ kind: "task-refused", atMs: 0, key: "a", round: 1, refusal });
  machine.step({
    kind: "task-resolved",
    atMs: 0,
    key: "b",
    round: 1,
    outcome: { kind: "hit", cacheKey: "k", hitFrom: "r" },
  });
  expect(seen).toEqual([
    {
      a: { succeeded: false, failed: true, skipped: false },
      b: { succeeded: true, failed: false, skipped: false },
      c: { succeeded: false, failed: false, skipped: true },
    },
  ]);
});
