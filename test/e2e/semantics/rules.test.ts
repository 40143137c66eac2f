// The rules of filters and of the cache, told by a definition whose tasks check themselves.

import { expect } from "bun:test";
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { testIf } from "../../support/require.ts";
import { finalRun, outcomes, Project } from "../harness.ts";

const NEEDS = ["linux", "binary", "user-namespaces", "overlay-in-user-namespace"] as const;
const RULES = new URL("../../fixtures/rules", import.meta.url).pathname;

/** Keys of what was executed in a run in which everything succeeded. */
async function executedIn(project: Project, ...args: readonly string[]): Promise<readonly string[]> {
  const run = finalRun(await project.mesh(["run", "tasks.yml", "--base", "host", "--json", ...args]));
  const all = Object.entries(outcomes(run));
  expect(all.filter(([, outcome]) => outcome !== "succeeded" && outcome !== "cacheHit")).toEqual([]);
  return all.filter(([, outcome]) => outcome !== "cacheHit").map(([key]) => key);
}

testIf(
  NEEDS,
  "the rules hold, and what runs again is what they say",
  async () => {
    using project = new Project();
    cpSync(RULES, project.directory, { recursive: true });
    // one of the twins waits for the other; filters that leave the same leave one key
    expect((await executedIn(project)).length).toBeGreaterThan(30);
    expect(await executedIn(project)).toEqual(["nocache"]);
    // its script holds the salt; what sees it without counting it is a hit
    expect(await executedIn(project, "--init", "salt=9")).toEqual(["excl-env", "nocache", "excl-filter-src"]);
    writeFileSync(join(project.directory, "data/b"), "three\n");
    expect(await executedIn(project, "--init", "salt=9")).toEqual(["rundir2", "nocache"]);
  },
  120_000,
);
