// All machines that tasks may go to, indexed by what tasks ask for, so that a decision looks at a few of them and not at all.
// It may live as long as its coordinator: only machines that changed are looked at again. It decides nothing (place.ts does).

import { type Ask, askShape } from "./ask.ts";
import { LIMITS } from "../base/limits.ts";
import type { Amounts } from "./fit.ts";
import type { PlaceNode } from "./place-node.ts";
import { Room } from "./room.ts";
import { type Seated, SlotHeap } from "./slot-heap.ts";

export class Fleet {
  readonly #rooms = new Map<string, Room>();
  #slots = 0;
  /** Slots of machines that have gone: a machine that comes and goes for days uses no more of them. */
  readonly #freeSlots: number[] = [];
  readonly #views = new Map<string, FleetView>();
  /** Rooms that changed, in order; each view knows how far it has read. */
  readonly #changes: Room[] = [];
  /** Rooms that the round under way has changed. */
  readonly #touched = new Set<Room>();
  #isRanked = false;
  #fastest: { readonly pace: number; readonly bytesPerMs: number } | null = null;

  constructor(nodes: Iterable<PlaceNode> = []) {
    for (const node of nodes) this.set(node);
  }

  get size(): number {
    return this.#rooms.size;
  }

  /** Takes in a machine, or what is new about it; between rounds, nothing new costs nothing. */
  set(node: PlaceNode): void {
    const { name } = node.capacity;
    const known = this.#rooms.get(name);
    if (known !== undefined) {
      if (sameMoment(known.node, node) && !this.#touched.has(known)) return;
      const isAsBefore = sameMachine(known.node, node);
      known.node = node;
      known.reset();
      if (!isAsBefore) this.#forgetBest();
      return this.#changed(known);
    }
    const room = new Room(this.#freeSlots.pop() ?? this.#slots++, node);
    this.#rooms.set(name, room);
    this.#isRanked = false;
    this.#forgetBest();
    this.#changed(room);
  }

  /** Forgets a machine. */
  remove(name: string): void {
    const room = this.#rooms.get(name);
    if (room === undefined) return;
    this.#rooms.delete(name);
    this.#touched.delete(room);
    this.#forgetBest();
    for (const view of this.#views.values()) view.drop(room);
    this.#freeSlots.push(room.slot);
  }

  get(name: string): Room | null {
    return this.#rooms.get(name) ?? null;
  }

  rooms(): Iterable<Room> {
    return this.#rooms.values();
  }

  /** The least pace and the highest bandwidth of all machines: what no machine can be better than. */
  get best(): { readonly pace: number; readonly bytesPerMs: number } {
    if (this.#fastest === null) {
      let pace = Number.POSITIVE_INFINITY;
      let bytesPerMs = 1;
      for (const room of this.#rooms.values()) {
        pace = Math.min(pace, room.pace);
        bytesPerMs = Math.max(bytesPerMs, room.node.bytesPerMs);
      }
      this.#fastest = { pace, bytesPerMs };
    }
    return this.#fastest;
  }

  /** The machines as tasks of one shape see them. */
  view(ask: Ask): FleetView {
    this.#rank();
    const shape = askShape(ask);
    let view = this.#views.get(shape);
    if (view !== undefined) {
      // The one used longest ago stands first.
      this.#views.delete(shape);
      this.#views.set(shape, view);
      return view;
    }
    if (this.#views.size >= LIMITS.fleetViews) {
      const [oldest] = this.#views.keys();
      if (oldest !== undefined) this.#views.delete(oldest);
    }
    view = new FleetView(ask, this.#rooms, this.#changes);
    this.#views.set(shape, view);
    return view;
  }

  /** Notes that the round changed a room. */
  touch(room: Room): void {
    this.#touched.add(room);
    this.#changed(room);
  }

  /** Forgets what the round gave away and promised. */
  endRound(): void {
    for (const room of this.#touched) {
      room.reset();
      this.#changed(room);
    }
    this.#touched.clear();
  }

  /** Numbers the rooms by name: numbers are compared faster. The order of those that were there stays what it was. */
  #rank(): void {
    if (this.#isRanked) return;
    this.#isRanked = true;
    const rooms = [...this.#rooms.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    rooms.forEach((room, rank) => (room.rank = rank));
  }

  #forgetBest(): void {
    this.#fastest = null;
    for (const view of this.#views.values()) view.forgetLater();
  }

  #changed(room: Room): void {
    room.version++;
    if (this.#changes.push(room) < LIMITS.fleetChanges) return;
    this.#rank();
    for (const view of this.#views.values()) view.catchUp();
    this.#changes.length = 0;
  }
}

/** No room has this version. */
const NEVER = -1;

/** What one machine costs tasks of a shape. */
export interface Offer extends Seated {
  readonly room: Room;
  /** What a millisecond of work costs on it now. */
  cost: number;
}

/** A machine that could have room for tasks of a shape. */
export interface LaterOffer {
  readonly room: Room;
  /** When it is expected to have room; null until somebody asks. */
  freeAtMs: number | null;
}

/** The machines as tasks that ask for the same see them. */
export class FleetView {
  readonly #ask: Ask;
  readonly #rooms: ReadonlyMap<string, Room>;
  readonly #offers = new Map<number, Offer>();
  /** Machines with room now, cheapest first. */
  readonly #heap = new SlotHeap<Offer>(compareOffers);
  /** Machines that fit when idle, fastest first; null until somebody asks. */
  #later: readonly LaterOffer[] | null = null;
  readonly #laterBySlot = new Map<number, LaterOffer>();
  readonly #changes: readonly Room[];
  /** How many changes were read, and by slot, which version of a room was looked at. */
  #read: number;
  readonly #seen: number[] = [];

  constructor(ask: Ask, rooms: ReadonlyMap<string, Room>, changes: readonly Room[]) {
    this.#ask = ask;
    this.#rooms = rooms;
    this.#changes = changes;
    this.#read = changes.length;
    for (const room of rooms.values()) this.#look(room);
  }

  /** Reads the changes to their end; they begin anew after it. */
  catchUp(): void {
    this.#refresh();
    this.#read = 0;
  }

  drop(room: Room): void {
    this.#refresh();
    const offer = this.#offers.get(room.slot);
    if (offer !== undefined) this.#heap.remove(offer);
    this.#offers.delete(room.slot);
    this.#laterBySlot.delete(room.slot);
    this.#seen[room.slot] = NEVER;
  }

  /** What machines there are, and how fast, has changed. */
  forgetLater(): void {
    this.#later = null;
  }

  /** Machines with room now, the one where work costs least first. The fleet must not change during the walk. */
  *inOrder(): Generator<Offer> {
    this.#refresh();
    const { head } = this.#heap;
    if (head === undefined) return;
    // Most walks end at the first.
    yield head;
    let isFirst = true;
    for (const offer of this.#heap.inOrder()) {
      if (!isFirst) yield offer;
      isFirst = false;
    }
  }

  /** What a machine costs; null when it has no room. */
  offerOf(room: Room): Offer | null {
    this.#refresh();
    const offer = this.#offers.get(room.slot);
    return offer !== undefined && offer.seat >= 0 ? offer : null;
  }

  /** Machines that would fit when idle, fastest first, those with room among them. */
  byPace(): readonly LaterOffer[] {
    if (this.#later !== null) return this.#later;
    this.#laterBySlot.clear();
    const rooms = [...this.#rooms.values()].filter((room) => room.couldEverFit(this.#ask));
    this.#later = rooms.sort(compareByPace).map((room) => ({ room, freeAtMs: null }));
    for (const later of this.#later) this.#laterBySlot.set(later.room.slot, later);
    return this.#later;
  }

  /** When a machine without room is expected to have it; infinite when nobody knows. */
  freeAtMs(later: LaterOffer): number {
    later.freeAtMs ??= later.room.freeAtMs(this.#ask);
    return later.freeAtMs;
  }

  /** The same for one machine; infinite for one that has room now, or never. */
  laterOf(room: Room): number {
    return this.offerOf(room) === null ? room.freeAtMs(this.#ask) : Number.POSITIVE_INFINITY;
  }

  #refresh(): void {
    while (this.#read < this.#changes.length) {
      const room = this.#changes[this.#read++] as Room;
      if (this.#seen[room.slot] !== room.version) this.#look(room);
    }
  }

  #look(room: Room): void {
    const { slot } = room;
    this.#seen[slot] = room.version;
    const later = this.#laterBySlot.get(slot);
    if (later !== undefined) later.freeAtMs = null;
    const known = this.#offers.get(slot);
    if (!room.fits(this.#ask)) {
      if (known !== undefined) this.#heap.remove(known);
      return;
    }
    const cost = room.cost(this.#ask);
    if (known === undefined) {
      const offer = { room, cost, seat: -1 };
      this.#offers.set(slot, offer);
      this.#heap.add(offer);
    } else {
      known.cost = cost;
      if (known.seat < 0) this.#heap.add(known);
      else this.#heap.moved(known);
    }
  }
}

/** Whether a machine differs only in what is free and what runs. */
function sameMachine(a: PlaceNode, b: PlaceNode): boolean {
  const [before, after] = [a.capacity, b.capacity];
  return (
    a.speedPercent === b.speedPercent &&
    a.bytesPerMs === b.bytesPerMs &&
    before.os === after.os &&
    before.arch === after.arch &&
    before.total.cpuMilli === after.total.cpuMilli &&
    before.total.memoryBytes === after.total.memoryBytes &&
    before.total.diskBytes === after.total.diskBytes &&
    sameItems(before.labels, after.labels) &&
    sameItems(before.baseKeys, after.baseKeys)
  );
}

/** Whether nothing about a machine differs. */
function sameMoment(a: PlaceNode, b: PlaceNode): boolean {
  const [before, after] = [a.capacity, b.capacity];
  return (
    sameAmounts(before.free, after.free) &&
    (before.gpus === after.gpus || (before.gpus.length === 0 && after.gpus.length === 0)) &&
    a.running.length === b.running.length &&
    a.running.every(({ amounts, endsAtMs }, at) => {
      const other = b.running[at];
      return other !== undefined && endsAtMs === other.endsAtMs && sameAmounts(amounts, other.amounts);
    }) &&
    sameMachine(a, b)
  );
}

function sameAmounts(a: Amounts, b: Amounts): boolean {
  return a.cpuMilli === b.cpuMilli && a.memoryBytes === b.memoryBytes && a.diskBytes === b.diskBytes;
}

function sameItems(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((item, at) => item === b[at]));
}

function compareByPace(a: Room, b: Room): number {
  return a.pace - b.pace || (a.name < b.name ? -1 : 1);
}

function compareOffers(a: Offer, b: Offer): number {
  return a.cost - b.cost || a.room.rank - b.room.rank;
}
