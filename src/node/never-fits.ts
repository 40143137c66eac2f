// Whether any machine could ever run a task, were it idle; and in words, why each could not.

import { MeshError } from "../base/errors.ts";
import type { Ask } from "../sched/ask.ts";
import { type NodeCapacity, describeReason, fits } from "../sched/fit.ts";

/** Most machines that a refusal names. */
const NAMED = 8;

/** A machine that the run cannot use now, and why. */
export interface Missing {
  readonly capacity: NodeCapacity;
  /** "is down: no route to 10.0.0.7:7433". */
  readonly why: string;
}

/**
 * The error `capacity.none-fits`, with what each machine lacks, nearest miss first, when the task asks for more than any of them
 * has in all; null when one fits.
 */
export function neverFits(
  ask: Ask,
  machines: readonly NodeCapacity[],
  missing: readonly Missing[] = [],
): MeshError | null {
  const misses: { readonly name: string; readonly count: number; readonly words: string }[] = [];
  for (const machine of machines) {
    const fit = fits(ask, idle(machine));
    if (fit.fits) return null;
    const words = `${machine.name} ${fit.reasons.map(describeReason).join("; ")}`;
    misses.push({ name: machine.name, count: fit.reasons.length, words });
  }
  misses.sort((a, b) => a.count - b.count || (a.name < b.name ? -1 : 1));
  const absent = missing.filter(({ capacity }) => fits(ask, idle(capacity)).fits);
  const said = [
    ...absent.map(({ capacity, why }) => `${capacity.name} would fit and ${why}`),
    ...misses.map(({ words }) => words),
  ];
  const rest = said.length > NAMED ? ` (and ${said.length - NAMED} more machines)` : "";
  const [first] = absent;
  return new MeshError(
    "capacity.none-fits",
    `No machine fits: ${said.length === 0 ? "none is allowed" : said.slice(0, NAMED).join(" / ")}${rest}`,
    first === undefined
      ? {}
      : {
          hint: `\`mesh nodes\` says why ${first.capacity.name} takes nothing now; \`mesh up\` there starts its node.`,
        },
  );
}

/** The machine as it is when nothing runs on it. */
function idle(machine: NodeCapacity): NodeCapacity {
  const gpus = machine.gpus.map((gpu) => ({ ...gpu, freeMemoryBytes: gpu.memoryBytes, inUse: false }));
  return { ...machine, free: machine.total, gpus };
}
