// One machine's node while it is open: a member of its mesh, a worker for the others, a coordinator of its own runs. It wires
// the parts and answers for them; it decides nothing that they decide.

import type { Digest } from "../base/digest.ts";
import { MeshError } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
import { VERSION } from "../base/version.ts";
import type { ContentExchange, ContentRef, FetchReport } from "../mesh/content.ts";
import type { PeerView } from "../mesh/peer-view.ts";
import type { Role } from "../mesh/roles.ts";
import { ActiveRuns, type RunSubmission } from "./active-runs.ts";
import type { ApiNode } from "./local-api.ts";
import { findPeer, follow } from "./local-client.ts";
import type { MeshConnection } from "./mesh-connection.ts";
import { MeshRuns, serveRuns } from "./mesh-runs.ts";
import type { MeshNode, RunOutcome, RunRequest } from "./node.ts";
import type {
  ActiveRun,
  Invite,
  InviteEnd,
  NodeService,
  NodeStatus,
  PingReport,
  SubmittedRun,
} from "./node-service.ts";
import type { RunObserver } from "./observer.ts";

export interface DaemonParts {
  readonly node: MeshNode;
  readonly connection: MeshConnection;
  readonly content: ContentExchange;
  /** Keeps whether this machine takes tasks, and says so to the others. */
  readonly setDraining: (on: boolean) => void;
}

export class Daemon implements NodeService, ApiNode, AsyncDisposable {
  readonly runs: ActiveRuns;
  readonly #parts: DaemonParts;
  readonly #meshRuns: MeshRuns;
  readonly #startedAtMs = Date.now();
  readonly #stopAsked = Promise.withResolvers<void>();

  constructor(parts: DaemonParts) {
    this.#parts = parts;
    const { peers } = parts.connection;
    this.runs = new ActiveRuns(parts.node);
    this.#meshRuns = new MeshRuns(peers, this.runs);
    serveRuns(peers, this.runs);
    peers.onCall("node.ping", () => null);
    peers.onCall(
      "node.drain",
      (params) => {
        parts.setDraining((params as { readonly on?: unknown }).on === true);
        return null;
      },
      { needs: ["admin"] },
    );
  }

  /** Resolves when somebody asked the node to stop. */
  get stopAsked(): Promise<void> {
    return this.#stopAsked.promise;
  }

  status(): Promise<NodeStatus> {
    const { connection } = this.#parts;
    const { peers, mesh, name, roles } = connection;
    return Promise.resolve({
      id: peers.self,
      name,
      mesh,
      roles,
      version: VERSION,
      pid: process.pid,
      startedAtMs: this.#startedAtMs,
      addresses: connection.addresses(),
      draining: peers.get(peers.self)?.snapshot?.draining ?? false,
      remarks: connection.remarks(),
    });
  }

  peers(): Promise<readonly PeerView[]> {
    return Promise.resolve(this.#parts.connection.peers.list());
  }

  async ping(named: string, count: number, signal: AbortSignal): Promise<PingReport> {
    const { peers } = this.#parts.connection;
    const { id, name, addresses } = findPeer(peers.list(), named);
    const rttMs: (number | null)[] = [];
    while (rttMs.length < count && !signal.aborted) {
      const started = performance.now();
      const answered = await peers.call(id, "node.ping", {}, { timeoutMs: LIMITS.pingAnswerMs, signal }).then(
        () => true,
        () => false,
      );
      rttMs.push(answered ? performance.now() - started : null);
    }
    return { name, rttMs, address: addresses[0] ?? null };
  }

  async invite(wish: { readonly roles: readonly Role[]; readonly ttlMs: number }): Promise<Invite> {
    return await Promise.resolve(this.#parts.connection.invite(wish));
  }

  inviteEnd(code: string, signal: AbortSignal): Promise<InviteEnd> {
    return this.#parts.connection.inviteEnd(code, signal);
  }

  async revoke(named: string): Promise<PeerView> {
    const { connection } = this.#parts;
    const peer = findPeer(connection.peers.list(), named);
    if (peer.state === "self")
      throw new MeshError("usage.invalid", "Cannot revoke this machine itself", {
        hint: "`mesh leave` leaves the mesh.",
      });
    connection.revoke(peer.id);
    return await Promise.resolve(connection.peers.get(peer.id) ?? { ...peer, state: "revoked" });
  }

  async drain(named: string | null, on: boolean): Promise<PeerView> {
    const { connection, setDraining } = this.#parts;
    const { peers } = connection;
    const id = named === null ? peers.self : findPeer(peers.list(), named).id;
    if (id === peers.self) setDraining(on);
    else await peers.call(id, "node.drain", { on }, { timeoutMs: LIMITS.callMs });
    const peer = peers.get(id);
    if (peer === null)
      throw new MeshError("peer.not-found", `Cannot drain ${named ?? "this machine"}: it is no member any more`);
    return peer.snapshot === null ? peer : { ...peer, snapshot: { ...peer.snapshot, draining: on } };
  }

  async run({ observer, signal, killSignal, ...submission }: RunRequest): Promise<RunOutcome> {
    const { feed, stop } = this.runs.start(submission);
    signal.addEventListener("abort", () => stop.cancel());
    killSignal.addEventListener("abort", () => stop.kill());
    if (signal.aborted) stop.cancel();
    return await follow(feed.read(new AbortController().signal), observer);
  }

  async submit(submission: RunSubmission): Promise<SubmittedRun> {
    const { feed } = this.runs.start(submission);
    for await (const message of feed.read(new AbortController().signal)) {
      if (message.kind === "event" && message.event.kind === "run-started")
        return { kind: "submitted", id: message.event.run.id, title: message.event.run.title };
      if (message.kind === "ended" && message.outcome.kind === "invalid") return message.outcome;
      if (message.kind === "failed") break;
    }
    throw new MeshError("node.failed", "The node did not start the run");
  }

  activeRuns(): Promise<readonly ActiveRun[]> {
    return this.#meshRuns.list();
  }

  feedOf(run: string, signal: AbortSignal): ReturnType<MeshRuns["feed"]> {
    return this.#meshRuns.feed(run, signal);
  }

  watchRun(run: string, observer: RunObserver, signal: AbortSignal): Promise<RunOutcome> {
    return follow(this.feedOf(run, signal), observer);
  }

  cancelRun(run: string, force: boolean): Promise<ActiveRun> {
    return this.#meshRuns.cancel(run, force);
  }

  fetch(wanted: readonly ContentRef[], signal: AbortSignal): Promise<FetchReport> {
    return this.#parts.content.fetch(wanted, { signal });
  }

  async locate(wanted: readonly ContentRef[]): Promise<ReadonlyMap<Digest, readonly string[]>> {
    const { connection, content } = this.#parts;
    const found = await content.locate(wanted);
    const nameOf = (id: PeerView["id"]) => connection.peers.get(id)?.name ?? id;
    return new Map([...found].map(([digest, holders]) => [digest, holders.map(nameOf)]));
  }

  stop(): void {
    this.#stopAsked.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.runs.close();
  }
}
