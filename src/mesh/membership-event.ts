// What the membership machine is told and what it wants done. Types only.

import type { PeerId } from "../base/ids.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { Address, FoundBy, PeerView } from "./peer-view.ts";
import type { Role } from "./roles.ts";

/** A connection to another machine, numbered by the shell. */
export type LinkId = number;
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
  /** A connection stands whose other end has proved to be that machine. `dial`: the attempt it came of; null for incoming ones. */
  | {
      readonly kind: "linked";
      readonly link: LinkId;
      readonly peer: PeerId;
      readonly dial: DialId | null;
      /** The other end's address, with the port that it came from. */
      readonly remote: Address;
    }
  | { readonly kind: "link-closed"; readonly link: LinkId; readonly reason: string }
  | { readonly kind: "heartbeat"; readonly link: LinkId; readonly heartbeat: Heartbeat }
  /** The other machine has a heartbeat of this one. */
  | { readonly kind: "heard"; readonly link: LinkId; readonly sequence: number }
  /** This machine's interfaces changed: what could not be reached may be reachable. */
  | { readonly kind: "network-changed"; readonly own: readonly Address[] };

export type CloseReason = "duplicate" | "not-a-member" | "revoked" | "silent" | "copied";

export type MembershipEffect =
  | { readonly kind: "dial"; readonly dial: DialId; readonly peer: PeerId; readonly address: Address }
  /** An attempt that no longer matters. Its end need not be told. */
  | { readonly kind: "cancel-dial"; readonly dial: DialId }
  /** Calls to the machine go over this connection from now on. */
  | { readonly kind: "use-link"; readonly link: LinkId; readonly peer: PeerId }
  | { readonly kind: "close-link"; readonly link: LinkId; readonly reason: CloseReason }
  /** The shell adds its snapshot. */
  | { readonly kind: "send-heartbeat"; readonly link: LinkId; readonly heartbeat: Omit<Heartbeat, "snapshot"> }
  | { readonly kind: "send-heard"; readonly link: LinkId; readonly sequence: number }
  /** The other machine's roster is another one: exchange what is missing. */
  | { readonly kind: "sync-roster"; readonly peer: PeerId }
  | {
      readonly kind: "changed";
      readonly change: "up" | "snapshot" | "suspect" | "down" | "roster";
      readonly peer: PeerView;
    }
  /** Two machines have this identity at once; `peer` may be this one. */
  | { readonly kind: "copied"; readonly peer: PeerId; readonly links: readonly LinkId[] };

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
