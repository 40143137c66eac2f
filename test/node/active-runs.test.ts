import { describe, expect, test } from "bun:test";
import { LIMITS } from "../../src/base/limits.ts";
import { ActiveRuns } from "../../src/node/active-runs.ts";
import { FakeRuns, SUBMISSION } from "../fake/node-runs.ts";

const LONG_MS = 60_000;

async function endOf(feed: ReturnType<ActiveRuns["start"]>["feed"]): Promise<unknown> {
  let last: unknown = null;
  for await (const message of feed.read()) last = message;
  return last;
}

const ABORTED = { kind: "ended", outcome: { summary: { status: { execution: "aborted" } } } };

describe("ActiveRuns", () => {
  test("lists what runs, newest first, and forgets what is over, which can be watched for a while", async () => {
    const fake = new FakeRuns();
    const runs = new ActiveRuns(fake);
    const started = [runs.start(SUBMISSION), runs.start(SUBMISSION)];
    expect(runs.list().map(({ id }) => id)).toEqual(fake.runs.map(({ id }) => id).toReversed());
    fake.runs[0]?.end();
    await endOf(started[0]!.feed);
    await runs.close(0);
    expect(runs.list()).toEqual([]);
    expect(runs.feed(fake.runs[0]!.id)).toBe(started[0]!.feed);
    expect(runs.feed("zzz")).toBeNull();
  });

  test("cancels gracefully, then at once", () => {
    const fake = new FakeRuns({ stubborn: true });
    const runs = new ActiveRuns(fake);
    runs.start(SUBMISSION);
    const { id, request } = fake.runs[0]!;
    const aborted = () => [request.signal.aborted, request.killSignal.aborted];
    expect(runs.cancel(id, false)?.id).toBe(id);
    expect(aborted()).toEqual([true, false]);
    runs.cancel(id, false);
    expect(aborted()).toEqual([true, true]);
    expect(runs.cancel("zzz", true)).toBeNull();
  });

  test("refuses the start of an id that several runs have", () => {
    const runs = new ActiveRuns(new FakeRuns());
    runs.start(SUBMISSION);
    runs.start(SUBMISSION);
    expect(() => runs.cancel("0000", false)).toThrow("the start of 2 runs");
  });

  test("close() stops also a run that has not told its id, and starts none any more", async () => {
    const runs = new ActiveRuns(new FakeRuns({ begins: false }));
    const { feed } = runs.start(SUBMISSION);
    await runs.close(LONG_MS);
    expect(await endOf(feed)).toMatchObject(ABORTED);
    expect(() => runs.start(SUBMISSION)).toThrow("about to end");
  });

  test("close() kills what does not end within the grace period", async () => {
    const fake = new FakeRuns({ stubborn: true });
    const runs = new ActiveRuns(fake);
    const { feed } = runs.start(SUBMISSION);
    await runs.close(0);
    expect(fake.runs[0]?.request.killSignal.aborted).toBe(true);
    expect(await endOf(feed)).toMatchObject(ABORTED);
  });

  test("a failure of the machinery is the end of the feed, not a crash", async () => {
    const broken = () => Promise.reject(new TypeError("a bug"));
    const runs = new ActiveRuns({ run: broken, resumeRun: broken });
    expect(await endOf(runs.start(SUBMISSION).feed)).toMatchObject({ kind: "failed", error: { code: "node.failed" } });
  });

  test("keeps no more ended runs than its bound", async () => {
    const fake = new FakeRuns();
    const runs = new ActiveRuns(fake);
    for (let run = 0; run < LIMITS.endedRuns + 3; run++) {
      const { feed } = runs.start(SUBMISSION);
      fake.runs[run]?.end();
      await endOf(feed);
    }
    await runs.close(0);
    const watchable = fake.runs.filter(({ id }) => runs.feed(id) !== null && id.length === 18);
    expect(watchable.length).toBeLessThanOrEqual(LIMITS.endedRuns);
    expect(runs.feed(fake.runs.at(-1)!.id)).not.toBeNull();
  });
});
