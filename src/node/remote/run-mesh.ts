// The mesh as one run uses it: the other machines as sites, who holds what, results that others have, and what this machine
// fetches for its own tasks. It places nothing.

import type { Digest } from "../../base/digest.ts";
import { asMeshError, MeshError } from "../../base/errors.ts";
import type { PeerId, RunId } from "../../base/ids.ts";
import type { ContentExchange, ContentRef } from "../../mesh/content.ts";
import type { PeerView } from "../../mesh/peer-view.ts";
import type { PeerChange, Peers } from "../../mesh/peers.ts";
import type { Store } from "../../store/io/store.ts";
import { ContentDirectory } from "../content-directory.ts";
import { type TaskResult, needsOf } from "../../store/result.ts";
import type { SiteReports } from "../site.ts";
import type { TaskWork } from "../work.ts";
import type { ClaimAnswer, MeshClaims } from "./mesh-claims.ts";
import { PeerSite } from "./peer-site.ts";
import { type FoundResult, ResultFinder } from "./result-finder.ts";
import { comesHome } from "./wire-result.ts";
import { contentOf } from "./wire-work.ts";
import { LIMITS } from "../../base/limits.ts";
import type { Holdings, WorkWords } from "./wire-words.ts";

export interface RunMeshOptions {
  readonly peers: Peers;
  readonly content: ContentExchange;
  readonly claims: MeshClaims;
  readonly store: Store;
  readonly run: RunId;
  readonly title: string;
  readonly actor: string;
  readonly reports: SiteReports;
  /** A result that the run has made here and that is not written yet. */
  readonly fresh: (key: Digest) => TaskResult | null;
  /** Some machine may have room, or be there, or be gone. */
  readonly onRoom: () => void;
  readonly onClosed: () => void;
}

/** How often workers are told which leases the run holds. */
const RENEW_MS = 2_000;

export class RunMesh {
  readonly directory: ContentDirectory;
  readonly #options: RunMeshOptions;
  readonly #sites = new Map<PeerId, PeerSite>();
  readonly #stop = new AbortController();
  readonly #finder: ResultFinder;
  readonly #watch: Disposable;
  readonly #renewer: Timer;
  /** Keys that the run wants or has over the mesh. */
  readonly #claimed = new Set<Digest>();

  constructor(options: RunMeshOptions) {
    this.#options = options;
    const { peers, content, store, reports } = options;
    this.directory = new ContentDirectory(store);
    this.#finder = new ResultFinder({ peers, content, store, signal: this.#stop.signal, notice: reports.notice });
    this.#watch = peers.watch((change) => this.#heed(change));
    this.#renewer = setInterval(() => this.#renewAll(), RENEW_MS);
  }

  /** All machines but this one that may take tasks, by name. */
  sites(): readonly PeerSite[] {
    const { peers } = this.#options;
    return peers
      .list()
      .flatMap(({ id, roles }) => (id !== peers.self && roles.includes("worker") ? [this.#siteOf(id)] : []));
  }

  /** All members, for saying who is missing. */
  members(): readonly PeerView[] {
    return this.#options.peers.list();
  }

  /** The result that another machine has of a key, with all of it but the layer here; null at once when there is none to ask. */
  find(work: TaskWork): Promise<FoundResult | null> | null {
    return (
      this.#finder.find(work.key, work.ttlMs)?.then((found) => (found === null ? null : this.#take(found))) ?? null
    );
  }

  /**
   * Takes up what goes on of the run: asks all machines what they have of it, those first that the run knows to have something
   * (`known`: leases by name of machine) and waits a while for these. Answers by name of machine.
   */
  async adopt(known: ReadonlyMap<string, readonly string[]>): Promise<ReadonlyMap<string, Holdings>> {
    const { peers } = this.#options;
    await this.#wait([...known.keys()]);
    const found = new Map<string, Holdings>();
    const asked = this.sites().map(async (site) => {
      if (peers.get(site.peer)?.state !== "up" && !known.has(site.node)) return;
      const holdings = await site.adopt(known.get(site.node) ?? []).catch((error: unknown) => {
        if (asMeshError(error) === null) throw error;
        return null;
      });
      if (holdings !== null) found.set(site.node, holdings);
    });
    await Promise.all(asked);
    return found;
  }

  /** Until all of these machines are there, for a bounded time: those that come back need a moment to find each other. */
  async #wait(nodes: readonly string[]): Promise<void> {
    const { peers } = this.#options;
    const areThere = () =>
      nodes.every((name) => peers.list().some((view) => view.name === name && view.state === "up"));
    if (areThere()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LIMITS.adoptMs);
    using _watch = peers.watch(() => areThere() && resolve());
    this.#stop.signal.addEventListener("abort", () => resolve());
    await promise;
    clearTimeout(timer);
  }

  hear(from: PeerId, words: WorkWords): void {
    this.#sites.get(from)?.hear(words);
    // what is free there may be for a task that waits
    this.#options.onRoom();
  }

  /** What of a work's inputs this store lacks. */
  lackedBy(work: TaskWork): readonly ContentRef[] {
    return contentOf(work).filter((ref) => !this.directory.isHere(ref));
  }

  /** Whether this store has all that a result needs. */
  hasAllOf(result: TaskResult): boolean {
    const { layers, blobs } = needsOf(result);
    return (
      layers.every((digest) => this.directory.isHere({ kind: "layer", digest })) &&
      blobs.every((digest) => this.directory.isHere({ kind: "blob", digest }))
    );
  }

  /** Whether all that a result needs is here, or at machines that can be reached. */
  isWhole(result: TaskResult): boolean {
    const { layers, blobs } = needsOf(result);
    return [...layers, ...blobs].every((digest) => this.isHeld(digest)) || this.hasAllOf(result);
  }

  /** Brings content into this store. Throws `blob.missing`. */
  async fetch(wanted: readonly ContentRef[], signal: AbortSignal): Promise<void> {
    const holders = new Set(wanted.flatMap(({ digest }) => [...this.directory.holdersOf(digest)]));
    await this.#options.content.fetch(wanted, { holders: [...holders], signal });
  }

  /** Brings here what a machine could not get, so that it goes by way of this one. What cannot be brought is not. */
  async bring(wanted: readonly ContentRef[]): Promise<void> {
    if (wanted.length === 0) return;
    await this.fetch(wanted, this.#stop.signal).catch((error: unknown) => {
      if (asMeshError(error) === null && !this.#stop.signal.aborted) throw error;
    });
  }

  /** Whether some machine that can be reached is believed to have it. */
  isHeld(digest: Digest): boolean {
    const { peers } = this.#options;
    return [...this.directory.holdersOf(digest)].some((peer) => isThere(peers.get(peer)));
  }

  /** Asks all machines for what none is known to have; answers what nobody has. */
  async lookFor(wanted: readonly ContentRef[]): Promise<readonly Digest[]> {
    const found = await this.#options.content.locate(wanted, this.#stop.signal).catch((error: unknown) => {
      if (asMeshError(error) === null) throw error;
      return new Map<Digest, readonly PeerId[]>();
    });
    for (const [digest, holders] of found) for (const holder of holders) this.directory.add(holder, [digest]);
    return wanted.map(({ digest }) => digest).filter((digest) => (found.get(digest)?.length ?? 0) === 0);
  }

  /** Ends what goes on for the run elsewhere. Others find its results with it until they are `written`. */
  async close(written: Promise<void>): Promise<void> {
    clearInterval(this.#renewer);
    this.#watch[Symbol.dispose]();
    this.#stop.abort();
    for (const key of this.#claimed) this.giveBack(key, null);
    try {
      await Promise.all([written, ...[...this.#sites.values()].map((site) => site.close())]);
    } finally {
      this.#options.onClosed();
    }
  }

  /** A result that is not in the store yet. */
  fresh(key: Digest): TaskResult | null {
    return this.#options.fresh(key);
  }

  /** Wants a key for this run, and nobody else at the same time. */
  claim(key: Digest, anew: boolean): Promise<ClaimAnswer> {
    this.#claimed.add(key);
    return this.#options.claims.want(key, this.#options.run, anew);
  }

  /** The run is done with a key. `at`: the machine that has its result; null when there is none. */
  giveBack(key: Digest, at: PeerId | null): void {
    if (this.#claimed.delete(key)) this.#options.claims.giveBack(key, this.#options.run, at === null ? [] : [at]);
  }

  /** The id of a machine, by its name. */
  idOf(node: string): PeerId | null {
    return this.#options.peers.list().find(({ name }) => name === node)?.id ?? null;
  }

  async #take(found: FoundResult): Promise<FoundResult | null> {
    const { result, at } = found;
    const { layers, blobs } = needsOf(result);
    this.directory.add(at, [...layers, ...blobs]);
    const wanted = comesHome(result).filter((ref) => !this.directory.isHere(ref));
    if (wanted.length === 0) return found;
    try {
      await this.fetch(wanted, this.#stop.signal);
      return found;
    } catch (error) {
      if (asMeshError(error) === null) throw error;
      return null;
    }
  }

  #siteOf(peer: PeerId): PeerSite {
    let site = this.#sites.get(peer);
    if (site === undefined) {
      const { onRoom: _room, onClosed: _closed, claims: _claims, fresh: _fresh, ...rest } = this.#options;
      site = new PeerSite({ ...rest, peer, directory: this.directory, signal: this.#stop.signal });
      this.#sites.set(peer, site);
    }
    return site;
  }

  #heed({ kind, peer }: PeerChange): void {
    const site = this.#sites.get(peer.id);
    if (kind === "down" || peer.state === "revoked")
      site?.lose(`${peer.name} is gone: ${peer.reason ?? "no connection"}`);
    else if (kind === "snapshot") site?.refresh();
    else if (kind === "up" && site !== undefined) this.#renew(site);
    this.#options.onRoom();
  }

  #renewAll(): void {
    for (const site of this.#sites.values()) if (site.size > 0) this.#renew(site);
  }

  /** A machine that does not answer is the membership's to call dead. */
  #renew(site: PeerSite): void {
    site.renew().catch((error: unknown) => {
      if (!(error instanceof MeshError) && !this.#stop.signal.aborted) this.#options.reports.onFault(error);
    });
  }
}

function isThere(view: PeerView | null): boolean {
  return view !== null && (view.state === "up" || view.state === "suspect" || view.state === "self");
}
