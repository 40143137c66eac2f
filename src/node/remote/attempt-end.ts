// Ends of attempts on other machines that are no ends of their tasks.

import { MeshError } from "../../base/errors.ts";
import type { TaskOutcome } from "../../sched/run-event.ts";

/** What a machine could not give to a task and another one may: its attempt is lost there. Null for an end that counts. */
export function lackIn({ reason, message }: TaskOutcome): string | null {
  if (reason === "context-failed") return message ?? "its context could not be made";
  return reason === "disk-full" ? (message ?? "its disk is full") : null;
}

/** This machine has no room for what a task left elsewhere: no fault of the task, nor of the machine that it ran on. */
export function noRoomFor(key: string, node: string, cause: MeshError): MeshError {
  return new MeshError("store.full", `Cannot take what ${key} left on ${node}: ${cause.message}`, {
    hint: "Free some space (`mesh cache prune`): the node goes on with the run when it starts again (`mesh down`, `mesh up`).",
    cause,
  });
}
