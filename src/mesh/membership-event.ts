// What the membership machine is told and what it wants done. Types only.

import type { PeerId } from "../base/ids.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { Address, FoundBy, PeerView } from "./peer-view.ts";
import type { Role } from "./roles.ts";

/** An attempt to open one, numbered by the machine. */
export type DialId = number;

/** What the roster says of a machine. */
export interface Member {
  readonly id: PeerId;
  /** Unique in the mesh. */
  readonly name: string;
  readonly roles: readonly Role[];
  readonly verdict: "member" | "revoked" | "expired";
}

export type MembershipEvent =
  /** Time has passed: at the latest when `wakeAtMs` said. */
  | { readonly kind: "tick" }
  /** What this machine says of itself changed in a way that others should know before the next heartbeat is due. */
  | { readonly kind: "urgent" }
  /** The roster as it is from now on, this machine included. */
  | { readonly kind: "roster"; readonly members: readonly Member[]; readonly digest: string }
  | { readonly kind: "found"; readonly peer: PeerId; readonly addresses: readonly Address[]; readonly by: FoundBy }
  /** A multicast announcement said so. */
  | {
      readonly kind: "sighted";
      readonly peer: PeerId;
      readonly instance: string;
      readonly addresses: readonly Address[];
    }
  | { readonly kind: "dial-failed"; readonly dial: DialId; readonly reason: string }
  /**
   * The machine can be called, over the one connection for control that the transport keeps. `dialled`: where it was reached; null
   * when it came by itself.
   */
  | {
      readonly kind: "linked";
      readonly peer: PeerId;
      readonly dialled: Address | null;
      /** The other end of the connection: the port is the one that it came from. */
      readonly remote: Address;
    }
  /** It cannot be called any more. */
  | { readonly kind: "lost"; readonly peer: PeerId; readonly reason: string }
  | { readonly kind: "heartbeat"; readonly peer: PeerId; readonly heartbeat: Heartbeat }
  | { readonly kind: "round-trip"; readonly peer: PeerId; readonly ms: number }
  /** This machine's interfaces changed: what could not be reached may be reachable. */
  | { readonly kind: "network-changed"; readonly own: readonly Address[] };

export type CloseReason = "not-a-member" | "revoked" | "silent" | "copied";

export type MembershipEffect =
  | { readonly kind: "dial"; readonly dial: DialId; readonly peer: PeerId; readonly address: Address }
  /** An attempt that no longer matters. Its end need not be told. */
  | { readonly kind: "cancel-dial"; readonly dial: DialId }
  /** Close all connections with it. That they are lost need not be told. */
  | { readonly kind: "close"; readonly peer: PeerId; readonly reason: CloseReason }
  /** The shell adds its snapshot. */
  | { readonly kind: "send-heartbeat"; readonly peer: PeerId; readonly heartbeat: Omit<Heartbeat, "snapshot"> }
  /** The other machine's roster is another one: exchange what is missing. */
  | { readonly kind: "sync-roster"; readonly peer: PeerId }
  | {
      readonly kind: "changed";
      readonly change: "up" | "snapshot" | "suspect" | "down" | "roster";
      readonly peer: PeerView;
    }
  /** Two machines have this identity at once; `peer` may be this one. Tell whoever of them is connected. */
  | { readonly kind: "copied"; readonly peer: PeerId };

/** All times in milliseconds. */
export interface Timing {
  readonly heartbeatMs: number;
  readonly suspectMs: number;
  readonly silentMs: number;
  readonly reconnectMs: number;
  readonly ownLagMs: number;
  readonly redialMs: number;
  readonly redialMaxMs: number;
  readonly dialHeadStartMs: number;
}
