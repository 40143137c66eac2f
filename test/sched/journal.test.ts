import { expect, test } from "bun:test";
import { makeAsk } from "../../src/sched/ask.ts";
import { checkedEvent, replay } from "../../src/sched/journal.ts";
import type { RunEvent } from "../../src/sched/run-event.ts";
import { both, evaluateAfter, FAILED, HEADER, state, Story, task } from "../fake/sched-story.ts";

const EVENTS: readonly RunEvent[] = [
  {
    kind: "run-started",
    atMs: 1,
    run: { ...HEADER, init: { a: "b" } },
    options: { failFast: true },
    tasks: [
      task("a"),
      task("b", ["a"], { after: { tasks: ["a"], condition: both("&&", state("a", "failed"), state("a", "skipped")) } }),
    ],
  },
  { kind: "tasks-added", atMs: 1, by: "a", tasks: [task("c")] },
  { kind: "task-resolved", atMs: 1, key: "a", round: 1, outcome: { kind: "hit", cacheKey: "k", hitFrom: "r" } },
  {
    kind: "task-resolved",
    atMs: 1,
    key: "a",
    round: 1,
    outcome: { kind: "miss", cacheKey: "k", ask: makeAsk({ labels: ["x"] }), shared: false },
  },
  { kind: "task-resolved", atMs: 1, key: "a", round: 1, outcome: { kind: "skip" } },
  {
    kind: "task-refused",
    atMs: 1,
    key: "a",
    round: 1,
    refusal: { code: "capacity.none-fits", message: "m", line: null },
  },
  { kind: "task-deferred", atMs: 1, key: "a", round: 1, elsewhere: "r" },
  { kind: "task-undeferred", atMs: 1, key: "a", round: 1 },
  { kind: "task-placed", atMs: 1, key: "a", attempt: 1, lease: "l", node: "n" },
  { kind: "task-returned", atMs: 1, key: "a", attempt: 1, lease: "l" },
  { kind: "task-started", atMs: 1, key: "a", attempt: 1, lease: "l" },
  {
    kind: "task-finished",
    atMs: 1,
    key: "a",
    attempt: 1,
    lease: "l",
    outcome: { ...FAILED, reason: "out-of-memory", used: { cpuMs: 1, memoryBytesMax: null } },
  },
  { kind: "task-lost", atMs: 1, key: "a", attempt: 1, lease: "l", reason: "gone" },
  { kind: "output-lost", atMs: 1, key: "a", reason: "gone" },
  { kind: "cancel-requested", atMs: 1, by: "user" },
];

/** An event after its way through a file. */
function kept(event: RunEvent): unknown {
  return JSON.parse(JSON.stringify(event));
}

test("checkedEvent() takes every kind, as JSON keeps it", () => {
  for (const event of EVENTS) expect(checkedEvent(kept(event))).toEqual(event);
});

test("checkedEvent() refuses an event with any field missing or of another type", () => {
  for (const event of EVENTS) {
    for (const field of Object.keys(event)) {
      const { [field]: _left, ...rest } = event as unknown as Record<string, unknown>;
      expect(() => checkedEvent(rest)).toThrow("Cannot read the journal entry");
      expect(() => checkedEvent({ ...event, [field]: [null] })).toThrow("Cannot read the journal entry");
    }
  }
});

test("checkedEvent() says what is wrong and where", () => {
  const wrong = (event: unknown) => () => checkedEvent(event);
  expect(wrong({ kind: "party", atMs: 1 })).toThrow('event.kind: unknown "party"');
  expect(wrong({ kind: "__proto__" })).toThrow("event.kind: unknown");
  expect(wrong(null)).toThrow("event: expected an object");
  expect(wrong({ ...EVENTS[8], attempt: -1 })).toThrow("event.attempt: expected an integer that is not negative");
  expect(wrong({ ...EVENTS[3], outcome: { kind: "miss", cacheKey: "k", shared: true, ask: {} } })).toThrow(
    "event.outcome.ask.cpuMilli",
  );
  expect(
    wrong({
      ...EVENTS[0],
      tasks: [task("a"), { ...task("b"), after: { tasks: [], condition: { kind: "name", name: "x" } } }],
    }),
  ).toThrow("(entry 1)");
});

test("replay() rebuilds the state, and what is outstanding", () => {
  const story = Story.of([task("a"), task("b", ["a"]), task("c")]);
  story.run("a");
  story.miss("c");
  story.start("c");
  const copy = replay(story.journal.map(kept).map(checkedEvent), evaluateAfter);
  expect([...copy.tasks]).toEqual([...story.machine.tasks]);
  expect(copy.outstanding()).toEqual([{ kind: "resolve", key: "b", round: 1 }]);
});

test("replay() refuses events that cannot be those of one run", () => {
  const start: RunEvent = {
    kind: "run-started",
    atMs: 0,
    run: HEADER,
    options: { failFast: false },
    tasks: [task("a")],
  };
  const stray: RunEvent = { kind: "output-lost", atMs: 0, key: "zz", reason: "" };
  expect(() => replay([stray], evaluateAfter)).toThrow('entry 1 is "output-lost"');
  expect(() => replay([start, start], evaluateAfter)).toThrow('entry 2 is "run-started"');
  expect(() => replay([start, stray], evaluateAfter)).toThrow("Cannot replay entry 2 of the journal (output-lost)");
  expect(() => replay([{ ...start, tasks: [task("a", ["a"])] }], evaluateAfter)).toThrow("Cannot replay entry 1");
});
