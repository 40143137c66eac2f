import { describe, expect, test } from "bun:test";
import { type Ability, abilityLines } from "../../../src/cli/commands/doctor.ts";
import { makeStyle } from "../../../src/cli/text/style.ts";
import { FakeArchive } from "../fake/archive.ts";
import { NOW_MS, fakeContext, runCommand } from "../fake/context.ts";

describe("mesh cache", () => {
  test("stats shows counts and sizes", async () => {
    const said = await runCommand(fakeContext(), "cache");
    expect(said.out.split("\n")).toEqual([
      "         COUNT   SIZE",
      "results  1,200",
      "runs         3",
      "layers       2  2 KiB",
      "blobs        0    0 B",
      "index           4 KiB",
      "in all          6 KiB",
      "",
      "in /m",
      "",
    ]);
  });

  test("ls shows results with what is not known left out", async () => {
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

  test("prune reads sizes and times, and refuses what is neither", async () => {
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

  test("verify exits with 5 when something is damaged", async () => {
    const archive = new FakeArchive([]);
    expect(await runCommand(fakeContext({ archive }), "cache", "verify")).toMatchObject({
      code: 0,
      out: "✓ Everything in the cache matches its hashes.\n",
    });
    archive.damages = [{ kind: "blob", name: "sha256:1", problem: "its bytes have another digest" }];
    const said = await runCommand(fakeContext({ archive }), "cache", "verify");
    expect([said.code, said.out.split("\n")[0]]).toEqual([5, "✗ blob sha256:1: its bytes have another digest"]);
  });
});

test("abilityLines() puts the remedy below what is missing", () => {
  const ability = (title: string, holds: boolean, more: Partial<Ability> = {}): Ability => ({
    name: title,
    title,
    holds,
    required: false,
    detail: "found",
    remedy: "do this",
    ...more,
  });
  const abilities = [
    ability("git", true),
    ability("nat", false),
    ability("user namespaces", false, { required: true, detail: "EPERM", remedy: "line 1\nline 2" }),
  ];
  expect(abilityLines(abilities, false, makeStyle(false))).toEqual([
    "✓ git              found",
    "- nat              found",
    "                   do this",
    "✗ user namespaces  EPERM",
    "                   line 1",
    "                   line 2",
    "",
    "✗ Tasks cannot be isolated here. `mesh run --isolation process` runs them without any isolation.",
  ]);
});

test("mesh version --json says what a bug report needs", async () => {
  const said = await runCommand(fakeContext(), "version", "--json");
  expect(Object.keys(JSON.parse(said.out) as object)).toEqual(["version", "commit", "runtime", "os", "arch"]);
});
