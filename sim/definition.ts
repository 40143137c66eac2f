// Random definitions for simulated runs: tasks that share cache keys with those of other runs, fail, and take their time.

import type { TaskNode } from "../src/sched/task-node.ts";
import { task } from "../test/fake/sched-story.ts";
import type { SeededRandom } from "../test/fake/seeded-random.ts";

/** What a task does when it runs; the same wherever and whenever it does. */
export interface TaskScript {
  /** Tasks with one recipe and the same inputs have one cache key. */
  readonly recipe: string;
  readonly workMs: number;
  readonly fails: boolean;
  readonly shared: boolean;
  readonly cpuMilli: number;
  readonly outputBytes: number;
}

export interface SimDefinition {
  readonly tasks: readonly TaskNode[];
  readonly scripts: ReadonlyMap<string, TaskScript>;
}

/** What all definitions of one world have in common. */
export interface Recipes {
  /** How many different tasks there are: few make many keys equal. */
  readonly count: number;
  /** Bytes of the smallest output that is not empty. */
  readonly outputBytes: number;
}

export function randomDefinition(random: SeededRandom, count: number, recipes: Recipes): SimDefinition {
  const scripts = new Map<string, TaskScript>();
  const tasks = Array.from({ length: count }, (_, index): TaskNode => {
    const key = `t${index}`;
    const script = scriptOf(random.below(recipes.count), recipes.outputBytes);
    scripts.set(key, script);
    const needs = Array.from({ length: index === 0 ? 0 : random.below(3) }, () => `t${random.below(index)}`);
    const expectedMs = random.chance(0.7) ? Math.round(script.workMs * (0.5 + random.next())) : null;
    return task(key, [...new Set(needs)], { expectedMs, retries: random.below(2) });
  });
  return { tasks, scripts };
}

/** What a recipe is depends on its number alone, so that all runs agree. */
function scriptOf(recipe: number, outputBytes: number): TaskScript {
  const mixed = Math.imul(recipe + 1, 0x9e3779b1) >>> 0;
  return {
    recipe: `recipe${recipe}`,
    workMs: 50 + (mixed % 4_000),
    fails: mixed % 41 === 0,
    shared: mixed % 7 !== 0,
    cpuMilli: 500 + 500 * (mixed % 4),
    outputBytes: (mixed % 5) * outputBytes,
  };
}
