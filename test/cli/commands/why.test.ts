import { describe, expect, test } from "bun:test";
import { FakeArchive } from "../fake/archive.ts";
import { fakeContext, runCommand } from "../fake/context.ts";
import { RUN_ID, STATUS, runJson, taskJson } from "../fake/run-json.ts";

const OLDER = "01ja0000000000000r";

function twoRuns(): FakeArchive {
  const outputs = { values: { version: "1.2" }, artifacts: [], links: {}, testResults: [], problems: [] };
  return new FakeArchive([
    runJson([
      taskJson("lint", STATUS.hit),
      taskJson("build", STATUS.succeeded, { outputs }),
      taskJson("test", STATUS.failed, { exitCode: 2 }),
    ]),
    runJson([taskJson("old", STATUS.succeeded)], { id: OLDER }),
  ]);
}

describe("mesh why", () => {
  const common = {
    task: "build",
    run: RUN_ID,
    cacheKey: "sha256:1",
    status: STATUS.succeeded,
    cacheHitFrom: null,
    partsKept: true,
  };

  async function why(answer: object): Promise<string> {
    const archive = twoRuns();
    archive.whyAnswer = { ...common, nearest: null, differences: [], ...answer };
    return (await runCommand(fakeContext({ archive }), "why", "build")).out;
  }

  test("names what differs, part by part and file by file", async () => {
    const differences = [
      { kind: "env", change: "changed", name: "CI", before: "1", after: "2" },
      { kind: "file", change: "added", path: "src/a.ts" },
    ];
    const nearest = { cacheKey: "sha256:0", run: OLDER, at: "2026-01-01T00:00:00.000Z" };
    expect((await why({ nearest, differences })).split("\n")).toEqual([
      "build ran because its key differs from the nearest earlier result (run 01ja000000, 5 minutes ago):",
      '  ~ env CI differs: "1" -> "2"',
      "  + input file src/a.ts added",
      "",
    ]);
  });

  test("has a word for every other case", async () => {
    expect(await why({})).toBe("build ran because there was no earlier result of it.\n");
    expect(await why({ partsKept: false })).toStartWith("build left no result");
    expect(await why({ status: STATUS.hit, cacheHitFrom: OLDER })).toStartWith(
      "build came from the cache: run 01ja000000 made the same key.",
    );
    expect(await why({ status: STATUS.skipped, cacheKey: null })).toStartWith(
      "build has no cache key: it was skipped before one was made.",
    );
  });
});
