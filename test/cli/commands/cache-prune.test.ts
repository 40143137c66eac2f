import { expect, test } from "bun:test";
import { FakeArchive } from "../fake/archive.ts";
import { fakeContext, runCommand } from "../fake/context.ts";

test("mesh cache prune reads sizes and times, and refuses what is neither", async () => {
  const archive = new FakeArchive([]);
  const said = await runCommand(
    fakeContext({ archive }),
    "cache",
    "prune",
    "--to",
    "10gb",
    "--older-than",
    "30d",
    "--dry-run",
  );
  expect(archive.pruneOptions).toEqual({ toBytes: 10 * 2 ** 30, olderThanMs: 30 * 86_400_000, dryRun: true });
  expect(said.out).toBe("Would remove 2 results, 1 layer and 0 blobs: 1 KiB. 0 B would remain.\n");
  expect((await runCommand(fakeContext(), "cache", "prune", "--to", "much")).error?.code).toBe("usage.invalid");
  expect((await runCommand(fakeContext(), "cache", "prune", "--corrupt", "--dry-run")).error?.code).toBe(
    "usage.invalid",
  );
});
