// One worker's attempts for the coordinators of the mesh: leases from offer to acknowledged end. The capacity ledger has the
// last word about room, and a lease holds its room until nothing of its attempt is left. It never runs or sends anything.

import { unreachable } from "../base/assert.ts";
import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import type { CapacityLedger } from "./ledger.ts";
import type { AttemptName, AttemptPhase, HeldAttempt, LeaseEffect, LeaseEvent, OfferRefusal } from "./lease-event.ts";

/** An attempt that this worker answers for. */
interface Attempt<R> extends AttemptName {
  readonly lease: string;
  readonly owner: RunHere<R>;
  /** Its name in the ledger, and the generation there. */
  readonly ledgerId: string;
  readonly generation: number;
  readonly gpus: readonly number[];
  readonly grantedAtMs: number;
  phase: AttemptPhase;
  result: R | null;
}

/** What one coordinator has here of one run. */
interface RunHere<R> {
  coordinator: PeerId;
  readonly run: string;
  /** When the coordinator last spoke of the run. */
  heardAtMs: number;
  /** When it was last asked whether the run is over. */
  doubtedAtMs: number;
  /** By lease, in order of grant. */
  readonly attempts: Map<string, Attempt<R>>;
  /** By task and attempt. */
  readonly byName: Map<string, Attempt<R>>;
}

export class LeaseBook<R> {
  readonly #ledger: CapacityLedger;
  readonly #life: string;
  readonly #runs = new Map<string, RunHere<R>>();
  readonly #attempts = new Map<string, Attempt<R>>();
  readonly #countOf = new Map<PeerId, number>();
  #draining = false;
  #lastAtMs: number | null = null;
  #effects: LeaseEffect<R>[] = [];

  /**
   * `life` is new and hard to guess each time the worker starts: leases carry it, so that none of an earlier life is taken for
   * one of this, and only who was told of a lease can name it.
   */
  constructor(ledger: CapacityLedger, life: string) {
    this.#ledger = ledger;
    this.#life = life;
  }

  /**
   * Takes one event at a time of a clock that never goes back; returns what is to be done, in order. Messages that are late,
   * doubled, of an older lease or of somebody else's run change nothing.
   */
  step(event: LeaseEvent<R>, nowMs: number): readonly LeaseEffect<R>[] {
    this.#forgivePause(nowMs);
    this.#apply(event, nowMs);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Attempts that are granted, run, or stop. */
  get live(): number {
    let count = 0;
    for (const attempt of this.#attempts.values()) if (attempt.phase !== "ended") count++;
    return count;
  }

  /** All attempts, in order of grant, with whose they are. */
  list(): readonly (HeldAttempt<R> & { readonly coordinator: PeerId })[] {
    return [...this.#attempts.values()].map((attempt) => ({
      ...shown(attempt),
      coordinator: attempt.owner.coordinator,
    }));
  }

  #apply(event: LeaseEvent<R>, nowMs: number): void {
    switch (event.kind) {
      case "offer":
        return this.#offer(event, nowMs);
      case "start":
        return this.#start(event.from, event.lease, nowMs);
      case "cancel":
        return this.#cancel(event.from, event.lease, event.graceful, nowMs);
      case "acknowledge":
        for (const lease of event.leases) {
          const attempt = this.#held(event.from, lease);
          if (attempt?.phase === "ended") this.#forget(attempt);
        }
        return;
      case "renew":
        return this.#renew(event.from, event.run, event.leases, nowMs);
      case "adopt":
        this.#takeOver(event.from, event.run, event.leases);
        return this.#renew(event.from, event.run, [], nowMs);
      case "evict":
        return this.#evict(event.coordinator);
      case "began": {
        const attempt = this.#attempts.get(event.lease);
        if (attempt?.phase === "running") this.#emit({ kind: "started", to: to(attempt), lease: attempt.lease });
        return;
      }
      case "ended":
        return this.#ended(event.lease, event.result);
      case "drain":
        this.#draining = event.draining;
        return;
      case "tick":
        this.#expire(nowMs);
        return this.#doubt(nowMs);
      default:
        return unreachable(event);
    }
  }

  // What coordinators say

  #offer(event: LeaseEvent<R> & { readonly kind: "offer" }, nowMs: number): void {
    const { from, run, key, attempt, ask } = event;
    const name = { run, key, attempt };
    const known = this.#runOf(from, run)?.byName.get(nameOf(name));
    if (known !== undefined) {
      this.#hear(known.owner, nowMs);
      this.#emit({ kind: "granted", to: from, lease: known.lease, ...name });
      if (known.phase === "ended") this.#tellEnd(known);
      return;
    }
    const refusal = this.#refusalFor(from);
    if (refusal !== null) return this.#emit({ kind: "refused", to: from, refusal, ...name });
    const ledgerId = `${from}/${run}/${nameOf(name)}`;
    const grant = this.#ledger.grant(ledgerId, ask);
    if (!grant.granted) {
      const { ever, reasons } = grant;
      return this.#emit({ kind: "refused", to: from, refusal: { kind: "no-room", ever, reasons }, ...name });
    }
    const { generation, gpus } = grant.lease;
    const owner = this.#openRun(from, run, nowMs);
    const lease = `${this.#life}.${generation}`;
    const held: Attempt<R> = {
      ...name,
      lease,
      owner,
      ledgerId,
      generation,
      gpus,
      grantedAtMs: nowMs,
      phase: "granted",
      result: null,
    };
    owner.attempts.set(lease, held);
    owner.byName.set(nameOf(name), held);
    this.#attempts.set(lease, held);
    this.#count(from, 1);
    this.#emit({ kind: "granted", to: from, lease, ...name });
  }

  #start(from: PeerId, lease: string, nowMs: number): void {
    const attempt = this.#held(from, lease);
    if (attempt === null) return this.#emit({ kind: "unknown", to: from, leases: [lease] });
    this.#hear(attempt.owner, nowMs);
    if (attempt.phase !== "granted") return;
    attempt.phase = "running";
    const { run, key, gpus } = attempt;
    this.#emit({ kind: "perform", coordinator: from, lease, gpus, run, key, attempt: attempt.attempt });
  }

  #cancel(from: PeerId, lease: string, graceful: boolean, nowMs: number): void {
    const attempt = this.#held(from, lease);
    if (attempt === null) return this.#emit({ kind: "unknown", to: from, leases: [lease] });
    this.#hear(attempt.owner, nowMs);
    this.#stop(attempt, graceful);
  }

  #renew(from: PeerId, run: string, leases: readonly string[], nowMs: number): void {
    const here = this.#runOf(from, run);
    if (here === undefined) return this.#emit({ kind: "holdings", to: from, run, held: [], unknown: leases });
    this.#hear(here, nowMs);
    const named = new Set(leases);
    const held: HeldAttempt<R>[] = [];
    for (const attempt of here.attempts.values()) {
      if (named.delete(attempt.lease) && attempt.phase !== "ended") continue;
      held.push(shown(attempt));
    }
    this.#emit({ kind: "holdings", to: from, run, held, unknown: [...named] });
  }

  /** Gives a run to another coordinator that shows to have its journal: it names a lease of it. */
  #takeOver(from: PeerId, run: string, leases: readonly string[]): void {
    if (this.#runOf(from, run) !== undefined) return;
    const shownLease = leases.find((lease) => this.#attempts.get(lease)?.run === run);
    const here = shownLease === undefined ? undefined : this.#attempts.get(shownLease)?.owner;
    if (here === undefined) return;
    this.#runs.delete(runId(here.coordinator, run));
    this.#count(here.coordinator, -here.attempts.size);
    here.coordinator = from;
    this.#runs.set(runId(from, run), here);
    this.#count(from, here.attempts.size);
  }

  #evict(coordinator: PeerId): void {
    for (const attempt of this.#attempts.values()) {
      if (to(attempt) !== coordinator) continue;
      if (attempt.phase === "ended") this.#forget(attempt);
      else this.#stop(attempt, false);
    }
  }

  // What happens here

  #ended(lease: string, result: R): void {
    const attempt = this.#attempts.get(lease);
    if (attempt === undefined || attempt.phase === "ended" || attempt.phase === "granted") return;
    attempt.phase = "ended";
    attempt.result = result;
    this.#ledger.release(attempt.ledgerId, attempt.generation);
    this.#tellEnd(attempt);
  }

  /** What has not begun goes back; what runs is told to stop and holds its room until it has. */
  #stop(attempt: Attempt<R>, graceful: boolean): void {
    switch (attempt.phase) {
      case "granted":
        this.#ledger.release(attempt.ledgerId, attempt.generation);
        this.#emit({ kind: "returned", to: to(attempt), lease: attempt.lease });
        return this.#forget(attempt);
      case "running":
      case "stopping":
        // Asked again with less patience, it is told again.
        if (attempt.phase === "stopping" && graceful) return;
        attempt.phase = "stopping";
        return this.#emit({ kind: "stop", lease: attempt.lease, graceful });
      case "ended":
        return this.#tellEnd(attempt);
      default:
        return unreachable(attempt.phase);
    }
  }

  #expire(nowMs: number): void {
    for (const attempt of this.#attempts.values()) {
      const silentMs = nowMs - attempt.owner.heardAtMs;
      if (attempt.phase === "granted") {
        if (nowMs - attempt.grantedAtMs > LIMITS.grantMs) this.#stop(attempt, false);
      } else if (silentMs <= LIMITS.orphanMs) continue;
      else if (attempt.phase === "running") this.#stop(attempt, true);
      else if (attempt.phase === "ended") this.#forget(attempt);
    }
  }

  /** A run may have ended while its coordinator could not say so here. */
  #doubt(nowMs: number): void {
    for (const here of this.#runs.values()) {
      if (nowMs - Math.max(here.heardAtMs, here.doubtedAtMs) < LIMITS.doubtMs) continue;
      here.doubtedAtMs = nowMs;
      this.#emit({ kind: "doubt", to: here.coordinator, run: here.run, leases: [...here.attempts.keys()] });
    }
  }

  /** A worker that was frozen has heard nobody meanwhile: its own pause is not held against the coordinators. */
  #forgivePause(nowMs: number): void {
    const pauseMs = this.#lastAtMs === null ? 0 : nowMs - this.#lastAtMs;
    this.#lastAtMs = nowMs;
    if (pauseMs > LIMITS.ownPauseMs) for (const here of this.#runs.values()) here.heardAtMs += pauseMs;
  }

  // Records

  #refusalFor(from: PeerId): OfferRefusal | null {
    if (this.#draining) return { kind: "draining" };
    if (this.#attempts.size >= LIMITS.heldAttempts) return { kind: "too-many", most: LIMITS.heldAttempts };
    const most = LIMITS.heldAttemptsEach;
    return (this.#countOf.get(from) ?? 0) >= most ? { kind: "too-many", most } : null;
  }

  #runOf(from: PeerId, run: string): RunHere<R> | undefined {
    return this.#runs.get(runId(from, run));
  }

  #openRun(coordinator: PeerId, run: string, nowMs: number): RunHere<R> {
    let here = this.#runOf(coordinator, run);
    if (here === undefined) {
      here = { coordinator, run, heardAtMs: nowMs, doubtedAtMs: nowMs, attempts: new Map(), byName: new Map() };
      this.#runs.set(runId(coordinator, run), here);
    }
    this.#hear(here, nowMs);
    return here;
  }

  #hear(here: RunHere<R>, nowMs: number): void {
    here.heardAtMs = Math.max(here.heardAtMs, nowMs);
  }

  #held(from: PeerId, lease: string): Attempt<R> | null {
    const attempt = this.#attempts.get(lease);
    return attempt !== undefined && to(attempt) === from ? attempt : null;
  }

  #tellEnd(attempt: Attempt<R>): void {
    const { lease, run, key, result } = attempt;
    // `result` is set with the phase; R may itself be nullable.
    this.#emit({ kind: "finished", to: to(attempt), lease, run, key, attempt: attempt.attempt, result: result as R });
  }

  #forget(attempt: Attempt<R>): void {
    const { owner, lease } = attempt;
    owner.attempts.delete(lease);
    owner.byName.delete(nameOf(attempt));
    this.#attempts.delete(lease);
    this.#count(owner.coordinator, -1);
    if (owner.attempts.size === 0) this.#runs.delete(runId(owner.coordinator, owner.run));
    this.#emit({ kind: "forget", lease });
  }

  #count(coordinator: PeerId, change: number): void {
    const count = (this.#countOf.get(coordinator) ?? 0) + change;
    if (count === 0) this.#countOf.delete(coordinator);
    else this.#countOf.set(coordinator, count);
  }

  #emit(effect: LeaseEffect<R>): void {
    this.#effects.push(effect);
  }
}

function to<R>(attempt: Attempt<R>): PeerId {
  return attempt.owner.coordinator;
}

function runId(coordinator: PeerId, run: string): string {
  return `${coordinator}/${run}`;
}

function nameOf({ key, attempt }: Omit<AttemptName, "run">): string {
  return `${attempt}/${key}`;
}

function shown<R>({ run, key, attempt, lease, phase, result }: Attempt<R>): HeldAttempt<R> {
  return { run, key, attempt, lease, phase, result };
}
