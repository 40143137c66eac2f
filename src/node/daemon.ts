// One machine's node while it is open: a member of its mesh, a worker for the others, a coordinator of its own runs. It wires
// the parts and answers for them; it decides nothing that they decide.

import type { Digest } from "../base/digest.ts";
import { errorFromJson, MeshError } from "../base/errors.ts";
import { type PeerId, shortPeer } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import { VERSION } from "../base/version.ts";
import type { Mesh } from "../mesh/io/mesh.ts";
import type { ContentExchange, ContentRef, FetchReport } from "../mesh/content.ts";
import { ownHosts } from "../mesh/io/discovery.ts";
import type { PeerView } from "../mesh/peer-view.ts";
import type { Peers } from "../mesh/peers.ts";
import { ActiveRuns, type RunSubmission } from "./active-runs.ts";
import type { ApiNode } from "./local-api.ts";
import { findPeer, follow } from "./local-client.ts";
import { onAbort } from "./on-abort.ts";
import { MeshRuns, serveRuns } from "./mesh-runs.ts";
import type { MeshNode, RunOutcome, RunRequest } from "./node.ts";
import type {
  ActiveRun,
  Invite,
  InviteEnd,
  InviteWish,
  NodeService,
  NodeStatus,
  PingReport,
  SubmittedRun,
} from "./node-service.ts";
import type { RunObserver } from "./observer.ts";

export interface DaemonParts {
  readonly node: MeshNode;
  readonly mesh: Mesh;
  readonly content: ContentExchange;
  /** What a person should know: multicast that does not work, say. */
  readonly remarks: () => readonly string[];
  /** Keeps whether this machine takes tasks, and says so to the others. */
  readonly setDraining: (on: boolean) => void;
  /** Ends the parts. */
  readonly close: () => Promise<void>;
}

/** How long the end of an invitation can still be asked for. */
const ENDED_INVITE_MS = 60_000;

export class Daemon implements NodeService, ApiNode, AsyncDisposable {
  readonly runs: ActiveRuns;
  readonly #parts: DaemonParts;
  readonly #meshRuns: MeshRuns;
  readonly #startedAtMs = Date.now();
  /** By code. */
  readonly #invites = new Map<string, Promise<InviteEnd>>();
  readonly #stopAsked = Promise.withResolvers<void>();

  constructor(parts: DaemonParts) {
    this.#parts = parts;
    const peers: Peers = parts.mesh;
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
    const { mesh, remarks } = this.#parts;
    const self = mesh.get(mesh.self);
    return Promise.resolve({
      id: mesh.self,
      name: self?.name ?? shortPeer(mesh.self),
      mesh: mesh.roster.mesh,
      roles: self?.roles ?? [],
      version: VERSION,
      pid: process.pid,
      startedAtMs: this.#startedAtMs,
      addresses: mesh.port === null ? [] : ownHosts().map((host) => ({ host, port: mesh.port ?? 0 })),
      draining: self?.snapshot?.draining ?? false,
      remarks: remarks(),
    });
  }

  peers(): Promise<readonly PeerView[]> {
    return Promise.resolve(this.#parts.mesh.list());
  }

  async ping(named: string, count: number, signal: AbortSignal): Promise<PingReport> {
    const peers: Peers = this.#parts.mesh;
    const { id, name, addresses, state, reason } = findPeer(peers.list(), named);
    if (state === "self") throw new MeshError("usage.invalid", `Cannot ping ${name}: it is this machine`);
    const rttMs: (number | null)[] = [];
    while (rttMs.length < count && !signal.aborted) {
      const started = performance.now();
      const answered = await peers.call(id, "node.ping", {}, { timeoutMs: LIMITS.pingAnswerMs, signal }).then(
        () => true,
        () => false,
      );
      rttMs.push(answered ? performance.now() - started : null);
    }
    return { name, rttMs, address: addresses[0] ?? null, reason };
  }

  async invite({ roles, ttlMs, memberForMs }: InviteWish): Promise<Invite> {
    if (memberForMs !== null && roles.includes("admin"))
      throw new MeshError("mesh.not-allowed", "Cannot invite an admin for a time: what it issues would end with it");
    const memberUntilMs = memberForMs === null ? null : Date.now() + memberForMs;
    const opened = this.#parts.mesh.invite({ roles, memberUntilMs, lifeMs: ttlMs });
    this.#invites.set(opened.text, opened.ended);
    void opened.ended.then(() => setTimeout(() => this.#invites.delete(opened.text), ENDED_INVITE_MS).unref());
    return await Promise.resolve({ code: opened.text, expiresAtMs: opened.expiresAtMs, roles });
  }

  async inviteEnd(code: string, signal: AbortSignal): Promise<InviteEnd> {
    const ended = this.#invites.get(code);
    if (ended === undefined) throw new MeshError("usage.invalid", "No invitation of this node has that code");
    const gone = Promise.withResolvers<never>();
    using _ = onAbort(signal, () =>
      gone.reject(new MeshError("run.interrupted", "Nobody waits for the invitation any more")),
    );
    return await Promise.race([ended, gone.promise]);
  }

  async revoke(named: string): Promise<PeerView> {
    const { mesh } = this.#parts;
    const peer = findPeer(mesh.list(), named);
    if (peer.state === "self")
      throw new MeshError("usage.invalid", "Cannot revoke this machine itself", {
        hint: "`mesh leave` leaves the mesh.",
      });
    mesh.revoke(peer.id);
    return await Promise.resolve(mesh.get(peer.id) ?? { ...peer, state: "revoked" });
  }

  async drain(named: string | null, on: boolean): Promise<PeerView> {
    const { setDraining } = this.#parts;
    const peers: Peers = this.#parts.mesh;
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
    using _cancel = onAbort(signal, () => stop.cancel());
    using _kill = onAbort(killSignal, () => stop.kill());
    return await follow(feed.read(), observer);
  }

  async submit(submission: RunSubmission): Promise<SubmittedRun> {
    const { feed } = this.runs.start(submission);
    for await (const message of feed.read()) {
      if (message.kind === "event" && message.event.kind === "run-started")
        return { kind: "submitted", id: message.event.run.id, title: message.event.run.title };
      if (message.kind === "ended" && message.outcome.kind === "invalid") return message.outcome;
      if (message.kind === "failed") throw errorFromJson(message.error, "node.failed");
    }
    throw new MeshError("node.failed", "The node did not start the run");
  }

  /** Goes on with what the node before this one was driving when it died. */
  takeRunsUp(): void {
    for (const run of this.#parts.node.runsToTakeUp()) this.runs.takeUp(run);
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
    const { mesh, content } = this.#parts;
    const found = await content.locate(wanted);
    const nameOf = (id: PeerId) => mesh.get(id)?.name ?? shortPeer(id);
    return new Map([...found].map(([digest, holders]) => [digest, holders.map(nameOf)]));
  }

  stop(): void {
    this.#stopAsked.resolve();
  }

  /** Ends its runs, so that those who watch them hear how; starts none any more. */
  async endRuns(): Promise<void> {
    await this.runs.close(LIMITS.nodeGraceMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endRuns();
    await this.#parts.close();
  }
}
