import { describe, expect, test } from "bun:test";
import { digestOf, hexOf } from "../../src/base/digest.ts";
import type { RunId } from "../../src/base/ids.ts";
import { type RunScope, cliEvent, taskScope } from "../../src/node/scope.ts";
import type { Artifact } from "../../src/store/result.ts";

const ARTIFACT: Artifact = { key: "out", digest: digestOf("x"), kind: "file", name: "app", sizeBytes: 1, mode: 0o644 };
const PATHS = { artifactFolder: (hex: string) => `/in/${hex.slice(0, 4)}`, runDirectory: "/run-dir" };
const RUN: RunScope = {
  runId: "r1" as RunId,
  init: { a: "1" },
  title: "t",
  event: { git: { sha: "s" } },
  outputsOf: (task) =>
    task === "made"
      ? { values: { v: "7" }, artifacts: [ARTIFACT], id: "r0.made", key: "made", url: "mesh:run/r0/made" }
      : null,
};
const scoped = () => taskScope(RUN, { key: "k", id: "r1.k", attempt: 2, references: ["made", "skipped"] }, PATHS);

describe("taskScope()", () => {
  test("taskScope() gives the contexts, and of tasks only those that are named and have succeeded", () => {
    const { scope } = scoped();
    expect(scope).toMatchObject({
      init: { a: "1" },
      task: { id: "r1.k", key: "k", "attempt-number": 2 },
      event: { git: { sha: "s" } },
    });
    expect(Object.keys(scope["tasks"] as object)).toEqual(["made"]);
    expect((scope["tasks"] as { made: { values: unknown } }).made.values).toEqual({ v: "7" });
  });

  test("taskScope() notes what was read of artifacts and of the run's folder, and nothing before", () => {
    const { scope, reads } = scoped();
    expect([reads.artifacts.size, reads.runDirectory]).toEqual([0, false]);
    const { artifacts } = (scope["tasks"] as { made: { artifacts: Record<string, string> } }).made;
    expect(artifacts["out"]).toBe(`/in/${hexOf(ARTIFACT.digest).slice(0, 4)}/app`);
    expect((scope["run"] as { dir: string }).dir).toBe("/run-dir");
    expect([...reads.artifacts.values()].map(({ artifact }) => artifact)).toEqual([ARTIFACT]);
    expect(reads.runDirectory).toBe(true);
  });
});

describe("cliEvent()", () => {
  const gitOf = (ref: string | null) => (cliEvent(() => ({ sha: "abc", ref })) as { git: Record<string, string> }).git;

  test("cliEvent() names branch and tag by their refs", () => {
    expect({ ...gitOf("refs/heads/a/b") }).toEqual({ sha: "abc", ref: "refs/heads/a/b", branch: "a/b", tag: "" });
    expect({ ...gitOf("refs/tags/v1") }).toMatchObject({ branch: "", tag: "v1" });
    expect({ ...gitOf(null) }).toEqual({ sha: "abc", ref: "", branch: "", tag: "" });
  });

  test("cliEvent() reads the head once, and only when it is asked for", () => {
    let reads = 0;
    const { git } = cliEvent(() => {
      reads++;
      return null;
    }) as { git: Record<string, string> };
    expect(reads).toBe(0);
    expect([git["sha"], git["branch"], reads]).toEqual(["", "", 1]);
  });
});
