import { describe, expect, test } from "bun:test";
import { LIMITS } from "../../src/base/limits.ts";
import { keptRuns, takeUp } from "../../src/node/kept-runs.ts";
import type { RunSummary } from "../../src/node/run-record.ts";
import { Store } from "../../src/store/io/store.ts";
import { SUBMISSION } from "../fake/node-runs.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temporary.ts";

const ID = "01m8a0mxqk0jxg4mj2";
const ATTEMPT = { key: "slow", attempt: 1, lease: "l1" } as const;

/** A store with one run that a node drove, whose only task was running. */
function storeWithRun(folder: TemporaryFolder): Store {
  const store = Store.open(folder.join("home"));
  const { runs } = store;
  const node = {
    key: "slow",
    type: "command",
    needs: [],
    after: { tasks: [], condition: null },
    expectedMs: null,
    retries: 0,
  };
  const header = { id: ID, title: "t", definition: "/p/tasks.yml", init: {}, targets: [], coordinator: "here" };
  const text = "base: { image: host }\ntasks:\n  - { key: slow, run: slow }\n";
  runs.create({ id: ID, title: "t", definition: "/p/tasks.yml" }, 0);
  runs.append(ID, [
    { kind: "options", options: { ...SUBMISSION, path: "/p/tasks.yml" } },
    { kind: "basis", basis: { isKept: true, text, init: {}, event: {} } },
    {
      kind: "event",
      event: { kind: "run-started", atMs: 0, run: header, options: { failFast: false }, tasks: [node] },
    },
  ]);
  runs.release(ID);
  return store;
}

/** Takes the run up as often as given, a minute apart; its node ends at once each time. */
async function takeUpOften(store: Store, times: number, apartMs = 60_000): Promise<number> {
  let atMs = 0;
  for (let at = 0; at < times; at++) {
    expect(keptRuns(store.runs, (atMs += apartMs))).toEqual([ID]);
    await takeUp(ID, store.runs, atMs);
    store.runs.release(ID);
  }
  return atMs;
}

describe("keptRuns()", () => {
  test("gives up a run that has ended its node as often as is borne, and shows it as failed", async () => {
    using folder = temporaryFolder();
    using store = storeWithRun(folder);
    const atMs = await takeUpOften(store, LIMITS.runTakeUps);
    expect(keptRuns(store.runs, atMs + 1)).toEqual([]);
    const stored = store.runs.get(ID);
    const run = (stored?.summary as RunSummary | undefined)?.run;
    expect([stored?.state, run?.status]).toEqual(["finished", { execution: "aborted", result: "failed" }]);
    expect(run?.tasks[0]?.messages[0]?.text).toContain("Given up: the node ended at least 8 times in a row");
    expect(keptRuns(store.runs, atMs + LIMITS.runTakeUpGapMs)).toEqual([]);
  });

  test("goes on with one that is taken up now and then", async () => {
    using folder = temporaryFolder();
    using store = storeWithRun(folder);
    await takeUpOften(store, LIMITS.runTakeUps * 2, LIMITS.runTakeUpGapMs);
  });

  test("goes on with one whose machine is switched off and on often in a short time", async () => {
    using folder = temporaryFolder();
    using store = storeWithRun(folder);
    await takeUpOften(store, LIMITS.runTakeUps * 2, 2_000);
  });

  test("goes on with one of which a task ends between", async () => {
    using folder = temporaryFolder();
    using store = storeWithRun(folder);
    await takeUpOften(store, LIMITS.runTakeUps - 1);
    const outcome = {
      result: "failed",
      exitCode: 1,
      signal: null,
      reason: null,
      durationMs: 1,
      used: null,
      message: null,
    };
    store.runs.append(ID, [{ kind: "event", event: { kind: "task-finished", ...ATTEMPT, atMs: 1, outcome } }]);
    await takeUpOften(store, LIMITS.runTakeUps - 1);
  });
});
