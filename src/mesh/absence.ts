// Why a member takes no tasks, in words for people.

import type { PeerView } from "./peer-view.ts";

/** "is down: silent for 4.2 s"; null for a machine that takes tasks. */
export function absenceOf({ state, reason, snapshot }: Pick<PeerView, "state" | "reason" | "snapshot">): string | null {
  if (state === "self") return null;
  if (state !== "up") return `is ${state}${reason === null ? "" : `: ${reason}`}`;
  return snapshot?.draining === true ? "takes no more tasks (`mesh drain --off` ends that)" : null;
}
