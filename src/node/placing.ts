// Where the ready tasks of a run go: rounds over this machine and all others that it may use, offers, and room taken. Which
// task goes first and what costs least is sched's to say, and the machines have the last word.

import type { Digest } from "../base/digest.ts";
import type { MeshError } from "../base/errors.ts";
import type { ContentRef } from "../mesh/content.ts";
import { type Assignment, type Input, placeOn } from "../sched/place.ts";
import type { Fleet } from "../sched/fleet.ts";
import type { NodeCapacity } from "../sched/fit.ts";
import type { CapacityLedger } from "../sched/ledger.ts";
import type { AttemptRef, RunEvent } from "../sched/run-event.ts";
import type { RunMachine } from "../sched/run-machine.ts";
import { Detours } from "./detours.ts";
import type { Elsewhere } from "./elsewhere.ts";
import type { Executor } from "./executor.ts";
import { faultText } from "./fault-text.ts";
import type { Foundations } from "./foundations.ts";
import { type Missing, neverFits } from "./never-fits.ts";
import { RunFleet } from "./run-fleet.ts";
import type { RunMesh } from "./remote/run-mesh.ts";
import type { RemoteSite, Room, Wanted } from "./site.ts";
import type { Timers } from "./timers.ts";
import type { TaskWork } from "./work.ts";

/** Which machines a run may use; empty for all. */
export interface Allowed {
  readonly nodes: readonly string[];
  /** All of which a machine must carry. */
  readonly labels: readonly string[];
}

export interface PlacingOptions {
  readonly machine: RunMachine;
  readonly executor: Executor;
  readonly ledger: CapacityLedger;
  /** Name of this machine. */
  readonly name: string;
  readonly ownSpeedPercent: () => number;
  readonly jobs: number | null;
  readonly allowed: Allowed;
  /** How long a ready task waits for a machine that could run it to come back. */
  readonly patienceMs: number;
  readonly timers: Timers;
  readonly elsewhere: Elsewhere;
  readonly foundations: Foundations;
  readonly workOf: (key: string) => TaskWork;
  readonly apply: (event: RunEvent) => void;
  /** Has a round made when there is nothing else to do. */
  readonly again: () => void;
  readonly onFault: (error: unknown) => void;
}

/** How often what waits for room that another process has tries again. */
const POLL_MS = 50;

/** The shortest time between two looks at a machine that is overdue. */
const LOOK_AGAIN_MS = 10;

/** How long a task may be passed over by smaller ones before room is kept free for it. */
const RESERVE_AFTER_MS = 30_000;

export class Placing {
  readonly #options: PlacingOptions;
  #mesh: RunMesh | null = null;
  /** Tasks that are being offered, or whose inputs are looked for. */
  readonly #offered = new Set<string>();
  /** Machines that will not run a task, and what the last of them said. */
  readonly #refusals = new Map<string, Map<string, MeshError>>();
  readonly #detours = new Detours();
  /** Ready tasks that no machine which is there could ever run, and since when. */
  readonly #stranded = new Map<string, number>();
  readonly #fleet: RunFleet;
  /** When the next look at those who wait for busy machines is due. */
  #dueMs = Number.POSITIVE_INFINITY;
  #isPolling = false;
  #localIsFull = false;

  constructor(options: PlacingOptions) {
    this.#options = options;
    this.#fleet = new RunFleet({ ...options, bytesPerMs: BYTES_PER_MS });
  }

  /** How fast a machine is, in percent of the reference. */
  speedPercentOf(name: string): number {
    return this.#fleet.speedPercentOf(name);
  }

  /** From now on the tasks may go to other machines too. */
  use(mesh: RunMesh): void {
    this.#mesh = mesh;
  }

  /** The error with all reasons when no machine that the run may use could ever run the task. */
  neverFits(work: TaskWork): MeshError | null {
    const { ledger } = this.#options;
    const local = this.#isAllowed(ledger.capacity()) || work.kind !== "command" ? [ledger.capacity()] : [];
    if (this.#mesh === null) return neverFits(work.ask, local);
    const machines = [...local];
    const missing: Missing[] = [];
    for (const site of this.#mesh.sites()) {
      const capacity = site.capacity();
      if (capacity === null || !this.#isAllowed(capacity)) continue;
      const why = site.absence();
      if (why === null) machines.push(capacity);
      else missing.push({ capacity, why });
    }
    return neverFits(work.ask, machines, missing);
  }

  /** One round. */
  round(): void {
    const { machine, executor, jobs } = this.#options;
    const sites = this.#mesh?.sites() ?? [];
    const busy = executor.size + sites.reduce((sum, site) => sum + site.size, 0) + this.#offered.size;
    const most = (jobs ?? Number.POSITIVE_INFINITY) - busy;
    if (machine.ready.size === 0 || most <= 0) return;
    const nowMs = Date.now();
    const { assignments, againAtMs } = placeOn(this.#fleetAt(nowMs, sites), {
      lanes: machine.ready.lanes(),
      inputOf: this.#inputs(sites),
      offered: this.#offered,
      most: Math.min(most, MOST_A_ROUND),
      nowMs,
      reserveAfterMs: RESERVE_AFTER_MS,
    });
    if (againAtMs !== null) this.#lookAgain(againAtMs);
    this.#carryOut(assignments, sites);
    if (assignments.length >= MOST_A_ROUND) this.#options.again();
    if (this.#mesh !== null) this.#refuseStranded();
  }

  /** An attempt came back before it began: its inputs are looked for, and it is placed again. */
  returned(ref: AttemptRef, node: string, cause: MeshError, missing: readonly Digest[]): void {
    const { key } = ref;
    const { machine, apply } = this.#options;
    if (!machine.holds(ref)) return this.#options.again();
    const work = this.#options.workOf(key);
    if (cause.code === "blob.missing" || cause.code === "blob.corrupt") {
      // who has it is asked anew before the task is placed again
      this.#mesh?.directory.doubt(missing);
      if (!this.#detours.note(key, missing)) this.#lose(new Set(missing), work);
    } else if (cause.code !== "run.interrupted") this.#refuse(key, node, cause);
    apply({ kind: "task-returned", ...ref, atMs: Date.now() });
    this.#options.again();
  }

  /** Has made again what a task was to be placed over; false when nothing of it is lost. */
  #lose(lost: ReadonlySet<Digest>, work: TaskWork): boolean {
    const { foundations, apply } = this.#options;
    const makers = lost.size === 0 ? new Set<string>() : foundations.makersOf(lost, work);
    for (const key of makers) apply({ kind: "output-lost", key, reason: "What it left is gone", atMs: Date.now() });
    return makers.size > 0;
  }

  #fleetAt(nowMs: number, sites: readonly RemoteSite[]): Fleet {
    const here = this.#options.ledger.capacity();
    const allowed = sites.filter((site) => {
      const capacity = site.capacity();
      return capacity !== null && this.#isAllowed(capacity);
    });
    return this.#fleet.at(nowMs, !this.#localIsFull && this.#isWantedHere(here) ? here : null, allowed);
  }

  /** Somebody waits for a machine that is expected to have room then, and may have waited long enough. */
  #lookAgain(atMs: number): void {
    const { timers, again } = this.#options;
    const dueMs = Math.max(atMs, Date.now() + LOOK_AGAIN_MS);
    if (dueMs >= this.#dueMs) return;
    this.#dueMs = dueMs;
    timers.later(dueMs - Date.now(), () => {
      // one that was set for later is still to come, and does no harm
      if (this.#dueMs === dueMs) this.#dueMs = Number.POSITIVE_INFINITY;
      again();
    });
  }

  /** This machine is left out when the run may not use it, but for what moves its user's files. */
  #isWantedHere(capacity: NodeCapacity): boolean {
    return (
      this.#isAllowed(capacity) || this.#options.machine.ready.lanes().some(({ ask }) => ask.node === capacity.name)
    );
  }

  /** What tasks read and who has how much of it; null when all of it is here and nobody else is. */
  #inputs(sites: readonly RemoteSite[]): (key: string) => Input | null {
    const mesh = this.#mesh;
    if (mesh === null || sites.length === 0) return () => null;
    const { name, workOf, ledger } = this.#options;
    const localIsAllowed = this.#isAllowed(ledger.capacity());
    return (key) => {
      const work = workOf(key);
      const bytes = mesh.directory.bytesOf(work);
      const here = bytes - mesh.directory.missingBytes(work, null);
      const present = new Map([[name, localIsAllowed || work.kind !== "command" ? here + OFFER_BYTES : -FAR_AWAY]]);
      if (bytes > 0)
        for (const { node, peer } of sites) present.set(node, bytes - mesh.directory.missingBytes(work, peer));
      for (const node of this.#refusals.get(key)?.keys() ?? []) present.set(node, -FAR_AWAY);
      return { bytes: bytes + OFFER_BYTES, present };
    };
  }

  #carryOut(assignments: readonly Assignment[], sites: readonly RemoteSite[]): void {
    const { name, workOf } = this.#options;
    const offers = new Map<string, Wanted[]>();
    let isFull = false;
    for (const { key, attempt, node } of assignments) {
      const work = workOf(key);
      if (this.#isRefused(key, node, work)) continue;
      if (node === name && work.kind === "command" && !this.#isAllowed(this.#options.ledger.capacity())) {
        this.#pollLater();
        continue;
      }
      if (!this.#isFounded(key, work)) continue;
      if (node === name) {
        if (!isFull) isFull = !this.#takeHere(key, attempt, work);
        continue;
      }
      this.#offered.add(key);
      const wanted = offers.get(node);
      if (wanted === undefined) offers.set(node, [{ key, attempt, work }]);
      else wanted.push({ key, attempt, work });
    }
    for (const site of sites) {
      const wanted = offers.get(site.node);
      if (wanted !== undefined) void this.#offer(site, wanted).catch(this.#options.onFault);
    }
  }

  /** False when this machine has no room because of what another process runs on it. */
  #takeHere(key: string, attempt: number, work: TaskWork): boolean {
    const { executor, name } = this.#options;
    const room = executor.take(key, attempt, work);
    if (room.kind === "full") {
      this.#localIsFull = true;
      this.#pollLater();
      return false;
    }
    this.#answered(key, room, name, work);
    return true;
  }

  async #offer(site: RemoteSite, wanted: readonly Wanted[]): Promise<void> {
    const rooms = await site.offer(wanted);
    for (const { key } of wanted) this.#offered.delete(key);
    for (const [at, { key, work }] of wanted.entries()) {
      const room = rooms[at];
      if (room === undefined) continue;
      this.#answered(key, room, site.node, work);
      if (room.kind === "taken" && !this.#options.machine.holds(room.ref)) site.cancel(room.ref, false);
    }
    this.#options.again();
  }

  #answered(key: string, room: Room, node: string, work: TaskWork): void {
    const { machine, apply, timers, elsewhere, again } = this.#options;
    const round = machine.task(key)?.round ?? 0;
    const atMs = Date.now();
    switch (room.kind) {
      case "taken":
        return apply({ kind: "task-placed", ...room.ref, node, atMs });
      case "answered":
        apply({ kind: "task-deferred", key, round, atMs, elsewhere: "" });
        return timers.later(0, () => apply({ kind: "task-undeferred", key, round, atMs: Date.now() }));
      case "elsewhere":
        apply({ kind: "task-deferred", key, round, atMs, elsewhere: room.by });
        elsewhere.wait(key, round, work.key);
        // the room that it was to have is another's
        return again();
      case "full":
        return this.#pollLater();
      case "refused":
        this.#refuse(key, node, room.why);
        return this.#pollLater();
    }
  }

  // Machines that will not

  #refuse(key: string, node: string, why: MeshError): void {
    const refusals = this.#refusals.get(key);
    if (refusals === undefined) this.#refusals.set(key, new Map([[node, why]]));
    else refusals.set(node, why);
  }

  /** Whether the machine has refused the task. When all that could run it have, the task is refused. */
  #isRefused(key: string, node: string, work: TaskWork): boolean {
    const refusals = this.#refusals.get(key);
    const why = refusals?.get(node);
    if (refusals === undefined || why === undefined) return false;
    const { machine, apply, ledger, name } = this.#options;
    const capacities = [ledger.capacity(), ...(this.#mesh?.sites() ?? []).flatMap((site) => site.capacity() ?? [])];
    const others = capacities.filter(
      (each) => !refusals.has(each.name) && (each.name === name || this.#isAllowed(each)),
    );
    if (neverFits(work.ask, others) !== null) {
      const refusal = { code: why.code, message: why.message, line: null };
      apply({ kind: "task-refused", key, round: machine.task(key)?.round ?? 0, atMs: Date.now(), refusal });
    } else this.#pollLater();
    return true;
  }

  /** Machines that were there when a task became ready may have gone: they have a while to come back. */
  #refuseStranded(): void {
    const { machine, workOf, patienceMs, timers, again, apply } = this.#options;
    const nowMs = performance.now();
    for (const lane of machine.ready.lanes()) {
      const [first] = lane.inOrder();
      const error = first === undefined ? null : this.neverFits(workOf(first.key));
      if (error === null && this.#stranded.size === 0) continue;
      // refusing takes tasks out of the lane
      for (const { key } of Array.from(lane.inOrder())) {
        const sinceMs = this.#stranded.get(key);
        if (error === null) this.#stranded.delete(key);
        else if (sinceMs === undefined) {
          this.#stranded.set(key, nowMs);
          timers.later(patienceMs, again);
        } else if (nowMs - sinceMs >= patienceMs) {
          this.#stranded.delete(key);
          const refusal = { code: error.code, message: faultText(error), line: null };
          apply({ kind: "task-refused", key, round: machine.task(key)?.round ?? 0, atMs: Date.now(), refusal });
        }
      }
    }
  }

  // What tasks build on

  /** Protects what a task builds on. False while that is being looked for, and when it has to be made again first. */
  #isFounded(key: string, work: TaskWork): boolean {
    const { foundations } = this.#options;
    const lacked = foundations.lackedBy(work);
    if (lacked.length === 0) return true;
    const mesh = this.#mesh;
    if (mesh === null) return !this.#lose(digestsOf(lacked), work);
    mesh.directory.forgetHere(lacked.map(({ digest }) => digest));
    const far = this.#detours.of(key);
    const unheld = lacked.filter(({ digest }) => far.has(digest) || !mesh.isHeld(digest));
    if (unheld.length === 0) return true;
    this.#offered.add(key);
    void this.#lookFor(mesh, unheld, { key, work }).catch(this.#options.onFault);
    return false;
  }

  async #lookFor(
    mesh: RunMesh,
    unheld: readonly ContentRef[],
    { key, work }: Pick<Wanted, "key" | "work">,
  ): Promise<void> {
    const lost = new Set(await mesh.lookFor(unheld));
    const far = this.#detours.take(key);
    await mesh.bring(unheld.filter(({ digest }) => far.has(digest) && !lost.has(digest)));
    this.#offered.delete(key);
    this.#lose(lost, work);
    this.#options.again();
  }

  /** Nobody tells this process when room that others have is free. */
  #pollLater(): void {
    if (this.#isPolling) return;
    this.#isPolling = true;
    this.#options.timers.later(POLL_MS, () => {
      this.#isPolling = false;
      this.#localIsFull = false;
      this.#options.again();
    });
  }

  #isAllowed({ name, labels }: NodeCapacity): boolean {
    const { allowed } = this.#options;
    return (
      (allowed.nodes.length === 0 || allowed.nodes.includes(name)) &&
      allowed.labels.every((label) => labels.includes(label))
    );
  }
}

/** Most tasks that one round places: rounds come as often as anything happens. */
const MOST_A_ROUND = 128;

/** As for another machine: what it lacks comes over the same network. */
const BYTES_PER_MS = 100_000;

/** What asking another machine costs, in bytes that could be moved meanwhile: of two that are alike, the near one wins. */
const OFFER_BYTES = BYTES_PER_MS;

/** More than any inputs: a machine that must not have the task comes last, and is then passed over. */
const FAR_AWAY = 2 ** 50;

function digestsOf(refs: readonly ContentRef[]): ReadonlySet<Digest> {
  return new Set(refs.map(({ digest }) => digest));
}
