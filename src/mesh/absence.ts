// Why a member takes no tasks, in words for people.

import { LIMITS } from "../base/limits.ts";
import { formatBytes } from "../base/units.ts";
import type { PeerView } from "./peer-view.ts";

/** "is down: silent for 4.2 s"; null for a machine that takes tasks. */
export function absenceOf({ state, reason, snapshot }: Pick<PeerView, "state" | "reason" | "snapshot">): string | null {
  if (state === "self") return null;
  if (state !== "up") return `is ${state}${reason === null ? "" : `: ${reason}`}`;
  if (snapshot === null) return null;
  if (snapshot.draining) return "takes no more tasks (`mesh drain --off` ends that)";
  const { diskBytes } = snapshot.capacity.free;
  return diskBytes < LIMITS.diskReserveBytes ? `has a full disk (${formatBytes(diskBytes)} free)` : null;
}
