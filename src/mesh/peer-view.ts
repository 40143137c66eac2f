// A machine of the mesh as this one sees it. Types only.

import type { PeerId } from "../base/ids.ts";
import type { NodeCapacity } from "../sched/fit.ts";
import type { Role } from "./roles.ts";

/** Where a machine listens. An IPv6 address has no brackets; a link-local one names its interface: "fe80::1%eth0". */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** How a machine came to be known, the most direct first. */
export type FoundBy = "mdns" | "given" | "incoming" | "peer" | "remembered";

export type PeerState =
  /** This machine. */
  | "self"
  /** Connected, and heard of lately. */
  | "up"
  /** Connected or just lost, and silent for longer than it should be. */
  | "suspect"
  /** A member that cannot be reached. */
  | "down"
  /** Its grant was taken back, or has expired. */
  | "revoked";

export interface PeerView {
  readonly id: PeerId;
  /** Unique in the mesh: it stands in the machine's grant. Scheduling and people know the machine by it. */
  readonly name: string;
  readonly roles: readonly Role[];
  readonly state: PeerState;
  /** Why it is not up, for people: "no route to 10.0.0.7:7433", "silent for 4.2 s"; null when it is up. */
  readonly reason: string | null;
  /** Newest first. */
  readonly addresses: readonly Address[];
  readonly foundBy: FoundBy | null;
  /** Smoothed round trip; null when not connected. */
  readonly latencyMs: number | null;
  readonly version: string | null;
  /** Unix time at which its grant ends by itself; absent when it does not. */
  readonly memberUntilMs?: number;
  /** Unix time; null when never. */
  readonly lastSeenAtMs: number | null;
  /** What it last said of itself; null when it never did. At most one heartbeat (1 s) old while it is up. */
  readonly snapshot: NodeSnapshot | null;
}

/** What a machine says of itself with every heartbeat. */
export interface NodeSnapshot {
  /** `name` is that of the grant. What is free is a hint: the machine's own ledger has the last word. */
  readonly capacity: NodeCapacity;
  readonly gpuModels: readonly { readonly index: number; readonly model: string; readonly memoryBytes: number }[];
  /** Busy share of all CPUs over the last second, in percent. */
  readonly cpuPercent: number;
  readonly runningTasks: number;
  readonly blobs: { readonly count: number; readonly bytes: number };
  /** Takes no more tasks; those that run may end. */
  readonly draining: boolean;
  /** Speed in percent of a plain machine; 100 where nothing is known. Integer > 0. */
  readonly speedPercent: number;
}
