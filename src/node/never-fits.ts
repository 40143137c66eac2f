// Whether a machine could ever run a task, were it idle.

import { MeshError } from "../base/errors.ts";
import type { Ask } from "../sched/ask.ts";
import { type NodeCapacity, describeReason, fits } from "../sched/fit.ts";

/** The error `capacity.none-fits` with all reasons when the task asks for more than the machine has in all; null when it fits. */
export function neverFits(ask: Ask, machine: NodeCapacity): MeshError | null {
  const gpus = machine.gpus.map((gpu) => ({ ...gpu, freeMemoryBytes: gpu.memoryBytes }));
  const fit = fits(ask, { ...machine, free: machine.total, gpus });
  if (fit.fits) return null;
  const reasons = fit.reasons.map(describeReason).join("; ");
  return new MeshError("capacity.none-fits", `No machine fits: ${machine.name} ${reasons}`);
}
