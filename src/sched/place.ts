// Who goes where: one round of placing ready tasks on machines that fit, as a list of assignments. Pure and
// deterministic; the machines' own ledgers have the last word, so an assignment is an offer. The most urgent task goes first,
// to the machine where it costs least; unless a faster one that is busy would end it sooner: then it waits for that one
// (docs/decisions/0013-earliest-finish.md).

import { LIMITS } from "../base/limits.ts";
import type { Ask } from "./ask.ts";
import { Fleet, type FleetView, type Offer } from "./fleet.ts";
import { Heap } from "./heap.ts";
import type { PlaceNode } from "./place-node.ts";
import { compareReady, type Lane, type Ready } from "./ready-queue.ts";
import type { Room } from "./room.ts";
import { likelyMs } from "./task-node.ts";

/** What a task reads, and which machines have how much of it. */
export interface Input {
  readonly bytes: number;
  /** By name of machine; a machine that is not named has nothing of it. */
  readonly present: ReadonlyMap<string, number>;
}

export interface Round {
  /** From the run machine's ready queue; from several runs' queues, one after another. */
  readonly lanes: readonly Lane[];
  /** Null when there is nothing to move. Must be pure for the length of the round. */
  readonly inputOf: (key: string) => Input | null;
  /** Tasks that are being offered already. */
  readonly offered: ReadonlySet<string>;
  /** Most assignments of this round. Tasks that are held back have a bound of their own: others pass them. */
  readonly most: number;
  /** Unix time. */
  readonly nowMs: number;
  /** A task that has been ready for longer than this keeps the machine it could have free of others. */
  readonly reserveAfterMs: number;
}

export interface Assignment {
  readonly key: string;
  readonly attempt: number;
  readonly node: string;
  readonly score: Score;
}

/** A task that some machine has room for, but which is likely to end sooner on one that is busy. */
export interface Held {
  readonly key: string;
  readonly node: string;
  /** When that machine is expected to have room, in Unix time. */
  readonly freeAtMs: number;
}

export interface Placing {
  readonly assignments: readonly Assignment[];
  readonly held: readonly Held[];
  /** When to decide again though nothing has happened: somebody waits for an end that was expected then. Null for never. */
  readonly againAtMs: number | null;
}

/** What a task costs on a machine, in milliseconds or what is worth as much; the least total wins, ties go by name. */
export interface Score {
  readonly totalMs: number;
  /** Moving what the machine lacks. */
  readonly moveMs: number;
  /** Running, at the machine's speed. */
  readonly runMs: number;
  /** What the tasks that run there already slow it down. */
  readonly loadMs: number;
  /** Waste: GPUs that stand idle beside the task, and room too small to be of use afterwards. */
  readonly wasteMs: number;
}

/** Decides one round over machines that are given once. */
export function place(round: Round & { readonly nodes: Iterable<PlaceNode> }): readonly Assignment[] {
  return placeOn(new Fleet(round.nodes), round).assignments;
}

/** Decides one round. The fleet is left as it was: what comes of the assignments is the machines' to say. */
export function placeOn(fleet: Fleet, round: Round): Placing {
  const planner = new Planner(fleet, round);
  planner.run();
  fleet.endRound();
  return { assignments: planner.assignments, held: planner.held, againAtMs: planner.againAtMs };
}

/** What a task would cost on a machine that fits. */
export function scoreOn(room: Room, ask: Ask, task: Pick<Ready, "expectedMs">, input: Input | null): Score {
  const moveMs = Math.ceil(moveMsTo(room, input));
  const runMs = Math.round(workMs(task) * room.pace);
  const loadMs = Math.round(workMs(task) * room.pace * room.load);
  const wasteMs = Math.round(workMs(task) * room.pace * room.waste(ask));
  return { totalMs: moveMs + runMs + loadMs + wasteMs, moveMs, runMs, loadMs, wasteMs };
}

/** Milliseconds that moving what a machine lacks takes. */
export function moveMsTo(room: Room, input: Input | null): number {
  if (input === null) return 0;
  return Math.max(0, input.bytes - (input.present.get(room.name) ?? 0)) / room.node.bytesPerMs;
}

/** At least 1, so that the faster machine is better for every task. */
export function workMs(task: Pick<Ready, "expectedMs">): number {
  return Math.max(1, likelyMs(task));
}

/** A machine that is free, or will be, with what decides about it. */
interface Choice {
  readonly room: Room;
  readonly value: number;
}

class Planner {
  readonly assignments: Assignment[] = [];
  readonly held: Held[] = [];
  againAtMs: number | null = null;
  readonly #fleet: Fleet;
  readonly #round: Round;
  readonly #fronts = new Heap<Front>((a, b) => compareReady(a.head, b.head));

  constructor(fleet: Fleet, round: Round) {
    this.#fleet = fleet;
    this.#round = round;
  }

  run(): void {
    const { lanes, most } = this.#round;
    for (const lane of lanes) this.#advance(new Front(lane, this.#fleet.view(lane.ask)));
    while (this.assignments.length < most) {
      const front = this.#fronts.pop();
      if (front === undefined) break;
      if (this.#decide(front)) this.#advance(front);
    }
  }

  /** False when nothing of the lane's shape has room any more: the lane is done for this round. */
  #decide({ ask, head: ready, view }: Front): boolean {
    const input = this.#round.inputOf(ready.key);
    const best = this.#cheapest(view, ready, input);
    if (best === null) {
      if (this.#round.nowMs - ready.readyAtMs > this.#round.reserveAfterMs) this.#keep(ask);
      return false;
    }
    // with many held back, the next ones take what is free: nothing stands idle for want of a decision
    const sooner = this.held.length < LIMITS.heldTasks ? this.#sooner(view, ready, input, best.room) : null;
    if (sooner !== null) this.#hold(ask, ready, input, sooner);
    else this.#assign(ask, ready, input, best.room);
    return true;
  }

  /** The machine with room where the task costs least; ties go by name. */
  #cheapest(view: FleetView, ready: Ready, input: Input | null): Choice | null {
    const work = workMs(ready);
    let best: Choice | null = null;
    const consider = ({ room, cost }: Offer) => {
      const value = moveMsTo(room, input) + work * cost;
      if (best === null || value < best.value || (value === best.value && room.name < best.room.name))
        best = { room, value };
    };
    if (input !== null)
      for (const room of this.#having(input)) {
        const offer = view.offerOf(room);
        if (offer !== null) consider(offer);
      }
    // All others lack everything. They come cheapest first, and none moves faster than the best: the rest of them is no better.
    const leastMoveMs = input === null ? 0 : input.bytes / this.#fleet.best.bytesPerMs;
    // The cost at which the best one was met on the walk: machines of one cost come by name.
    let metAt: number | null = null;
    for (const offer of view.inOrder()) {
      const boundMs = leastMoveMs + work * offer.cost;
      const bestMs = valueOf(best);
      if (boundMs > bestMs || (boundMs === bestMs && metAt === offer.cost)) break;
      if (input?.present.has(offer.room.name) === true) continue;
      consider(offer);
      if (roomOf(best) === offer.room) metAt = offer.cost;
    }
    return best;
  }

  /** A busy machine that is expected to end the task before `free` would. */
  #sooner(view: FleetView, ready: Ready, input: Input | null, free: Room): Held | null {
    const work = workMs(ready);
    const { nowMs } = this.#round;
    const limitMs = moveMsTo(free, input) + work * free.pace;
    let best: (Choice & { readonly freeAtMs: number }) | null = null;
    const consider = (room: Room, freeAtMs: number) => {
      const value = Math.max(0, freeAtMs - nowMs) + moveMsTo(room, input) + work * room.pace;
      if (value >= limitMs) return;
      if (best === null || value < best.value || (value === best.value && room.name < best.room.name))
        best = { room, value, freeAtMs };
    };
    if (input !== null) for (const room of this.#having(input)) consider(room, view.laterOf(room));
    const leastMoveMs = input === null ? 0 : input.bytes / this.#fleet.best.bytesPerMs;
    if (leastMoveMs + work * this.#fleet.best.pace < limitMs) {
      for (const later of view.byPace()) {
        if (leastMoveMs + work * later.room.pace >= limitMs) break;
        if (view.offerOf(later.room) === null && input?.present.has(later.room.name) !== true)
          consider(later.room, view.freeAtMs(later));
      }
    }
    const chosen = best as (Choice & { readonly freeAtMs: number }) | null;
    return chosen === null ? null : { key: ready.key, node: chosen.room.name, freeAtMs: chosen.freeAtMs };
  }

  #having(input: Input): readonly Room[] {
    return [...input.present.keys()].map((name) => this.#fleet.get(name)).filter((room) => room !== null);
  }

  #assign(ask: Ask, ready: Ready, input: Input | null, room: Room): void {
    const { key, attempt } = ready;
    this.assignments.push({ key, attempt, node: room.name, score: scoreOn(room, ask, ready, input) });
    room.take(ask, this.#round.nowMs + durationOn(room, ready, input));
    this.#fleet.touch(room);
  }

  #hold(ask: Ask, ready: Ready, input: Input | null, held: Held): void {
    const room = this.#fleet.get(held.node);
    if (room === null) return;
    this.held.push(held);
    this.againAtMs = Math.min(this.againAtMs ?? held.freeAtMs, held.freeAtMs);
    room.promise(ask, held.freeAtMs, held.freeAtMs + durationOn(room, ready, input));
    this.#fleet.touch(room);
  }

  /** Keeps the machine that comes nearest to being free enough out of this round, so that a big task is not starved by small ones. */
  #keep(ask: Ask): void {
    let kept: Room | null = null;
    for (const room of this.#fleet.rooms()) {
      if (room.isKept || !room.couldEverFit(ask)) continue;
      const more = kept === null ? 1 : room.freeCpuMilli - kept.freeCpuMilli;
      if (kept === null || more > 0 || (more === 0 && room.name < kept.name)) kept = room;
    }
    if (kept === null) return;
    kept.isKept = true;
    this.#fleet.touch(kept);
  }

  /** Moves a lane to its next task that nobody offers yet, and back among the others. */
  #advance(front: Front): void {
    if (front.next(this.#round.offered)) this.#fronts.push(front);
  }
}

function valueOf(choice: Choice | null): number {
  return choice === null ? Number.POSITIVE_INFINITY : choice.value;
}

function roomOf(choice: Choice | null): Room | null {
  return choice === null ? null : choice.room;
}

function durationOn(room: Room, ready: Ready, input: Input | null): number {
  return Math.max(1, Math.ceil(moveMsTo(room, input) + workMs(ready) * room.pace));
}

/** A lane and the task of it whose turn it is. */
class Front {
  readonly ask: Ask;
  readonly view: FleetView;
  readonly #tasks: Iterator<Ready>;
  #head: Ready | null = null;

  constructor(lane: Lane, view: FleetView) {
    this.ask = lane.ask;
    this.view = view;
    this.#tasks = lane.inOrder()[Symbol.iterator]();
  }

  get head(): Ready {
    if (this.#head === null) throw new Error("Bug: a lane without a task stands in the round");
    return this.#head;
  }

  next(offered: ReadonlySet<string>): boolean {
    for (let step = this.#tasks.next(); step.done !== true; step = this.#tasks.next()) {
      if (offered.has(step.value.key)) continue;
      this.#head = step.value;
      return true;
    }
    return false;
  }
}
