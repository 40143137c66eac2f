// HEFT (Topcuoglu, Hariri and Wu, 2002), which plans a whole workflow ahead and knows how long everything takes: what online
// placing is measured against.

import { ranks, type Workflow } from "./workflow.ts";

interface Slot {
  readonly from: number;
  readonly to: number;
}

/** Makespan in seconds on machines of these speeds, one task at a time on each. Moving data costs nothing. */
export function heftMakespan(workflow: Workflow, speeds: readonly number[]): number {
  const meanPace = speeds.reduce((sum, speed) => sum + 1 / speed, 0) / speeds.length;
  const rank = ranks(workflow, meanPace);
  const order = [...workflow.tasks.keys()].sort((a, b) => (rank[b] ?? 0) - (rank[a] ?? 0) || a - b);
  const ends = workflow.tasks.map(() => 0);
  const busy: Slot[][] = speeds.map(() => []);
  for (const at of order) {
    const task = workflow.tasks[at];
    if (task === undefined) continue;
    const readyAt = task.parents.reduce((latest, parent) => Math.max(latest, ends[parent] ?? 0), 0);
    let best: (Slot & { readonly machine: number }) | null = null;
    speeds.forEach((speed, machine) => {
      const seconds = task.seconds / speed;
      const from = firstGap(busy[machine] ?? [], readyAt, seconds);
      if (best === null || from + seconds < best.to) best = { from, to: from + seconds, machine };
    });
    const chosen = best as (Slot & { readonly machine: number }) | null;
    if (chosen === null) continue;
    busy[chosen.machine]?.push(chosen);
    busy[chosen.machine]?.sort((a, b) => a.from - b.from);
    ends[at] = chosen.to;
  }
  return Math.max(0, ...ends);
}

/** The earliest start at which a machine is free for so long. */
function firstGap(busy: readonly Slot[], readyAt: number, seconds: number): number {
  let from = readyAt;
  for (const slot of busy) {
    if (from + seconds <= slot.from) break;
    from = Math.max(from, slot.to);
  }
  return from;
}
