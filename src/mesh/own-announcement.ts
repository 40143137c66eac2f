// What this machine announces of itself, out of what it knows of itself.

import { type PeerId, shortPeer } from "../base/ids.ts";
import type { Amounts } from "../sched/fit.ts";
import { type AnnouncedAmounts, type Announcement, meshTag } from "./announcement.ts";
import type { MemberView } from "./methods.ts";
import type { NodeSnapshot } from "./peer-view.ts";

export interface OwnFacts {
  readonly mesh: string;
  readonly peer: PeerId;
  readonly instance: string;
  /** null when it is no member any more. */
  readonly member: MemberView | null;
  readonly version: string;
  readonly inviteOpen: boolean;
  /** null before the first. */
  readonly snapshot: NodeSnapshot | null;
}

export function ownAnnouncement({
  mesh,
  peer,
  instance,
  member,
  version,
  inviteOpen,
  snapshot,
}: OwnFacts): Announcement {
  const { total, free, gpus = [] } = snapshot?.capacity ?? {};
  return {
    meshTag: meshTag(mesh),
    peer,
    instance,
    name: member?.name ?? shortPeer(peer),
    roles: member?.roles ?? [],
    version,
    inviteOpen,
    total: announced(total, gpus.length),
    free: announced(free, gpus.filter(({ inUse }) => !inUse).length),
  };
}

function announced(amounts: Amounts | undefined, gpus: number): AnnouncedAmounts {
  return { cpuMilli: amounts?.cpuMilli ?? 0, memoryBytes: amounts?.memoryBytes ?? 0, gpus };
}
