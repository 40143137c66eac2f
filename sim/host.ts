// One simulated machine: its disk, its clocks, and the process on it, which may end, stand still and start again at any moment.
// It routes what comes in; worker.ts and coordinator.ts decide what to make of it.

import type { PeerId } from "../src/base/ids.ts";
import type { NodeCapacity } from "../src/sched/fit.ts";
import { type ClaimEffect, type ClaimEvent, KeyClaims } from "../src/sched/key-claims.ts";
import type { NodeTotals } from "../src/sched/ledger.ts";
import type { Timing } from "../src/mesh/membership-event.ts";
import { Coordinator } from "./coordinator.ts";
import type { SimDefinition } from "./definition.ts";
import { Disk } from "./disk.ts";
import { Exchange } from "./exchange.ts";
import type { Message } from "./message.ts";
import type { Lan } from "./lan.ts";
import { MeshNode } from "./mesh-node.ts";
import type { Network } from "./network.ts";
import type { Rules } from "./rules.ts";
import { SimWorker } from "./worker.ts";
import type { World } from "./world.ts";

/** How long a process that starts looks for the others before it takes the mesh to be those it has found. */
const SETTLED_MS = 1_500;

/** A process that stands still for so long takes it for a tick that came late. */
const UNNOTICED_MS = 250;

/** Where a machine stands. */
export interface Surroundings {
  readonly world: World;
  readonly lan: Lan;
  readonly network: Network;
  /** Of membership. */
  readonly timing: Partial<Timing>;
  readonly rules: Rules;
  readonly byId: ReadonlyMap<PeerId, Host>;
}

/** Ends the handling of an event at which the process died. */
class ProcessDied extends Error {}

export class Host {
  readonly id: PeerId;
  readonly name: string;
  readonly totals: NodeTotals;
  readonly speedPercent: number;
  disk = new Disk();
  /** What it last said of itself. */
  snapshot: NodeCapacity | null = null;
  /** Counts the processes there were. */
  life = 0;
  isAlive = false;
  /** The whole machine has no power: nobody is told that its process has ended. */
  isOff = false;
  /** Where it is in the network. */
  address = "";
  /** When it last started, ended, stood still, went on, or moved; and when its process last started. */
  changedAtMs = 0;
  startedAtMs = 0;
  /** How long it has stood still in all, as far as a process can notice. */
  frozenMs = 0;
  isFrozen = false;
  /** Bytes a millisecond that its line carries, each way; and until when what is on its way here takes all of that. */
  readonly lineBytesPerMs: number;
  receivesUntilMs = 0;
  /** Now and then it sends other bytes than it has. */
  isLying = false;
  /** The process dies after so many more journal entries; null when it does not. */
  dieAfterEntries: number | null = null;
  /** How fast its clocks go, and by how much its wall clock is off. */
  readonly #rate: number;
  wallOffMs: number;
  /** What came while it stood still. */
  #backlog: (() => void)[] = [];
  #startedAtMs = 0;
  #frozenAtMs = 0;
  #around: Surroundings | null = null;
  #believed = new Set<Host>();
  mesh: MeshNode | null = null;
  exchange: Exchange | null = null;
  worker: SimWorker | null = null;
  claims: KeyClaims | null = null;
  coordinators = new Map<string, Coordinator>();

  constructor(
    given: {
      readonly id: PeerId;
      readonly totals: NodeTotals;
      readonly speedPercent: number;
      readonly lineBytesPerMs: number;
    },
    clock: { readonly rate: number; readonly wallOffMs: number },
  ) {
    this.id = given.id;
    this.name = given.totals.name;
    this.totals = given.totals;
    this.speedPercent = given.speedPercent;
    this.lineBytesPerMs = given.lineBytesPerMs;
    this.#rate = clock.rate;
    this.wallOffMs = clock.wallOffMs;
  }

  get around(): Surroundings {
    if (this.#around === null) throw new Error("The machine stands nowhere");
    return this.#around;
  }

  set around(around: Surroundings) {
    this.#around = around;
  }

  get isRunning(): boolean {
    return this.isAlive && !this.isFrozen;
  }

  /** A clock that never goes back. */
  get monotonicMs(): number {
    return this.around.world.nowMs * this.#rate;
  }

  /** A clock that anybody may set. */
  get wallMs(): number {
    return Math.round(1_700_000_000_000 + this.around.world.nowMs * this.#rate + this.wallOffMs);
  }

  /** Machines that it believes to be alive, itself among them, by name. */
  get believed(): readonly Host[] {
    return [this, ...this.#believed].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  believes(other: Host): boolean {
    return other === this || this.#believed.has(other);
  }

  /** Does something later, unless the process has ended by then; a frozen one does it when it goes on. */
  after(ms: number, act: () => void): void {
    const { life } = this;
    this.around.world.after(ms, () => this.#do(life, act));
  }

  // The life of the process

  start(): void {
    if (this.isAlive) return;
    const { lan, timing, world } = this.around;
    this.isAlive = true;
    this.isOff = false;
    this.isFrozen = false;
    this.changedAtMs = world.nowMs;
    this.startedAtMs = world.nowMs;
    this.life++;
    this.#backlog = [];
    this.#believed = new Set();
    this.exchange = new Exchange(this);
    this.worker = new SimWorker(this);
    this.claims = new KeyClaims(this.id);
    this.coordinators = new Map();
    this.around.world.note(() => `${this.name} starts, life ${this.life}`);
    this.#startedAtMs = this.monotonicMs;
    this.#tick();
    this.mesh = new MeshNode(this, lan, timing);
    this.#do(this.life, () => this.mesh?.start());
    this.after(SETTLED_MS + 10, () => this.#tellMembers());
    this.#do(this.life, () => this.#takeUpRuns());
  }

  /** `isOff`: the machine dies with its process. */
  crash(isOff = false): void {
    if (!this.isAlive) return;
    this.around.world.note(() => `${this.name} ${isOff ? "loses its power" : "dies"}`);
    const { mesh } = this;
    this.changedAtMs = this.around.world.nowMs;
    this.isOff = isOff;
    this.mesh = null;
    mesh?.ended(!isOff);
    this.isAlive = false;
    this.isFrozen = false;
    this.dieAfterEntries = null;
    this.#backlog = [];
    this.exchange = null;
    this.worker = null;
    this.claims = null;
    this.coordinators = new Map();
    this.snapshot = null;
    this.around.rules.died(this.name);
  }

  freeze(): void {
    if (!this.isRunning) return;
    this.around.world.note(() => `${this.name} stands still`);
    this.isFrozen = true;
    this.#frozenAtMs = this.around.world.nowMs;
    this.changedAtMs = this.around.world.nowMs;
  }

  thaw(): void {
    if (!this.isAlive || !this.isFrozen) return;
    this.around.world.note(() => `${this.name} goes on`);
    this.isFrozen = false;
    this.frozenMs += Math.max(0, this.around.world.nowMs - this.#frozenAtMs - UNNOTICED_MS);
    this.changedAtMs = this.around.world.nowMs;
    const backlog = this.#backlog;
    this.#backlog = [];
    for (const act of backlog) this.#do(this.life, act);
  }

  /** Takes a run from a user. */
  submit(run: string, definition: SimDefinition): void {
    this.disk.definitions.set(run, definition);
    this.disk.journals.set(run, []);
    this.#do(this.life, () => this.#takeUp(run));
  }

  cancel(run: string): void {
    this.#do(this.life, () => this.coordinators.get(run)?.cancel());
  }

  /** A journal entry was written: the process may die here, before it does what follows from it. */
  wroteEntry(): void {
    if (this.dieAfterEntries === null || --this.dieAfterEntries > 0) return;
    this.crash();
    throw new ProcessDied();
  }

  // What comes in

  receive(from: Host, message: Message): void {
    this.#do(this.life, () => this.#route(from, message));
  }

  /** Machines that can be reached and have an output; itself too. */
  holders(digest: string): readonly Host[] {
    const { byId, network } = this.around;
    return [...byId.values()].filter(
      (other) => other.disk.outputs.has(digest) && (other === this || network.reaches(this, other)),
    );
  }

  /** Whether what it sends is wrong this time. */
  lies(): boolean {
    return this.isLying && this.around.world.random.chance(0.5);
  }

  /** Changes its mind about another machine. */
  believe(other: Host, isUp: boolean): void {
    if (this.#believed.has(other) === isUp) return;
    this.around.world.note(() => `${this.name} believes ${other.name} ${isUp ? "up" : "down"}`);
    if (isUp) this.#believed.add(other);
    else this.#believed.delete(other);
    this.#tellMembers();
    this.exchange?.sees(other.id, isUp);
    for (const coordinator of this.coordinators.values()) coordinator.membersChanged(other, isUp);
  }

  /** Does something as that process, if it still lives; a frozen one does it when it goes on. */
  inLife(life: number, act: () => void): void {
    this.#do(life, act);
  }

  /** Gets another address. */
  move(): void {
    const { lan, world } = this.around;
    lan.renumber(this);
    world.note(() => `${this.name} moves to ${this.address}`);
    this.#do(this.life, () => this.mesh?.networkChanged());
  }

  /** Takes another machine out of the mesh. */
  revoke(other: Host): void {
    this.#do(this.life, () => this.mesh?.learnRevoked([other.id]));
  }

  #tellMembers(): void {
    const settled = this.monotonicMs - this.#startedAtMs >= SETTLED_MS;
    this.tellClaims({ kind: "members", alive: this.believed.map(({ id }) => id), settled });
  }

  send(to: Host, message: Message): void {
    this.around.network.send(this, to, message);
  }

  sendTo(id: PeerId, message: Message): void {
    const to = this.around.byId.get(id);
    if (to !== undefined) this.send(to, message);
  }

  tellClaims(event: ClaimEvent): void {
    for (const effect of this.claims?.step(event, this.monotonicMs) ?? []) this.#performClaim(effect);
  }

  /** A run here is over. */
  drop(run: string): void {
    this.coordinators.delete(run);
    this.disk.finished.add(run);
  }

  #performClaim(effect: ClaimEffect): void {
    if (effect.kind === "send") return this.sendTo(effect.to, { kind: "claims", message: effect.message });
    const coordinator = this.coordinators.get(effect.run);
    if (coordinator !== undefined) coordinator.claimAnswered(effect);
    else if (effect.kind === "granted")
      this.tellClaims({ kind: "give-back", key: effect.key, run: effect.run, at: [] });
  }

  #route(from: Host, message: Message): void {
    switch (message.kind) {
      case "lease": {
        const { said } = message;
        if ("run" in said && this.disk.finished.has(said.run)) return this.#closeLease(from, said);
        for (const coordinator of this.coordinators.values()) coordinator.hear(from, said);
        return;
      }
      case "claims":
        return this.tellClaims({ kind: "message", from: from.id, message: message.message });
      case "find": {
        const kept = this.disk.results.get(message.key) ?? null;
        const result = kept !== null && this.disk.outputs.has(kept.digest) ? kept : null;
        const { run, task, round } = message;
        return this.send(from, { kind: "found", run, task, round, result });
      }
      case "found":
        return this.coordinators.get(message.run)?.found(from, message);
      case "question":
        return this.exchange?.asked(from, message.id, message.question);
      case "answer":
        return this.exchange?.calls.heard(from, message.id, message.answer);
      case "call-off":
        return this.exchange?.calledOff(from, message.id);
      case "word":
        return this.exchange?.heardWord(from, message.digest, message.word);
      default:
        return this.worker?.hear(from, message);
    }
  }

  /** Something about a run that is over: nobody wants it any more. */
  #closeLease(from: Host, said: Extract<Message, { readonly kind: "lease" }>["said"]): void {
    if (said.kind === "finished") this.send(from, { kind: "acknowledge", leases: [said.lease] });
    if (said.kind === "granted") this.send(from, { kind: "cancel", lease: said.lease, graceful: false });
    if (said.kind !== "doubt") return;
    for (const lease of said.leases) this.send(from, { kind: "cancel", lease, graceful: false });
    this.send(from, { kind: "acknowledge", leases: said.leases });
  }

  #takeUpRuns(): void {
    for (const run of this.disk.definitions.keys()) if (!this.disk.finished.has(run)) this.#takeUp(run);
  }

  #takeUp(run: string): void {
    const definition = this.disk.definitions.get(run);
    const journal = this.disk.journals.get(run);
    if (definition === undefined || journal === undefined || this.coordinators.has(run)) return;
    const coordinator = new Coordinator(this, run, definition, journal);
    this.coordinators.set(run, coordinator);
    coordinator.begin();
  }

  #tick(): void {
    const act = () => {
      this.snapshot = this.worker?.ledger.capacity() ?? null;
      this.exchange?.calls.tick();
      this.worker?.tell({ kind: "tick" });
      this.tellClaims({ kind: "tick" });
      for (const coordinator of this.coordinators.values()) coordinator.tick();
      this.after(1_000 / this.#rate, act);
    };
    this.after(0, act);
  }

  #do(life: number, act: () => void): void {
    if (!this.isAlive || this.life !== life) return;
    if (this.isFrozen) {
      this.#backlog.push(() => act());
      return;
    }
    try {
      act();
    } catch (error) {
      if (!(error instanceof ProcessDied)) throw error;
    }
  }
}
