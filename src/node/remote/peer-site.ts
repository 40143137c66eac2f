// Another machine as one run uses it: offers to it, and what it says of the attempts that it was granted. Words of leases that
// the run does not hold change nothing.

import type { Digest } from "../../base/digest.ts";
import { asMeshError, MeshError } from "../../base/errors.ts";
import type { PeerId, RunId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import type { ContentExchange, ContentRef } from "../../mesh/content.ts";
import { absenceOf } from "../../mesh/absence.ts";
import type { PeerView } from "../../mesh/peer-view.ts";
import type { Peers } from "../../mesh/peers.ts";
import type { Ask } from "../../sched/ask.ts";
import type { NodeCapacity } from "../../sched/fit.ts";
import type { PlaceNode } from "../../sched/place-node.ts";
import type { AttemptRef } from "../../sched/run-event.ts";
import type { Store } from "../../store/io/store.ts";
import { type TaskResult, needsOf } from "../../store/result.ts";
import type { ContentDirectory } from "../content-directory.ts";
import type { RemoteSite, Room, SiteReports, Taken, Wanted } from "../site.ts";
import type { TaskWork } from "../work.ts";
import { lackIn, noRoomFor } from "./attempt-end.ts";
import { taken } from "./wire-check.ts";
import { comesHome, unpackResult } from "./wire-result.ts";
import { contentOf, writeWork } from "./wire-work.ts";
import {
  type Free,
  type Holdings,
  type Offer,
  type OfferAnswer,
  type OfferAnswers,
  type OfferedTask,
  type WorkEnd,
  type WorkWord,
  type WorkWords,
  checkHoldings,
  checkOfferAnswers,
} from "./wire-words.ts";

export interface PeerSiteOptions {
  readonly peer: PeerId;
  readonly peers: Peers;
  readonly content: ContentExchange;
  readonly store: Store;
  readonly directory: ContentDirectory;
  readonly run: RunId;
  readonly title: string;
  readonly actor: string;
  readonly reports: SiteReports;
  /** Ends with the run. */
  readonly signal: AbortSignal;
}

/** What moves to another machine in a millisecond, where nothing is known: 1 Gbit/s. */
const BYTES_PER_MS = 100_000;

/** How long a machine that had no room although it seemed to is left alone. */
const BLOCKED_MS = 50;

interface Held {
  readonly ref: AttemptRef;
  readonly work: TaskWork;
  /** Its end is there, and what it left is being fetched. */
  collecting: AbortController | null;
}

export class PeerSite implements RemoteSite {
  readonly peer: PeerId;
  readonly #options: PeerSiteOptions;
  /** By lease. */
  readonly #held = new Map<string, Held>();
  /** Asks of offers that are not answered, by task. */
  readonly #pending = new Map<string, Ask>();
  /** Words about leases of which the run does not know yet. */
  readonly #early = new Map<string, WorkWord[]>();
  readonly #collections = new Set<Promise<void>>();
  /** Leases whose ends were reported and are not written down yet. */
  #ended: string[] = [];
  /** While a run is taken up, every word may be about a lease that it will hold. */
  #isAdopting = false;
  #free: Free | null = null;
  #blockedUntilMs = 0;

  constructor(options: PeerSiteOptions) {
    this.peer = options.peer;
    this.#options = options;
  }

  get node(): string {
    return this.#view?.name ?? this.peer;
  }

  /** Leases that the run holds there. */
  get leases(): readonly string[] {
    return [...this.#held.keys()];
  }

  get size(): number {
    return this.#held.size;
  }

  capacity(): NodeCapacity | null {
    const view = this.#view;
    if (view === null || view.snapshot === null || !view.roles.includes("worker")) return null;
    return { ...view.snapshot.capacity, name: view.name };
  }

  absence(): string | null {
    const view = this.#view;
    return view === null ? "is no member any more" : absenceOf(view);
  }

  *taken(): Generator<Taken> {
    for (const [key, ask] of this.#pending) yield { key, ask };
    // what has ended there holds no room while its files come
    for (const { ref, work, collecting } of this.#held.values())
      if (collecting === null) yield { key: ref.key, ask: work.ask };
  }

  seen(): Omit<PlaceNode, "running"> | null {
    const view = this.#view;
    const capacity = this.capacity();
    if (view === null || view.snapshot === null || capacity === null || absenceOf(view) !== null) return null;
    if (performance.now() < this.#blockedUntilMs) return null;
    let { cpuMilli, memoryBytes } = this.#free ?? capacity.free;
    let { diskBytes } = capacity.free;
    for (const ask of this.#pending.values()) {
      cpuMilli -= ask.cpuMilli;
      memoryBytes -= ask.memoryBytes;
      diskBytes -= ask.diskBytes;
    }
    const gpus = this.#free?.gpus ?? capacity.gpus;
    return {
      capacity: { ...capacity, free: { cpuMilli, memoryBytes, diskBytes }, gpus },
      speedPercent: Math.max(1, view.snapshot.speedPercent),
      bytesPerMs: BYTES_PER_MS,
    };
  }

  /** The machine said anew what is free. */
  refresh(): void {
    this.#free = null;
  }

  async offer(wanted: readonly Wanted[]): Promise<readonly Room[]> {
    const { peers, run, title, actor, signal } = this.#options;
    for (const { key, work } of wanted) this.#pending.set(key, work.ask);
    try {
      const offer: Offer = { run, title, actor, tasks: wanted.map((each) => this.#write(each)) };
      const said = await peers.call(this.peer, "work.offer", offer, { timeoutMs: LIMITS.callMs, signal });
      const { answers, free } = taken<OfferAnswers>(checkOfferAnswers, said, "answers");
      if (answers.length !== wanted.length)
        throw new MeshError("peer.misbehaved", `${this.node} answered to other offers`);
      this.#free = free;
      return wanted.map((each, at) => this.#roomOf(each, answers[at] ?? { kind: "full" }));
    } catch (cause) {
      const error = asMeshError(cause);
      if (error === null && !signal.aborted) this.#options.reports.onFault(cause);
      this.#blockedUntilMs = performance.now() + BLOCKED_MS;
      // whether it was granted is not known: the next renewal gives back what was
      const isFinal =
        error?.code === "peer.misbehaved" || error?.code === "peer.version" || error?.code === "peer.refused";
      return wanted.map(() => (isFinal ? { kind: "refused", why: error } : { kind: "full" }));
    } finally {
      for (const { key } of wanted) this.#pending.delete(key);
    }
  }

  start(ref: AttemptRef, work: TaskWork): void {
    this.#held.set(ref.lease, { ref, work, collecting: null });
    const early = this.#early.get(ref.lease) ?? [];
    this.#early.delete(ref.lease);
    for (const word of early) this.#hear(word);
  }

  cancel(ref: AttemptRef, graceful: boolean): void {
    const held = this.#held.get(ref.lease);
    this.#early.delete(ref.lease);
    if (held === undefined) return this.giveBack([ref.lease]);
    held.collecting?.abort();
    this.#options.peers.tell(this.peer, "work.cancel", { run: this.#options.run, leases: [ref.lease], graceful });
  }

  /** What the machine says of attempts. */
  hear({ words, free }: WorkWords): void {
    this.#free = free;
    for (const word of words) this.#hear(word);
  }

  /** The machine is gone: nobody knows how far its attempts came. */
  lose(reason: string): void {
    const lost = [...this.#held.values()];
    this.#early.clear();
    for (const { ref, collecting } of lost) {
      collecting?.abort();
      this.#held.delete(ref.lease);
      this.#options.reports.onEvent({ kind: "task-lost", ...ref, reason, atMs: Date.now() });
    }
  }

  /** Says which leases the run holds; what the machine does not know of is lost, what the run does not is given back. */
  async renew(): Promise<void> {
    const leases = this.leases;
    const holdings = await this.#ask("work.renew", leases);
    for (const lease of holdings.unknown) this.#unknown(lease);
    const stray = holdings.held.filter(({ lease }) => !this.#held.has(lease) && !this.#early.has(lease));
    if (stray.length > 0 && this.#pending.size === 0) this.giveBack(stray.map(({ lease }) => lease));
  }

  /** Takes up what goes on there of the run, as one that comes back does. Throws `peer.*`. */
  async adopt(leases: readonly string[]): Promise<Holdings> {
    this.#isAdopting = true;
    return await this.#ask("work.adopt", leases);
  }

  /** All that was found there is held or given back: what is said of other leases from now on is old. */
  adopted(): void {
    this.#isAdopting = false;
    for (const lease of this.#early.keys()) if (!this.#held.has(lease)) this.#early.delete(lease);
  }

  /** Gives leases back that the run does not hold: what runs is killed, ends are forgotten. */
  giveBack(leases: readonly string[]): void {
    const { peers, run } = this.#options;
    peers.tell(this.peer, "work.cancel", { run, leases, graceful: false });
    this.acknowledge(leases);
  }

  /** Ends that are written down. */
  acknowledge(leases: readonly string[]): void {
    this.#options.peers.tell(this.peer, "work.acknowledge", { run: this.#options.run, leases });
  }

  /** Waits until nothing is being fetched any more. */
  async close(): Promise<void> {
    for (const { ref, collecting } of this.#held.values()) {
      collecting?.abort();
      this.giveBack([ref.lease]);
    }
    this.#held.clear();
    while (this.#collections.size > 0) await Promise.all(this.#collections);
  }

  get #view(): PeerView | null {
    return this.#options.peers.get(this.peer);
  }

  async #ask(method: string, leases: readonly string[]): Promise<Holdings> {
    const { peers, run, signal } = this.#options;
    const said = await peers.call(this.peer, method, { run, leases }, { timeoutMs: LIMITS.callMs, signal });
    return taken<Holdings>(checkHoldings, said, "holdings");
  }

  #write({ key, attempt, work }: Wanted): OfferedTask {
    const { directory, store, peers } = this.#options;
    if (work.kind !== "command") throw new Error(`Bug: ${key} is offered to another machine`);
    const holders = contentOf(work).map(({ kind, digest }): readonly [Digest, readonly PeerId[]] => {
      const others = [...directory.holdersOf(digest)];
      return [digest, directory.isHere({ kind, digest }) ? [...others, peers.self] : others];
    });
    const written = writeWork(work);
    // what is short needs no count
    const isLarge = work.script.length + work.inherited.size * 64 > 4096 || work.stack.layers.length > 64;
    const json = isLarge ? JSON.stringify(written) : "";
    if (json.length <= LIMITS.parcelInlineBytes) return { key, attempt, work: written, blob: null, holders };
    return { key, attempt, work: null, blob: store.blobs.put(new TextEncoder().encode(json)), holders };
  }

  #roomOf({ key, attempt }: Wanted, answer: OfferAnswer): Room {
    switch (answer.kind) {
      case "granted":
        if (!this.#early.has(answer.lease)) this.#early.set(answer.lease, []);
        return { kind: "taken", ref: { key, attempt, lease: answer.lease } };
      case "full":
        this.#blockedUntilMs = performance.now() + BLOCKED_MS;
        return answer;
      case "refused":
        return { kind: "refused", why: new MeshError(answer.code, `${this.node}: ${answer.message}`) };
      case "elsewhere":
      case "answered":
        return answer;
    }
  }

  #hear(word: WorkWord): void {
    const held = this.#held.get(word.lease);
    if (held === undefined) return this.#keepEarly(word);
    const { reports } = this.#options;
    const { ref } = held;
    switch (word.kind) {
      case "started":
        return reports.onEvent({ kind: "task-started", ...ref, atMs: Date.now() });
      case "output":
        return reports.onOutput(ref, word.stream, word.bytes);
      case "dropped":
        return reports.notice(`${ref.key}: ${word.bytes} bytes of live output were left out; the log has them`);
      case "finished":
        return this.#finished(held, word);
      case "returned":
        this.#held.delete(ref.lease);
        this.acknowledge([ref.lease]);
        return reports.onReturned(ref, this.node, new MeshError(word.code, word.message), word.missing);
    }
  }

  /** A word may be faster than the answer that grants its lease; one of a lease that was given up is old. */
  #keepEarly(word: WorkWord): void {
    const early = this.#early.get(word.lease);
    if (early !== undefined) early.push(word);
    else if (this.#isAdopting || this.#pending.has(word.key)) this.#early.set(word.lease, [word]);
    else if (word.kind === "finished" || word.kind === "returned") this.acknowledge([word.lease]);
  }

  #unknown(lease: string): void {
    const held = this.#held.get(lease);
    if (held?.collecting === null) this.#lostIn(held.ref, `${this.node} knows nothing of it any more`);
  }

  // Ends

  #finished(held: Held, end: WorkEnd & { readonly kind: "finished" }): void {
    // said again while it is being fetched
    if (held.collecting !== null) return;
    held.collecting = new AbortController();
    const done = this.#collect(held, end, held.collecting.signal);
    if (done === null) return;
    const collection = done.catch((error: unknown) => this.#options.reports.onFault(error));
    this.#collections.add(collection);
    void collection.then(() => this.#collections.delete(collection));
  }

  /** Null when there is nothing to wait for. */
  #collect(held: Held, end: WorkEnd & { readonly kind: "finished" }, signal: AbortSignal): Promise<void> | null {
    const { store, content } = this.#options;
    if (end.parcel === null) return (this.#settle(held, end, null), null);
    try {
      const from = { from: this.peer, store, content, key: held.work.key, signal };
      const result = unpackResult(end.parcel, from);
      const wanted = result instanceof Promise ? null : this.#wantedOf(result);
      if (wanted?.length === 0) return (this.#settle(held, end, result as TaskResult), null);
      return this.#fetchResult(held, end, result, signal);
    } catch (error) {
      return (this.#distrust(held, error), null);
    }
  }

  async #fetchResult(
    held: Held,
    end: WorkEnd & { readonly kind: "finished" },
    packed: TaskResult | Promise<TaskResult>,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      const result = await packed;
      const wanted = this.#wantedOf(result);
      if (wanted.length > 0) await this.#options.content.fetch(wanted, { holders: [this.peer], signal });
      this.#settle(held, end, result);
    } catch (error) {
      if (signal.aborted && end.outcome.reason === "cancelled") this.#settle(held, end, null);
      else this.#distrust(held, error);
    }
  }

  #wantedOf(result: TaskResult): readonly ContentRef[] {
    return comesHome(result).filter((ref) => !this.#options.directory.isHere(ref));
  }

  #settle({ ref, work }: Held, { outcome }: WorkEnd & { readonly kind: "finished" }, result: TaskResult | null): void {
    const { reports, directory } = this.#options;
    const lack = lackIn(outcome);
    if (outcome.reason === "disk-full") this.#blockedUntilMs = performance.now() + LIMITS.diskFullMs;
    if (lack !== null) return this.#lostIn(ref, `${this.node}: ${lack}`);
    // the machine may have been lost meanwhile, and the task with it
    if (this.#held.delete(ref.lease) && reports.holds(ref) && result !== null) {
      const { layers, blobs } = needsOf(result);
      directory.add(this.peer, [...layers, ...blobs, ...contentOf(work).map(({ digest }) => digest)]);
      reports.onResult(ref, work, result, outcome.result === "succeeded");
    }
    reports.onEvent({ kind: "task-finished", ...ref, atMs: Date.now(), outcome });
    this.#ended.push(ref.lease);
    if (this.#ended.length === 1) reports.onceWritten(() => this.acknowledge(this.#ended.splice(0)));
  }

  /** An end that is none: the attempt is as good as lost. */
  #lostIn(ref: AttemptRef, reason: string): void {
    if (!this.#held.delete(ref.lease)) return;
    this.acknowledge([ref.lease]);
    this.#options.reports.onEvent({ kind: "task-lost", ...ref, reason, atMs: Date.now() });
  }

  /** What the machine sent cannot be used: as good as lost. Where it is this machine that has no room for it, the run cannot go on. */
  #distrust({ ref }: Held, error: unknown): void {
    const { reports } = this.#options;
    const known = asMeshError(error);
    if (known?.code === "store.full") return reports.onFault(noRoomFor(ref.key, this.node, known));
    if (known === null && !(error instanceof Error && error.name === "AbortError")) return reports.onFault(error);
    this.#lostIn(ref, `${this.node}: what it left cannot be used: ${known?.message ?? "it was stopped"}`);
  }
}
