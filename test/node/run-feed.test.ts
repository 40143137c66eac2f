import { describe, expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import { LIMITS } from "../../src/base/limits.ts";
import { type FeedMessage, RunFeed } from "../../src/node/run-feed.ts";
import type { RunEvent } from "../../src/sched/run-event.ts";

const HEADER = { id: "0000000001aaaaaaaa", title: "t", definition: "d", init: {}, targets: [], coordinator: "desk" };
const STARTED: RunEvent = { kind: "run-started", atMs: 1, run: HEADER, options: { failFast: false }, tasks: [] };
const FAILED = new MeshError("io.failed", "the disk is gone");

async function rest(feed: AsyncIterable<FeedMessage>): Promise<readonly FeedMessage[]> {
  const seen: FeedMessage[] = [];
  for await (const message of feed) seen.push(message);
  return seen;
}

const kindsOf = (messages: readonly FeedMessage[]) => messages.map(({ kind }) => kind);

describe("RunFeed", () => {
  test("tells all of it, in order, to those who were there before", async () => {
    const feed = new RunFeed();
    const reader = feed.read();
    feed.event(STARTED);
    feed.output("a", "stdout", Buffer.from("x"));
    feed.notice("info", "n");
    feed.fail(FAILED);
    expect(await rest(reader)).toEqual([
      { kind: "event", event: STARTED },
      { kind: "output", task: "a", stream: "stdout", base64: "eA==" },
      { kind: "notice", level: "info", text: "n" },
      { kind: "failed", error: FAILED.toJSON() },
    ]);
  });

  test("tells those who come late, and those who come when it is over, all but the output", async () => {
    const feed = new RunFeed();
    feed.event(STARTED);
    feed.output("a", "stdout", Buffer.from("x"));
    const late = feed.read();
    feed.output("a", "stdout", Buffer.from("y"));
    feed.fail(FAILED);
    expect(kindsOf(await rest(late))).toEqual(["event", "output", "failed"]);
    expect(kindsOf(await rest(feed.read()))).toEqual(["event", "failed"]);
  });

  test("skips output for a reader that does not read, with its size, and never an event", async () => {
    const feed = new RunFeed();
    const reader = feed.read();
    const quarter = new Uint8Array(LIMITS.feedOutputBytes / 4);
    for (let piece = 0; piece < 6; piece++) feed.output("a", "stdout", quarter);
    feed.event(STARTED);
    feed.fail(FAILED);
    const seen = await rest(reader);
    expect(kindsOf(seen)).toEqual(["output", "output", "output", "output", "skipped", "event", "failed"]);
    expect(seen[4]).toEqual({ kind: "skipped", bytes: quarter.length * 2 });
  });

  test("a reader that leaves while it waits is let go at once, and holds nothing", async () => {
    const feed = new RunFeed();
    const stop = new AbortController();
    const [aborted, returned] = [feed.read(stop.signal), feed.read()];
    const waiting = [aborted.next(), returned.next()];
    stop.abort();
    await returned.return?.();
    expect((await Promise.all(waiting)).map(({ done }) => done)).toEqual([true, true]);
    feed.event(STARTED);
    expect((await aborted.next()).done).toBe(true);
    expect((await feed.read(stop.signal).next()).done).toBe(true);
  });

  test("says that a run which failed at once never began", async () => {
    const feed = new RunFeed();
    feed.fail(FAILED);
    const error = await feed.started.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "run.not-found" });
  });
});
