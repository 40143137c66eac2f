// The machines that a task could go to, as commands that explain look at them: all of the mesh, also those that are missing.

import { absenceOf } from "../mesh/absence.ts";
import type { PeerView } from "../mesh/peer-view.ts";
import type { Candidate } from "../sched/explain.ts";
import type { CommandContext } from "./context.ts";

/** Never empty. Where no node runs, the mesh cannot be asked: this machine alone, as it is when idle. */
export async function machinesToAsk(context: CommandContext): Promise<readonly Candidate[]> {
  const service = await (await context.keeper()).running();
  if (service === null) {
    const capacity = (await context.archive()).machine();
    return [{ node: capacity.name, capacity, absence: null }];
  }
  const peers = await service.peers();
  return peers.filter(({ state }) => state !== "revoked").map(candidateOf);
}

function candidateOf(view: PeerView): Candidate {
  const { name, state, roles, snapshot } = view;
  const capacity = snapshot === null ? null : { ...snapshot.capacity, name };
  if (state !== "self" && !roles.includes("worker"))
    return { node: name, capacity, absence: "takes no tasks of others: it only submits" };
  const absence = absenceOf(view);
  return { node: name, capacity, absence: capacity === null ? (absence ?? "has not said yet what it has") : absence };
}
