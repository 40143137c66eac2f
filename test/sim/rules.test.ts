import { expect, test } from "bun:test";
import { Host } from "../../sim/host.ts";
import { Rules } from "../../sim/rules.ts";
import { World } from "../../sim/world.ts";
import { SUCCEEDED, Story, task } from "../fake/sched-story.ts";
import { peerNamed } from "../fake/claim-hub.ts";

/** A machine whose process has not started: it has no leases. */
function host(name: string): Host {
  const total = { cpuMilli: 1_000, memoryBytes: 0, diskBytes: 0 };
  const totals = { name, os: "linux", arch: "x64", labels: [], baseKeys: [], total, gpus: [] };
  return new Host({ id: peerNamed(name), totals, speedPercent: 100, lineBytesPerMs: 1 }, { rate: 1, wallOffMs: 0 });
}

function rules(): Rules {
  return new Rules(new World(1, null));
}

test("Rules sees an attempt that runs without a lease", () => {
  const act = () => rules().began(host("a"), { lease: "l", run: "r", key: "t", cacheKey: null });
  expect(act).toThrow("a runs 1 attempts under 0 leases");
});

test("Rules sees a key that runs twice at once, but not while the machines are divided", () => {
  const seen = rules();
  seen.checkRoom = () => undefined;
  seen.began(host("a"), { lease: "l1", run: "r1", key: "t", cacheKey: "k" });
  const again = { lease: "l2", run: "r2", key: "u", cacheKey: "k" };
  expect(() => seen.began(host("b"), again)).toThrow("r2.u runs k, which r1.t runs on a");
  seen.dividedUntilMs = 1;
  seen.began(host("b"), again);
  expect(seen.twice).toBe(2);
});

test("Rules sees a task that is committed or reported twice, and a run that ends twice", () => {
  const story = Story.of([task("t")]);
  story.run("t", SUCCEEDED);
  const done = story.machine.task("t");
  if (done === null) throw new Error("The story has no task");
  const seen = rules();
  seen.committed("r", done);
  expect(() => seen.committed("r", done)).toThrow("r.t is committed 2 times");
  seen.settled("r", done);
  expect(() => seen.settled("r", done)).toThrow("r.t is reported 2 times");
  seen.finished("r", "finished succeeded");
  expect(() => seen.finished("r", "finished failed")).toThrow("r ends twice: finished succeeded, finished failed");
  expect(() => seen.committed("r", { ...done, key: "u" })).toThrow("after its run ended");
});
