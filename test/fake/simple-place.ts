// Placing as its rule says, by looking at every machine for every task: what the indexed one must agree with.

import type { Ask } from "../../src/sched/ask.ts";
import {
  type Assignment,
  type Held,
  moveMsTo,
  type Placing,
  type Round,
  scoreOn,
  workMs,
} from "../../src/sched/place.ts";
import type { PlaceNode } from "../../src/sched/place-node.ts";
import { compareReady, type Ready } from "../../src/sched/ready-queue.ts";
import { Room } from "../../src/sched/room.ts";

export function placeSimply(nodes: readonly PlaceNode[], round: Round): Placing {
  const rooms = nodes.map((node, slot) => new Room(slot, node)).sort((a, b) => (a.name < b.name ? -1 : 1));
  const tasks = round.lanes
    .flatMap((lane) => [...lane.inOrder()].map((ready) => ({ ready, ask: lane.ask })))
    .filter(({ ready }) => !round.offered.has(ready.key))
    .sort((a, b) => compareReady(a.ready, b.ready));
  const assignments: Assignment[] = [];
  const held: Held[] = [];
  const done = new Set<Ask>();
  for (const { ready, ask } of tasks) {
    if (assignments.length >= round.most) break;
    if (done.has(ask)) continue;
    const input = round.inputOf(ready.key);
    const work = workMs(ready);
    const free = least(
      rooms.filter((room) => room.fits(ask)),
      (room) => moveMsTo(room, input) + work * room.cost(ask),
    );
    if (free === null) {
      done.add(ask);
      if (round.nowMs - ready.readyAtMs > round.reserveAfterMs) keep(ask, rooms);
      continue;
    }
    const endOn = (room: Room, startMs: number) => startMs + moveMsTo(room, input) + work * room.pace;
    const later = least(
      rooms.filter((room) => !room.fits(ask)),
      (room) => endOn(room, Math.max(0, room.freeAtMs(ask) - round.nowMs)),
    );
    const duration = (room: Room) => Math.max(1, Math.ceil(endOn(room, 0)));
    if (later !== null && later.value < endOn(free.room, 0)) {
      const freeAtMs = later.room.freeAtMs(ask);
      held.push({ key: ready.key, node: later.room.name, freeAtMs });
      later.room.promise(ask, freeAtMs, freeAtMs + duration(later.room));
    } else {
      assignments.push(assigned(ready, ask, free.room, round));
      free.room.take(ask, round.nowMs + duration(free.room));
    }
  }
  const againAtMs = held.length === 0 ? null : Math.min(...held.map(({ freeAtMs }) => freeAtMs));
  return { assignments, held, againAtMs };
}

function assigned(ready: Ready, ask: Ask, room: Room, round: Round): Assignment {
  const { key, attempt } = ready;
  return { key, attempt, node: room.name, score: scoreOn(room, ask, ready, round.inputOf(key)) };
}

/** The room of the least value; the first of several. */
function least(
  rooms: readonly Room[],
  valueOf: (room: Room) => number,
): { readonly room: Room; readonly value: number } | null {
  let best: { readonly room: Room; readonly value: number } | null = null;
  for (const room of rooms) {
    const value = valueOf(room);
    if (best === null || value < best.value) best = { room, value };
  }
  return best;
}

function keep(ask: Ask, rooms: readonly Room[]): void {
  let kept: Room | null = null;
  for (const room of rooms) {
    if (room.isKept || !room.couldEverFit(ask)) continue;
    if (kept === null || room.freeCpuMilli > kept.freeCpuMilli) kept = room;
  }
  if (kept !== null) kept.isKept = true;
}
