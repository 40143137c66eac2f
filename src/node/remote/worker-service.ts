// What makes this machine a worker: it answers offers of other machines, runs what it granted, and keeps each end until the
// coordinator has written it down. The lease book decides; the claims in the store keep this machine from being overbooked.

import { asMeshError, MeshError } from "../../base/errors.ts";
import type { Digest } from "../../base/digest.ts";
import type { TaskResult } from "../../store/result.ts";
import type { PeerId, RunId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import type { ContentExchange } from "../../mesh/content.ts";
import type { PeerView } from "../../mesh/peer-view.ts";
import type { Caller, Peers } from "../../mesh/peers.ts";
import type { Role } from "../../mesh/roles.ts";
import { LeaseBook } from "../../sched/lease-book.ts";
import type { LeaseEffect, LeaseEvent } from "../../sched/lease-event.ts";
import type { AttemptRef } from "../../sched/run-event.ts";
import type { ExecutionMachine } from "../executor.ts";
import type { MeshClaims } from "./mesh-claims.ts";
import { ForeignRun } from "./foreign-run.ts";
import { taken } from "./wire-check.ts";
import { type OfferedWork, readWork } from "./wire-work.ts";
import {
  type Cancellation,
  type Free,
  type Holdings,
  type LeaseNames,
  type Offer,
  type OfferAnswer,
  type OfferAnswers,
  type OfferedTask,
  type WorkEnd,
  checkCancellation,
  checkLeaseNames,
  checkOffer,
} from "./wire-words.ts";

export interface WorkerOptions {
  readonly machine: ExecutionMachine;
  readonly peers: Peers;
  readonly content: ContentExchange;
  readonly claims: MeshClaims;
  /** New and hard to guess each time the worker starts. */
  readonly life: string;
  readonly draining: boolean;
  /** Something failed that is no task's fault. */
  readonly onFault: (error: unknown) => void;
}

/** Who may have tasks run here. */
const COORDINATORS: readonly Role[] = ["submitter", "admin"];

const TICK_MS = 1_000;

export class WorkerService implements AsyncDisposable {
  readonly #options: WorkerOptions;
  readonly #book: LeaseBook<WorkEnd>;
  readonly #runs = new Map<string, ForeignRun>();
  readonly #runOfLease = new Map<string, ForeignRun>();
  /** Keys that run here, by lease. */
  readonly #keys = new Map<string, Disposable>();
  readonly #closing = new Map<ForeignRun, Promise<void>>();
  readonly #ticker: Timer;
  readonly #watch: Disposable;
  #isClosed = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
    const { peers, machine, life, draining } = options;
    this.#book = new LeaseBook(machine.ledger, life);
    this.drain(draining);
    const needs = { needs: COORDINATORS };
    peers.onCall("work.offer", (params, caller) => this.#offer(params, caller), needs);
    peers.onCall("work.renew", (params, caller) => this.#renew("renew", params, caller.peer), needs);
    peers.onCall("work.adopt", (params, caller) => this.#renew("adopt", params, caller.peer), needs);
    peers.onWord("work.cancel", (params, { peer }) => this.#cancel(params, peer), needs);
    peers.onWord("work.acknowledge", (params, { peer }) => this.#acknowledge(params, peer), needs);
    this.#watch = peers.watch(({ peer }) => this.#heed(peer));
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#ticker.unref();
  }

  /** A result that was made here for another machine and is not written yet. */
  fresh(key: Digest): TaskResult | null {
    for (const run of [...this.#runs.values(), ...this.#closing.keys()]) {
      const result = run.fresh(key);
      if (result !== null) return result;
    }
    return null;
  }

  /** Attempts that run here for other machines. */
  get live(): number {
    return this.#book.live;
  }

  /** Whether new offers are refused; what runs may end. */
  drain(draining: boolean): void {
    this.#step({ kind: "drain", draining });
  }

  /** Kills what runs for others and waits until nothing does. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#ticker);
    this.#watch[Symbol.dispose]();
    await Promise.all([...this.#runs.values()].map((run) => run.close()));
    await Promise.all(this.#closing.values());
    this.#runs.clear();
  }

  // Offers

  async #offer(params: unknown, caller: Caller): Promise<OfferAnswers> {
    const offer = taken<Offer>(checkOffer, params, "offer");
    const answers = await Promise.all(offer.tasks.map((task) => this.#answer(offer, task, caller)));
    return { answers, free: this.#free() };
  }

  async #answer(offer: Offer, task: OfferedTask, caller: Caller): Promise<OfferAnswer> {
    try {
      const work = task.work === null ? await this.#fetchWork(task, caller) : readWork(task.work);
      return this.#admit(offer, task, work, caller.peer);
    } catch (cause) {
      const error = asMeshError(cause);
      if (error === null) throw cause;
      return { kind: "refused", code: error.code, message: error.message };
    }
  }

  async #fetchWork({ blob }: OfferedTask, { peer, signal }: Caller): Promise<OfferedWork> {
    const { content, machine } = this.#options;
    if (blob === null) throw new MeshError("peer.misbehaved", "Cannot take a task without work");
    await content.fetch([{ kind: "blob", digest: blob }], { holders: [peer], signal });
    const bytes = machine.store.blobs.read(blob);
    if (bytes.length > 2 * LIMITS.definitionBytes)
      throw new MeshError("peer.misbehaved", "Cannot take work of that size");
    return readWork(parsed(bytes));
  }

  #admit(offer: Offer, task: OfferedTask, work: OfferedWork, from: PeerId): OfferAnswer {
    if (this.#isClosed) return { kind: "refused", code: "node.not-running", message: "The node stops" };
    const { key, attempt } = task;
    const run = this.#runFor(offer, from);
    const effects = this.#book.step({ kind: "offer", from, run: offer.run, key, attempt, ask: work.ask }, now());
    const grant = effects.find((effect) => effect.kind === "granted");
    const refused = effects.find((effect) => effect.kind === "refused");
    if (grant === undefined) return refusalOf(refused);
    const { lease } = grant;
    // offered again: the first answer was lost
    if (run.refOf(lease) !== null) {
      this.#perform(effects.filter((effect) => effect !== grant));
      return { kind: "granted", lease };
    }
    const before = run.liveLease(key);
    if (before !== null) {
      this.#step({ kind: "cancel", from, lease: before, graceful: false });
      this.#withdraw(from, lease);
      return { kind: "full" };
    }
    const room = run.admit({ key, attempt, lease }, work, task.holders);
    if (room.kind !== "taken") {
      this.#withdraw(from, lease);
      return room.kind === "elsewhere" ? { kind: "elsewhere", by: room.by } : { kind: room.kind };
    }
    this.#runOfLease.set(lease, run);
    if (work.shared) this.#keys.set(lease, this.#options.claims.hold(work.key, offer.run));
    this.#step({ kind: "start", from, lease });
    return { kind: "granted", lease };
  }

  /** Takes a grant back that the coordinator has not been told of. */
  #withdraw(from: PeerId, lease: string): void {
    this.#book.step({ kind: "cancel", from, lease, graceful: false }, now());
  }

  #runFor({ run, title, actor }: Offer, coordinator: PeerId): ForeignRun {
    const id = runName(coordinator, run);
    const known = this.#runs.get(id);
    if (known !== undefined) return known;
    const { machine, peers, content, onFault } = this.#options;
    const made = new ForeignRun({
      machine,
      peers,
      content,
      coordinator,
      run,
      title,
      actor,
      free: () => this.#free(),
      onBegan: (lease) => this.#step({ kind: "began", lease }),
      onEnded: (lease, result) => this.#step({ kind: "ended", lease, result }),
      onFault,
    });
    this.#runs.set(id, made);
    return made;
  }

  // What coordinators say of what they hold

  #renew(kind: "renew" | "adopt", params: unknown, from: PeerId): Holdings {
    const { run, leases } = taken<LeaseNames>(checkLeaseNames, params, kind);
    const effects = this.#book.step({ kind, from, run, leases }, now());
    const holdings = effects.find((effect) => effect.kind === "holdings");
    if (holdings === undefined) return { held: [], unknown: leases };
    const { held, unknown } = holdings;
    for (const { lease, key, attempt, result } of held)
      if (result !== null) this.#runOfLease.get(lease)?.words.say({ key, attempt, lease, ...result });
    return {
      held: held.map(({ lease, key, attempt, phase }) => ({ lease, key, attempt, phase })),
      unknown,
    };
  }

  #cancel(params: unknown, from: PeerId): void {
    const { leases, graceful } = taken<Cancellation>(checkCancellation, params, "cancel");
    for (const lease of leases) this.#step({ kind: "cancel", from, lease, graceful });
  }

  #acknowledge(params: unknown, from: PeerId): void {
    const { leases } = taken<LeaseNames>(checkLeaseNames, params, "acknowledge");
    this.#step({ kind: "acknowledge", from, leases });
  }

  /** Lets go of what its coordinator does not want any more. One that cannot say so is asked again. */
  async #askWhetherOver({ to, run, leases }: LeaseEffect<WorkEnd> & { readonly kind: "doubt" }): Promise<void> {
    try {
      const said = await this.#options.peers.call(to, "work.doubt", { run, leases }, { timeoutMs: LIMITS.callMs });
      const over = taken<LeaseNames>(checkLeaseNames, said, "doubt");
      for (const lease of over.leases) this.#step({ kind: "cancel", from: to, lease, graceful: false });
      this.#step({ kind: "acknowledge", from: to, leases: over.leases });
    } catch (error) {
      if (asMeshError(error) === null) throw error;
    }
  }

  /** One that may not have tasks run here any more has none. */
  #heed({ id, state, roles }: PeerView): void {
    const mayOffer = state !== "revoked" && COORDINATORS.some((role) => roles.includes(role));
    if (!mayOffer) this.#step({ kind: "evict", coordinator: id });
  }

  // The book

  #step(event: LeaseEvent<WorkEnd>): void {
    this.#perform(this.#book.step(event, now()));
  }

  #perform(effects: readonly LeaseEffect<WorkEnd>[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case "perform":
          this.#runOfLease.get(effect.lease)?.start(effect.lease);
          break;
        case "stop":
          this.#runOfLease.get(effect.lease)?.stop(effect.lease, effect.graceful);
          break;
        case "started":
          this.#say(effect.lease, (run, ref) => run.words.say({ ...ref, kind: "started" }));
          break;
        case "finished":
          this.#keys.get(effect.lease)?.[Symbol.dispose]();
          this.#keys.delete(effect.lease);
          this.#say(effect.lease, (run, ref) => run.words.say({ ...ref, ...effect.result }));
          break;
        case "forget":
          this.#runOfLease.get(effect.lease)?.forget(effect.lease);
          this.#runOfLease.delete(effect.lease);
          break;
        case "doubt":
          void this.#askWhetherOver(effect).catch(this.#options.onFault);
          break;
        // a call's answer says these, or the next renewal does
        case "granted":
        case "refused":
        case "returned":
        case "unknown":
        case "holdings":
          break;
      }
    }
  }

  #say(lease: string, act: (run: ForeignRun, ref: AttemptRef) => void): void {
    const run = this.#runOfLease.get(lease);
    const ref = run?.refOf(lease) ?? null;
    if (run !== undefined && ref !== null) act(run, ref);
  }

  #tick(): void {
    this.#step({ kind: "tick" });
    for (const [id, run] of this.#runs) {
      if (run.size > 0) continue;
      this.#runs.delete(id);
      const closed = run.close().catch(this.#options.onFault);
      this.#closing.set(run, closed);
      void closed.then(() => this.#closing.delete(run));
    }
  }

  #free(): Free {
    const { free, gpus } = this.#options.machine.ledger.capacity();
    return { ...free, gpus };
  }
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new MeshError("peer.misbehaved", "Cannot take work that is no JSON", { cause });
  }
}

function refusalOf(refused: LeaseEffect<WorkEnd> | undefined): OfferAnswer {
  if (refused?.kind !== "refused") return { kind: "full" };
  const { refusal } = refused;
  switch (refusal.kind) {
    case "no-room":
      if (refusal.ever) return { kind: "full" };
      return { kind: "refused", code: "capacity.none-fits", message: "The machine is too small for the task" };
    case "draining":
      return { kind: "refused", code: "peer.refused", message: "The machine takes no more tasks" };
    case "too-many":
      return { kind: "full" };
  }
}

function runName(coordinator: PeerId, run: RunId): string {
  return `${coordinator}/${run}`;
}

function now(): number {
  return performance.now();
}
