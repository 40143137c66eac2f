// Workflows made up from a seed, for where there are no traces: layers of tasks, few of them long.

import type { SeededRandom } from "../test/fake/seeded-random.ts";
import type { Workflow } from "./workflow.ts";

/** A workflow from seconds and parents. */
export function workflowOf(
  name: string,
  tasks: readonly (readonly [seconds: number, parents: readonly number[]])[],
): Workflow {
  return {
    name,
    tasks: tasks.map(([seconds, parents], at) => ({
      kind: "task",
      seconds,
      parents,
      children: tasks.flatMap(([, others], child) => (others.includes(at) ? [child] : [])),
    })),
  };
}

export function madeWorkflows(random: SeededRandom, count: number): readonly Workflow[] {
  return Array.from({ length: count }, (_, number) => {
    const tasks = Array.from({ length: 20 + random.below(100) }, (__, at) => {
      const first = Math.max(0, at - 12);
      const parents = at < 3 ? [] : Array.from({ length: 1 + random.below(3) }, () => first + random.below(at - first));
      return [1 + random.below(random.chance(0.1) ? 120 : 20), [...new Set(parents)]] as const;
    });
    return workflowOf(`made ${number}`, tasks);
  });
}
