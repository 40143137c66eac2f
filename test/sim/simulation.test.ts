import { expect, test } from "bun:test";
import { simulate } from "../../sim/simulation.ts";

/** Meshes take seconds on a machine that is busy with other tests. */
const TIMEOUT_MS = 120_000;
const SEEDS = Number(process.env["MESH_TEST_SEEDS"] ?? 40);

test(
  "simulate() ends every run of every mesh with all rules kept, whatever goes wrong",
  () => {
    const ends = new Map<string, number>();
    const fetched = new Set<string>();
    const sums = { shared: 0, resumed: 0, seconds: 0, lies: 0 };
    for (let seed = 1; seed <= SEEDS; seed++) {
      try {
        const report = simulate({ seed, nodes: null, tell: null });
        for (const end of report.ends) ends.set(end, (ends.get(end) ?? 0) + 1);
        for (const end of report.fetches.ends.keys()) fetched.add(end);
        for (const of of ["shared", "resumed", "seconds", "lies"] as const) sums[of] += report.fetches[of];
      } catch (cause) {
        throw new Error(`Seed ${seed}: ${String(cause)}`, { cause });
      }
    }
    // The meshes are worth simulating: runs end in every way there is.
    for (const end of ["aborted none", "finished failed", "finished succeeded"]) expect(ends.has(end)).toBe(true);
    for (const end of ["here", "missing", "full"]) expect(fetched.has(end)).toBe(true);
    expect(Object.entries(sums).filter(([, times]) => times === 0)).toEqual([]);
  },
  TIMEOUT_MS,
);

test("simulate() tells the same story for the same seed, and another one for another", () => {
  const story = (seed: number) => {
    const lines: string[] = [];
    simulate({ seed, nodes: 4, tell: (line) => lines.push(line) });
    return lines.join("\n");
  };
  expect(story(3)).toBe(story(3));
  expect(story(3)).not.toBe(story(4));
});

test(
  "simulate() holds a mesh of a hundred machines together",
  () => {
    const report = simulate({ seed: 5, nodes: 100, tell: null });
    expect(report.nodes).toBe(100);
    expect(report.performed).toBeGreaterThan(50);
  },
  TIMEOUT_MS,
);
