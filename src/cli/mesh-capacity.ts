// The machines that a task could go to, as commands that explain look at them: those of the mesh that are up, or this one alone.

import { MeshError } from "../base/errors.ts";
import type { NodeCapacity } from "../sched/fit.ts";
import type { CommandContext } from "./context.ts";

/** By name; never empty. A mesh that cannot be asked at the moment leaves this machine, as it is when idle. */
export async function machinesToAsk(context: CommandContext): Promise<readonly NodeCapacity[]> {
  const here = (await context.archive()).machine();
  if ((await (await context.seat()).membership()) === null) return [here];
  try {
    const peers = await (await context.service()).peers();
    const machines = peers.flatMap(({ state, name, roles, snapshot }) => {
      if (state === "self") return [snapshot?.capacity ?? { ...here, name }];
      const takesTasks = state === "up" && roles.includes("worker") && snapshot?.draining === false;
      return takesTasks ? [snapshot.capacity] : [];
    });
    return machines.length === 0 ? [here] : machines;
  } catch (error) {
    // another command of this home is the member at the moment
    if (error instanceof MeshError && error.code === "node.already-running") return [here];
    throw error;
  }
}
