// This machine's part in its mesh while it is open, as the node uses it. Types only: src/mesh/io/mesh.ts opens one.

import type { Digest } from "../base/digest.ts";
import type { PeerId } from "../base/ids.ts";
import type { Address } from "../mesh/peer-view.ts";
import type { Peers } from "../mesh/peers.ts";
import type { Role } from "../mesh/roles.ts";
import type { Invite, InviteEnd } from "./node-service.ts";

export interface MeshConnection extends AsyncDisposable {
  readonly peers: Peers;
  readonly mesh: Digest;
  readonly name: string;
  readonly roles: readonly Role[];
  /** Where others reach this machine. */
  addresses(): readonly Address[];
  /** What a person should know: multicast that does not work, say. */
  remarks(): readonly string[];
  /** Throws `mesh.not-allowed`. */
  invite(wish: { readonly roles: readonly Role[]; readonly ttlMs: number }): Invite;
  inviteEnd(code: string, signal: AbortSignal): Promise<InviteEnd>;
  /** Throws `mesh.not-allowed`. */
  revoke(peer: PeerId): void;
}
