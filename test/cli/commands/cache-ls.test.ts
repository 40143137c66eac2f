import { expect, test } from "bun:test";
import { FakeArchive } from "../fake/archive.ts";
import { NOW_MS, fakeContext, runCommand } from "../fake/context.ts";

test("mesh cache ls shows results with what is not known left out", async () => {
  const archive = new FakeArchive([]);
  const common = {
    cacheKey: `sha256:${"ab".repeat(32)}`,
    task: "build",
    definition: "/p/tasks.yml",
    run: "01jb0000000000000r",
    madeAtMs: NOW_MS,
    usedAtMs: NOW_MS,
  };
  archive.entries = [
    { ...common, durationMs: 1_500, sizeBytes: 2_048 },
    { ...common, task: "old", durationMs: null, sizeBytes: null },
  ];
  expect((await runCommand(fakeContext({ archive }), "cache", "ls")).out.split("\n").slice(1)).toEqual([
    "abababababab  build  01jb000000  1.5 s  2 KiB  just now",
    "abababababab  old    01jb000000                just now",
    "",
  ]);
});
