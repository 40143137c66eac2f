// The members of a roster as the membership machine takes them.

import type { PeerId } from "../base/ids.ts";
import type { Member } from "./membership-event.ts";
import type { PeerView } from "./peer-view.ts";
import type { Roster } from "./roster.ts";

/** All machines that have ever been members, by id, with what they are at that time (Unix). */
export function membersOf(roster: Roster, nowMs: number): readonly Member[] {
  return roster.members(nowMs).flatMap(({ id, verdict }): readonly Member[] => {
    switch (verdict.kind) {
      case "unknown":
        return [];
      case "member":
        return [{ id, name: verdict.name, roles: verdict.roles, verdict: "member" }];
      case "expired":
      case "revoked":
        return [{ id, name: verdict.name, roles: [], verdict: verdict.kind }];
    }
  });
}

/** When a machine's grant ends by itself (Unix), as a view has it. */
export function termOf(roster: Roster, peer: PeerId, nowMs: number): Pick<PeerView, "memberUntilMs"> {
  const verdict = roster.verdict(peer, nowMs);
  if (verdict.kind === "expired") return { memberUntilMs: verdict.expiredAtMs };
  return verdict.kind === "member" && verdict.expiresAtMs !== null ? { memberUntilMs: verdict.expiresAtMs } : {};
}
