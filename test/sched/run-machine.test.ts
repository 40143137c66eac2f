import { describe, expect, test } from "bun:test";
import { makeAsk } from "../../src/sched/ask.ts";
import { after, both, CANCELLED, FAILED, state, Story, task } from "../fake/sched-story.ts";

describe("order", () => {
  test("step() resolves what waits for nothing, and the rest when all it needs has succeeded", () => {
    const story = Story.of([task("c", ["a", "b"]), task("a"), task("b")]);
    expect(story.effects).toEqual([
      { kind: "resolve", key: "a", round: 1 },
      { kind: "resolve", key: "b", round: 1 },
    ]);
    expect(story.hit("a")).toEqual([{ kind: "task-settled", key: "a" }]);
    expect(story.run("b")).toEqual([
      { kind: "task-settled", key: "b" },
      { kind: "resolve", key: "c", round: 1 },
    ]);
    expect(story.hit("c").at(-1)).toEqual({
      kind: "finish-run",
      status: { execution: "finished", result: "succeeded" },
    });
    expect(["a", "b", "c"].map((key) => story.stateOf(key))).toEqual([
      "finished succeeded cacheHit",
      "finished succeeded executed",
      "finished succeeded cacheHit",
    ]);
  });

  test("step() leads one attempt from place over start to its end", () => {
    const story = Story.of([task("a")]);
    expect(story.miss("a")).toEqual([{ kind: "place", key: "a", attempt: 1 }]);
    expect(story.stateOf("a")).toBe("ready");
    expect(story.tell({ kind: "task-placed", key: "a", attempt: 1, node: "n1", lease: "l" })).toEqual([
      { kind: "start", key: "a", attempt: 1, lease: "l", node: "n1" },
    ]);
    expect(story.tell({ kind: "task-started", key: "a", attempt: 1, lease: "l" })).toEqual([]);
    expect(story.stateOf("a")).toBe("running");
    story.finish("a", { ...FAILED, exitCode: 7, message: "no" });
    expect(story.stateOf("a")).toBe("finished failed executed");
    expect(story.machine.task("a")).toMatchObject({
      exitCode: 7,
      message: "no",
      node: "n1",
      startedAtMs: 1003,
      completedAtMs: 1004,
      durationMs: 5,
    });
    expect(story.machine.status).toEqual({ execution: "finished", result: "failed" });
  });

  test("a run without tasks ends at once", () => {
    expect(Story.of([]).effects).toEqual([
      { kind: "finish-run", status: { execution: "finished", result: "succeeded" } },
    ]);
  });

  test("ready lanes give the longest remaining path first, then definition order", () => {
    const story = Story.of([
      task("x"),
      task("short", [], { expectedMs: 10 }),
      task("y"),
      task("head", [], { expectedMs: 5 }),
      task("tail", ["head"], { expectedMs: 9_000 }),
    ]);
    for (const key of ["x", "short", "y", "head"]) story.miss(key);
    const [lane] = story.machine.ready.lanes();
    expect([...(lane?.inOrder() ?? [])].map((ready) => ready.key)).toEqual(["head", "x", "y", "short"]);
  });
});

describe("skips", () => {
  test("a failed need skips its dependants, each naming the task that caused it", () => {
    const story = Story.of([task("a"), task("b", ["a"]), task("c", ["b"]), task("d")]);
    story.run("a", FAILED);
    expect(story.machine.task("b")?.skip).toEqual({ kind: "need", task: "a", was: "failed" });
    expect(story.machine.task("c")?.skip).toEqual({ kind: "need", task: "b", was: "skipped" });
    expect(story.stateOf("d")).toBe("waiting");
    story.hit("d");
    expect(story.machine.status).toEqual({ execution: "finished", result: "failed" });
  });

  test("a false `if` skips the task and its dependants, and the run succeeds", () => {
    const story = Story.of([task("a"), task("b", ["a"]), task("c", [], after(["a"]))]);
    story.resolve("a", { kind: "skip" });
    expect([story.machine.task("a")?.skip, story.machine.task("b")?.skip, story.machine.task("c")?.skip]).toEqual([
      { kind: "if" },
      { kind: "need", task: "a", was: "skipped" },
      { kind: "after", task: "a", was: "skipped" },
    ]);
    expect(story.machine.status).toEqual({ execution: "finished", result: "succeeded" });
  });

  test("plain `after` skips when a task before it fails", () => {
    const story = Story.of([task("a"), task("b", [], after(["a"]))]);
    story.run("a", FAILED);
    expect(story.machine.task("b")?.skip).toEqual({ kind: "after", task: "a", was: "failed" });
  });

  test("`after` with a condition waits until all its tasks are final, whatever became of them", () => {
    const condition = both("||", state("a", "failed"), state("b", "skipped"));
    const story = Story.of([task("a"), task("b"), task("clean", [], after(["a", "b"], condition))]);
    expect(story.run("a", FAILED)).toEqual([{ kind: "task-settled", key: "a" }]);
    expect(story.run("b")).toEqual([
      { kind: "task-settled", key: "b" },
      { kind: "resolve", key: "clean", round: 1 },
    ]);
  });

  test("`after` whose condition is false skips", () => {
    const story = Story.of([task("a"), task("b", [], after(["a"], state("a", "failed")))]);
    story.run("a");
    expect(story.machine.task("b")?.skip).toEqual({ kind: "after-condition", tasks: ["a"] });
  });

  test("a task that is both needed and come after counts once each way", () => {
    const story = Story.of([task("a"), task("b", ["a", "a"], after(["a"]))]);
    expect(story.run("a").at(-1)).toEqual({ kind: "resolve", key: "b", round: 1 });
  });

  test("a refused task counts as failed and says why", () => {
    const story = Story.of([task("a"), task("b", ["a"])]);
    const refusal = { code: "capacity.none-fits", message: "No machine fits", line: 3 } as const;
    story.tell({ kind: "task-refused", key: "a", round: 1, refusal });
    expect(story.stateOf("a")).toBe("aborted failed refused");
    expect(story.machine.task("a")?.refusal).toEqual(refusal);
    expect(story.machine.task("b")?.skip).toEqual({ kind: "need", task: "a", was: "failed" });
  });

  test("a chain of 50,000 skips needs no stack", () => {
    const story = Story.of(
      Array.from({ length: 50_000 }, (_, index) => task(`t${index}`, index === 0 ? [] : [`t${index - 1}`])),
    );
    story.resolve("t0", { kind: "skip" });
    expect(story.machine.status.execution).toBe("finished");
  });
});

describe("the same cache key", () => {
  test("the second task waits for the first, then looks again", () => {
    const story = Story.of([task("a"), task("b")]);
    story.miss("a", "same");
    expect(story.miss("b", "same")).toEqual([]);
    expect(story.machine.twinOf(story.machine.tasks[1] as never)?.key).toBe("a");
    story.start("a");
    expect(story.finish("a")).toEqual([
      { kind: "task-settled", key: "a" },
      { kind: "resolve", key: "b", round: 2 },
    ]);
    story.hit("b", "same");
    expect(story.stateOf("b")).toBe("finished succeeded cacheHit");
  });

  test("when the first fails, the next runs itself and the others wait for that one", () => {
    const story = Story.of([task("a"), task("b"), task("c")]);
    for (const key of ["a", "b", "c"]) story.miss(key, "same");
    story.start("a");
    expect(story.finish("a", FAILED).at(-1)).toEqual({ kind: "resolve", key: "b", round: 2 });
    expect(story.miss("b", "same")).toEqual([{ kind: "place", key: "b", attempt: 1 }]);
    story.start("b");
    story.finish("b");
    expect(story.hit("c", "same").at(-1)).toEqual({
      kind: "finish-run",
      status: { execution: "finished", result: "failed" },
    });
  });

  test("10,000 tasks of one key that all fail are each resolved twice at most", () => {
    const story = Story.of(Array.from({ length: 10_000 }, (_, index) => task(`t${index}`)));
    let resolves = story.effects.length;
    for (const { key } of story.machine.tasks) story.miss(key, "same");
    for (let index = 0; index < 10_000; index++) {
      story.start(`t${index}`);
      const effects = story.finish(`t${index}`, FAILED);
      resolves += effects.filter((effect) => effect.kind === "resolve").length;
      if (index < 9_999) story.miss(`t${index + 1}`, "same");
    }
    expect(resolves).toBe(19_999);
    expect(story.machine.status.execution).toBe("finished");
  });

  test("a hit after the wait lets all others look at once", () => {
    const story = Story.of(["a", "b", "c", "d"].map((key) => task(key)));
    for (const key of ["a", "b", "c", "d"]) story.miss(key, "same");
    story.start("a");
    story.finish("a");
    expect(story.hit("b", "same").filter((effect) => effect.kind === "resolve")).toEqual([
      { kind: "resolve", key: "c", round: 2 },
      { kind: "resolve", key: "d", round: 2 },
    ]);
  });

  test("a task that does not share its key neither waits nor is waited for", () => {
    const story = Story.of([task("a"), task("b"), task("c")]);
    const ask = makeAsk({});
    expect(story.miss("a", "same", ask, false)).toHaveLength(1);
    expect(story.miss("b", "same")).toHaveLength(1);
    expect(story.miss("c", "same", ask, false)).toHaveLength(1);
  });

  test("a task whose key runs elsewhere waits, and looks again", () => {
    const story = Story.of([task("a")]);
    story.tell({ kind: "task-deferred", key: "a", round: 1, elsewhere: "run9" });
    expect(story.machine.task("a")).toMatchObject({ phase: "deferred", deferredTo: "run9" });
    expect(story.tell({ kind: "task-undeferred", key: "a", round: 1 })).toEqual([
      { kind: "resolve", key: "a", round: 2 },
    ]);
  });

  test("a ready task whose key turns out to run elsewhere leaves the queue", () => {
    const story = Story.of([task("a")]);
    story.miss("a");
    story.tell({ kind: "task-deferred", key: "a", round: 1, elsewhere: "run9" });
    expect(story.machine.ready.size).toBe(0);
    expect(story.tell({ kind: "task-placed", key: "a", attempt: 1, node: "n", lease: "l" })).toEqual([]);
  });
});

describe("attempts", () => {
  test("events of an attempt that lost its lease change nothing", () => {
    const story = Story.of([task("a")]);
    story.miss("a");
    const old = { key: "a", attempt: 1, lease: story.start("a") };
    expect(story.machine.holds(old)).toBe(true);
    expect(story.lose("a")).toEqual([{ kind: "place", key: "a", attempt: 2 }]);
    story.start("a");
    expect(story.machine.holds(old)).toBe(false);
    expect(story.tell({ kind: "task-finished", ...old, outcome: FAILED })).toEqual([]);
    expect(story.tell({ kind: "task-lost", ...old, reason: "late" })).toEqual([]);
    expect(story.stateOf("a")).toBe("running");
    story.finish("a");
    expect(story.stateOf("a")).toBe("finished succeeded executed");
  });

  test("a task is offered again a bounded number of times", () => {
    const story = Story.of([task("a")]);
    story.miss("a");
    for (let loss = 0; loss < 4; loss++) {
      story.start("a", "there");
      story.lose("a");
    }
    expect(story.stateOf("a")).toBe("aborted failed lost");
    expect(story.machine.task("a")?.attempt).toBe(4);
  });

  test("what went with the process that drove the run is no loss of a machine", () => {
    const story = Story.of([task("a")]);
    story.miss("a");
    for (let death = 0; death < 10; death++) {
      story.start("a", "here");
      story.lose("a");
    }
    expect(story.stateOf("a")).toBe("ready");
    expect(story.machine.task("a")?.attempt).toBe(11);
  });

  test("a returned lease uses up no attempt", () => {
    const story = Story.of([task("a")]);
    story.miss("a");
    story.tell({ kind: "task-placed", key: "a", attempt: 1, node: "n", lease: "l1" });
    expect(story.tell({ kind: "task-returned", key: "a", attempt: 1, lease: "l1" })).toEqual([
      { kind: "place", key: "a", attempt: 1 },
    ]);
    story.tell({ kind: "task-placed", key: "a", attempt: 1, node: "n", lease: "l2" });
    expect(story.tell({ kind: "task-started", key: "a", attempt: 1, lease: "l1" })).toEqual([]);
    expect(story.stateOf("a")).toBe("ready");
  });

  test("a failure is retried as often as the task says", () => {
    const story = Story.of([task("a", [], { retries: 1 })]);
    expect(story.run("a", FAILED)).toEqual([{ kind: "place", key: "a", attempt: 2 }]);
    story.start("a");
    story.finish("a", { ...FAILED, reason: "timed-out" });
    expect(story.stateOf("a")).toBe("aborted failed timed-out");
  });

  test("answers to an older round change nothing", () => {
    const story = Story.of([task("a")]);
    story.tell({ kind: "task-deferred", key: "a", round: 1, elsewhere: "run9" });
    story.tell({ kind: "task-undeferred", key: "a", round: 1 });
    const stale = {
      kind: "task-resolved",
      key: "a",
      round: 1,
      outcome: { kind: "hit", cacheKey: "k", hitFrom: "r" },
    } as const;
    expect(story.tell(stale)).toEqual([]);
    expect(story.stateOf("a")).toBe("waiting");
  });

  test("an event about an unknown task throws and changes nothing", () => {
    const story = Story.of([task("a")]);
    expect(() => story.resolve("zz", { kind: "skip" })).toThrow('Cannot find the task "zz" in the run');
  });
});

describe("stopping", () => {
  test("cancel stops what runs and aborts the rest; the run ends with the last task", () => {
    const story = Story.of([task("a"), task("b"), task("c", ["a"]), task("d")]);
    story.miss("a");
    const lease = story.start("a");
    story.miss("b");
    const effects = story.tell({ kind: "cancel-requested", by: "user" });
    expect(effects).toEqual([
      { kind: "cancel-task", key: "a", attempt: 1, lease, node: "here", graceful: true },
      { kind: "task-settled", key: "b" },
      { kind: "task-settled", key: "c" },
      { kind: "task-settled", key: "d" },
    ]);
    expect(story.finish("a", CANCELLED).at(-1)).toEqual({
      kind: "finish-run",
      status: { execution: "aborted", result: "none" },
    });
    expect(["a", "b", "c", "d"].map((key) => story.stateOf(key))).toEqual(
      Array.from({ length: 4 }, () => "aborted cancelled"),
    );
  });

  test("a second cancel is without grace, a third says nothing", () => {
    const story = Story.of([task("a")]);
    story.miss("a");
    story.start("a");
    story.tell({ kind: "cancel-requested", by: "user" });
    expect(story.tell({ kind: "cancel-requested", by: "user" })).toMatchObject([
      { kind: "cancel-task", graceful: false },
    ]);
    expect(story.tell({ kind: "cancel-requested", by: "user" })).toEqual([]);
  });

  test("a task that ends well before the cancel reaches it has succeeded", () => {
    const story = Story.of([task("a")]);
    story.miss("a");
    story.start("a");
    story.tell({ kind: "cancel-requested", by: "user" });
    story.finish("a");
    expect(story.stateOf("a")).toBe("finished succeeded executed");
    expect(story.machine.status).toEqual({ execution: "aborted", result: "none" });
  });

  test("a task that is lost while it is cancelled is cancelled", () => {
    const story = Story.of([task("a")]);
    story.miss("a");
    story.start("a");
    story.tell({ kind: "cancel-requested", by: "user" });
    story.lose("a");
    expect(story.stateOf("a")).toBe("aborted cancelled");
  });

  test("fail-fast stops what runs and skips the rest, naming the task that failed", () => {
    const story = Story.of([task("a"), task("b"), task("c"), task("d", ["a"])], true);
    story.miss("a");
    story.miss("b");
    story.start("a");
    story.start("b");
    expect(story.finish("a", FAILED).map((effect) => effect.kind)).toEqual([
      "task-settled",
      "task-settled",
      "cancel-task",
      "task-settled",
    ]);
    expect(story.machine.task("c")?.skip).toEqual({ kind: "fail-fast", task: "a" });
    expect(story.machine.task("d")?.skip).toEqual({ kind: "need", task: "a", was: "failed" });
    story.finish("b", CANCELLED);
    expect(story.stateOf("b")).toBe("aborted terminated");
    expect(story.machine.status).toEqual({ execution: "finished", result: "failed" });
  });

  test("without fail-fast a failure stops nothing else", () => {
    const story = Story.of([task("a"), task("b")]);
    story.run("a", FAILED);
    expect(story.stateOf("b")).toBe("waiting");
  });
});

describe("growing", () => {
  test("a task that added tasks is final when they are, and they may use it before", () => {
    const story = Story.of([task("gen"), task("end", ["gen"])]);
    story.miss("gen");
    story.start("gen");
    story.tell({ kind: "tasks-added", by: "gen", tasks: [task("gen.x", ["gen"]), task("gen.y", ["gen.x"])] });
    expect(story.finish("gen")).toEqual([{ kind: "resolve", key: "gen.x", round: 1 }]);
    expect(story.stateOf("gen")).toBe("running");
    story.run("gen.x");
    expect(story.run("gen.y")).toEqual([
      { kind: "task-settled", key: "gen.y" },
      { kind: "task-settled", key: "gen" },
      { kind: "resolve", key: "end", round: 1 },
    ]);
    expect(story.stateOf("gen")).toBe("finished succeeded executed");
  });

  test("a failed subtask fails the task that added it", () => {
    const story = Story.of([task("gen")]);
    story.tell({ kind: "tasks-added", by: "gen", tasks: [task("gen.x")] });
    story.hit("gen");
    story.run("gen.x", FAILED);
    expect(story.machine.task("gen")).toMatchObject({ reason: "subtask-failed", message: "gen.x" });
    expect(story.machine.status.result).toBe("failed");
  });

  test("an added task may use any of those that led to it", () => {
    const story = Story.of([task("gen")]);
    story.tell({ kind: "tasks-added", by: "gen", tasks: [task("mid")] });
    story.hit("gen");
    story.tell({ kind: "tasks-added", by: "mid", tasks: [task("leaf", ["gen", "mid"])] });
    expect(story.hit("mid").at(-1)).toEqual({ kind: "resolve", key: "leaf", round: 1 });
    expect(story.hit("leaf").at(-1)).toEqual({
      kind: "finish-run",
      status: { execution: "finished", result: "succeeded" },
    });
  });

  test("tasks that would wait for the task that adds them are refused, and nothing changes", () => {
    const story = Story.of([task("gen"), task("end", ["gen"])]);
    const add = () => story.tell({ kind: "tasks-added", by: "gen", tasks: [task("x"), task("y", ["end"])] });
    expect(add).toThrow('Cannot add the task "y" to "gen": it waits for "end", which waits for "gen"');
    expect(story.machine.tasks).toHaveLength(2);
  });

  test("tasks are added once, however often the task that adds them runs", () => {
    const story = Story.of([task("gen")]);
    story.miss("gen");
    story.start("gen");
    story.tell({ kind: "tasks-added", by: "gen", tasks: [task("x")] });
    story.lose("gen");
    story.start("gen");
    story.tell({ kind: "tasks-added", by: "gen", tasks: [task("x")] });
    expect(story.machine.tasks).toHaveLength(2);
  });

  test("added tasks see what ended before they came", () => {
    const story = Story.of([task("bad"), task("good"), task("gen")]);
    story.run("bad", FAILED);
    story.run("good");
    story.tell({
      kind: "tasks-added",
      by: "gen",
      tasks: [task("x", ["bad"]), task("y", ["good"]), task("z", [], after(["bad", "x"], state("bad", "failed")))],
    });
    expect([story.stateOf("x"), story.stateOf("y"), story.machine.task("z")?.phase]).toEqual([
      "skipped",
      "waiting",
      "resolving",
    ]);
  });

  test("a growing end raises the rank of what waits for a machine", () => {
    const story = Story.of([task("first", [], { expectedMs: 50 }), task("late", [], { expectedMs: 10 }), task("gen")]);
    story.miss("first");
    story.miss("late");
    story.tell({ kind: "tasks-added", by: "gen", tasks: [task("x", ["late"], { expectedMs: 500 })] });
    const [lane] = story.machine.ready.lanes();
    expect([...(lane?.inOrder() ?? [])].map((ready) => ready.key)).toEqual(["late", "first"]);
  });
});

describe("lineage", () => {
  test("an output that is lost and still needed is made again", () => {
    const story = Story.of([task("a"), task("b", ["a"])]);
    story.run("a");
    story.miss("b");
    expect(story.tell({ kind: "output-lost", key: "a", reason: "blob.corrupt" })).toEqual([
      { kind: "resolve", key: "a", round: 2 },
    ]);
    expect(story.machine.ready.size).toBe(0);
    story.miss("a");
    story.start("a");
    expect(story.finish("a").at(-1)).toEqual({ kind: "resolve", key: "b", round: 2 });
    story.hit("b");
    expect(story.machine.status).toEqual({ execution: "finished", result: "succeeded" });
  });

  test("an output that nobody needs any more stays lost", () => {
    const story = Story.of([task("a"), task("b", ["a"]), task("c")]);
    story.run("a");
    story.run("b");
    expect(story.tell({ kind: "output-lost", key: "a", reason: "gone" })).toEqual([]);
    expect(story.stateOf("a")).toBe("finished succeeded executed");
  });

  test("a running task goes on while its input is made again, and waits for it only if it is lost itself", () => {
    const story = Story.of([task("a"), task("b", ["a"])]);
    story.run("a");
    story.miss("b");
    story.start("b");
    story.tell({ kind: "output-lost", key: "a", reason: "gone" });
    expect(story.lose("b")).toEqual([]);
    expect(story.machine.task("b")?.phase).toBe("waiting");
    expect(story.hit("a").at(-1)).toEqual({ kind: "resolve", key: "b", round: 2 });
  });

  test("a task that fails when it is made again skips those that wait, not those that have run", () => {
    const story = Story.of([task("a"), task("b", ["a"]), task("c", ["a"])]);
    story.run("a");
    story.run("b");
    story.tell({ kind: "output-lost", key: "a", reason: "gone" });
    story.run("a", FAILED);
    expect([story.stateOf("b"), story.stateOf("c")]).toEqual(["finished succeeded executed", "skipped"]);
    expect(story.machine.status).toEqual({ execution: "finished", result: "failed" });
  });

  test("an output is made again a bounded number of times", () => {
    const story = Story.of([task("a"), task("b", ["a"])]);
    story.run("a");
    for (let time = 0; time < 4; time++) {
      story.tell({ kind: "output-lost", key: "a", reason: "gone" });
      if (time < 3) story.run("a");
    }
    expect([story.stateOf("a"), story.stateOf("b")]).toEqual(["aborted failed lost", "skipped"]);
  });
});

test("outstanding() names all that must be under way", () => {
  const story = Story.of([
    task("resolving"),
    task("ready"),
    task("placed"),
    task("running"),
    task("waiting", ["ready"]),
  ]);
  for (const key of ["ready", "placed", "running"]) story.miss(key);
  story.start("running");
  story.tell({ kind: "task-placed", key: "placed", attempt: 1, node: "n", lease: "l" });
  expect(story.machine.outstanding()).toEqual([
    { kind: "resolve", key: "resolving", round: 1 },
    { kind: "place", key: "ready", attempt: 1 },
    { kind: "start", key: "placed", attempt: 1, lease: "l", node: "n" },
  ]);
  story.tell({ kind: "cancel-requested", by: "user" });
  expect(story.machine.outstanding().map((effect) => effect.kind)).toEqual(["cancel-task", "cancel-task"]);
});
