import { expect, test } from "bun:test";
import { checkedEvent, replay } from "../../src/sched/journal.ts";
import { runJson } from "../../src/sched/summary.ts";
import { evaluateAfter } from "../fake/sched-story.ts";
import { SchedWorld } from "../fake/sched-world.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

const SEEDS = Number(process.env["MESH_TEST_SEEDS"] ?? 400);

test("RunMachine holds its invariants in every simulated world, and replays to the same state", () => {
  const ends = new Map<string, number>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const world = new SchedWorld(new SeededRandom(seed));
    try {
      world.run();
      const kept = JSON.parse(JSON.stringify(world.journal)) as readonly unknown[];
      const copy = replay(kept.map(checkedEvent), evaluateAfter);
      expect([...copy.tasks]).toEqual([...world.machine.tasks]);
      expect(runJson(copy)).toEqual(runJson(world.machine));
      const half = replay(world.journal.slice(0, Math.ceil(world.journal.length / 2)), evaluateAfter);
      const rest = world.journal.slice(Math.ceil(world.journal.length / 2)).flatMap((event) => half.step(event));
      expect(rest).toEqual(world.effects.slice(world.effects.length - rest.length));
      for (const { status } of copy.tasks) {
        const name = `${status.execution} ${status.finished ?? status.aborted ?? ""}`.trim();
        ends.set(name, (ends.get(name) ?? 0) + 1);
      }
    } catch (cause) {
      throw new Error(`Seed ${seed}: ${String(cause)}`, { cause });
    }
  }
  // The worlds are worth simulating: every way for a task to end occurs in them, but a rare one.
  const all = ["cancelled", "refused", "terminated"].map((how) => `aborted ${how}`);
  expect([...ends.keys()]).toEqual(
    expect.arrayContaining([...all, "finished cacheHit", "finished executed", "skipped"]) as string[],
  );
});
