// What one machine does for those who use it: the node that runs in the background, reached by its socket, or one that lives
// only as long as a command. Types only: daemon.ts is the one, local-client.ts reaches the other.

import type { Digest } from "../base/digest.ts";
import type { PeerId } from "../base/ids.ts";
import type { ContentRef, FetchReport } from "../mesh/content.ts";
import type { Address, PeerView } from "../mesh/peer-view.ts";
import type { Role } from "../mesh/roles.ts";
import type { RunStatus } from "../sched/run-event.ts";
import type { RunOutcome, RunRequest } from "./node.ts";
import type { RunObserver } from "./observer.ts";

export interface NodeStatus {
  readonly id: PeerId;
  readonly name: string;
  /** Digest of the mesh's founding grant. */
  readonly mesh: Digest;
  readonly roles: readonly Role[];
  readonly version: string;
  readonly pid: number;
  /** Unix time. */
  readonly startedAtMs: number;
  /** Where others reach it. */
  readonly addresses: readonly Address[];
  readonly draining: boolean;
  /** What a person should know: multicast that does not work, say. */
  readonly remarks: readonly string[];
}

export interface InviteWish {
  readonly roles: readonly Role[];
  /** How long the code is good. */
  readonly ttlMs: number;
  /** How long from now the machine is a member; null for as long as nobody revokes it. */
  readonly memberForMs: number | null;
}

export interface Invite {
  /** One-time code, as it is read aloud. */
  readonly code: string;
  /** Unix time. */
  readonly expiresAtMs: number;
  readonly roles: readonly Role[];
}

/** How an invitation ended. */
export type InviteEnd =
  | { readonly kind: "joined"; readonly name: string; readonly peer: PeerId }
  | { readonly kind: "expired" }
  /** A wrong guess burnt it. */
  | { readonly kind: "burnt" };

export interface PingReport {
  readonly name: string;
  /** Round trips in milliseconds, in order; null for one without an answer. */
  readonly rttMs: readonly (number | null)[];
  readonly address: Address | null;
  /** Why the machine is missing, for people; null when it is not. */
  readonly reason: string | null;
}

/** A run that goes on somewhere in the mesh. */
export interface ActiveRun {
  readonly id: string;
  readonly title: string;
  readonly definition: string;
  /** Name of the machine that coordinates it. */
  readonly coordinator: string;
  readonly startedAtMs: number;
  readonly status: RunStatus;
  readonly tasks: number;
  readonly finished: number;
}

export interface NodeService {
  status(): Promise<NodeStatus>;
  /** All members, by name. */
  peers(): Promise<readonly PeerView[]>;
  /** `peer` is a name, or the start of an id. Throws `peer.not-found`. */
  ping(peer: string, count: number, signal: AbortSignal): Promise<PingReport>;
  /** Throws `mesh.not-allowed` when this machine is no admin, or an admin is to be one for a time. */
  invite(wish: InviteWish): Promise<Invite>;
  /** Waits for the end of an invitation. */
  inviteEnd(code: string, signal: AbortSignal): Promise<InviteEnd>;
  /** In force on every reachable machine within 2 s. Throws `peer.not-found`, `mesh.not-allowed`. */
  revoke(peer: string): Promise<PeerView>;
  /** Takes no more tasks (or does again); null for this machine. Throws `peer.*`, `mesh.not-allowed`. */
  drain(peer: string | null, on: boolean): Promise<PeerView>;
  /** Runs a definition here. Aborting the request's signals cancels it. */
  run(request: RunRequest): Promise<RunOutcome>;
  /** Starts a run that goes on when its submitter has gone. Returns its id. */
  submit(request: Omit<RunRequest, "observer" | "signal" | "killSignal">): Promise<SubmittedRun>;
  /** Runs that go on, over the whole mesh, newest first. */
  activeRuns(): Promise<readonly ActiveRun[]>;
  /** Watches a run from its beginning to its end, wherever it is coordinated. Throws `run.not-found`. */
  watchRun(run: string, observer: RunObserver, signal: AbortSignal): Promise<RunOutcome>;
  /** Asks a run to stop, wherever it is coordinated; a second time, or by force, at once. Throws `run.not-found`. */
  cancelRun(run: string, force: boolean): Promise<ActiveRun>;
  /** Brings content into this machine's store. Throws `blob.missing`. */
  fetch(wanted: readonly ContentRef[], signal: AbortSignal): Promise<FetchReport>;
  /** Names of the machines that have what of these, this one left out. */
  locate(wanted: readonly ContentRef[]): Promise<ReadonlyMap<Digest, readonly string[]>>;
}

export type SubmittedRun =
  | { readonly kind: "submitted"; readonly id: string; readonly title: string }
  | (RunOutcome & { readonly kind: "invalid" });

/** A mesh that was found on the local network. */
export interface FoundMesh {
  readonly mesh: string;
  /** Machines of it that announced themselves. */
  readonly nodes: readonly { readonly name: string; readonly address: Address }[];
  /** Whether one of them has an invitation open. */
  readonly inviting: boolean;
}

export interface Membership {
  readonly id: PeerId;
  readonly name: string;
  readonly mesh: Digest;
  readonly roles: readonly Role[];
}

export interface JoinWish {
  /** Where to go; null to look for the mesh. */
  readonly address: Address | null;
  readonly code: string;
  readonly name: string | null;
}

/** How a mesh was left. */
export interface Farewell {
  /** Whether another machine knows that this one has left; null where there is none to know it. */
  readonly heard: boolean | null;
  /** Whether this machine's key was forgotten as well. */
  readonly newIdentity: boolean;
}

/** This machine's place in a mesh, or its lack of one, whether a node runs or not. */
export interface MeshSeat {
  /** null for a machine that is in no mesh. Throws `mesh.identity-copied`, `store.corrupt`. */
  membership(): Promise<Membership | null>;
  /** Makes a mesh. Throws `mesh.already-a-member`. */
  init(name: string | null): Promise<Membership>;
  /** Meshes on the local network; looks for a short time. */
  find(signal: AbortSignal): Promise<readonly FoundMesh[]>;
  /** Joins with a one-time code. Throws `mesh.not-found`, `mesh.code-refused`, `mesh.already-a-member`, `peer.*`. */
  join(wish: JoinWish, signal: AbortSignal): Promise<Membership>;
  /**
   * Forgets the mesh and tells the others. The key is forgotten as well with `newIdentity`, and where nobody heard the farewell: to
   * the others it would still be a member's.
   */
  leave(options: { readonly newIdentity: boolean }): Promise<Farewell>;
}

/** What a node is started with; what is null stays as it was said before. */
export interface ServeOptions {
  readonly cpus: string | null;
  readonly memory: string | null;
  readonly gpus: string | null;
  readonly labels: string | null;
  readonly port: number | null;
}

/** A node that runs in this process. */
export interface ServedNode extends AsyncDisposable {
  readonly service: NodeService;
  /** Resolves when somebody asked it to stop, over its socket. Disposing it ends its runs first, within their grace period. */
  readonly stopAsked: Promise<void>;
}

/** Starting and stopping this machine's node. */
export interface NodeKeeper {
  /** The node that runs; null when none does. */
  running(): Promise<NodeService | null>;
  /** Runs the node in this process. Throws `node.already-running`, `mesh.not-a-member`, `usage.invalid`. */
  serve(options: ServeOptions): Promise<ServedNode>;
  /** Starts a process that runs the node; returns when it answers. Throws the same, and `node.failed` with what it said. */
  start(options: ServeOptions): Promise<NodeStatus>;
  /** Ends the node and waits until it has. Throws `node.not-running`. */
  stop(): Promise<void>;
  /** Where the node in the background writes what it says. */
  readonly logPath: string;
}
