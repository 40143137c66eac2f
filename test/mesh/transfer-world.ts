// Machines that spread one content, in virtual time: each has a line of the same rate both ways, which its transfers share a quantum
// at a time. The machines decide; here are only lines, words that take a moment, deaths and losses.

import { type PeerId, peerIdOf } from "../../src/base/ids.ts";
import { type TransferEvent, TransferMachine } from "../../src/mesh/transfer.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

export interface FanOut {
  readonly receivers: number;
  readonly pieces: number;
  readonly seed: number;
  /** Receivers that die on the way. */
  readonly deaths?: number;
  /** How long words and asks take, in milliseconds: as on busy machines, from half of it to as much again. */
  readonly delayMs?: number;
  /** Pieces in a hundred that are lost. */
  readonly lossPercent?: number;
}

export interface FanOutOutcome {
  readonly elapsedMs: number;
  readonly completed: number;
  readonly staying: number;
  /** Pieces that the source sent, and when it had sent each at least once. */
  readonly sourceSent: number;
  readonly sourceDoneMs: number;
}

const PIECE_BYTES = 1 << 20;
const QUANTUM_BYTES = 64 << 10;
const BYTES_PER_MS = 125_000;
const LATENCY_MS = 0.3;
const GOLDEN = (Math.sqrt(5) - 1) / 2;
const MOST_MS = 600_000;

interface Sending {
  readonly to: Receiver;
  readonly piece: number;
  leftBytes: number;
}

interface Node {
  readonly id: PeerId;
  isAlive: boolean;
  readonly sending: Sending[];
  isBusy: boolean;
}

interface Receiver extends Node {
  readonly machine: TransferMachine;
  readonly has: Set<number>;
  downFreeAtMs: number;
  isComplete: boolean;
}

/** Runs until all who live have it. */
export function simulateFanOut(options: FanOut): FanOutOutcome {
  return new FanOutWorld(options).run();
}

class FanOutWorld {
  readonly #options: FanOut;
  readonly #random: SeededRandom;
  readonly #events: { readonly atMs: number; readonly order: number; readonly act: () => void }[] = [];
  readonly #source: Node = { id: idOf("source"), isAlive: true, sending: [], isBusy: false };
  readonly #receivers: readonly Receiver[];
  readonly #sentOnce = new Set<number>();
  #sourceSent = 0;
  #sourceDoneMs = 0;
  #nowMs = 0;
  #order = 0;

  constructor(options: FanOut) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#receivers = Array.from({ length: options.receivers }, (_, at) => this.#receiver(at));
  }

  run(): FanOutOutcome {
    for (const [at, receiver] of this.#receivers.entries()) {
      this.#after(at * LATENCY_MS, () => this.#tell(receiver, { kind: "peer", peer: this.#source.id, has: null }));
      for (const other of this.#receivers)
        if (other !== receiver)
          this.#after(2 + at, () => this.#tell(receiver, { kind: "peer", peer: other.id, has: [...other.has] }));
      this.#after(100, () => this.#tick(receiver));
    }
    for (let deaths = this.#options.deaths ?? 0; deaths > 0; deaths--) {
      const victim = this.#receivers[this.#random.below(this.#receivers.length)];
      if (victim) this.#after(this.#random.below(400), () => this.#die(victim));
    }
    while (this.#receivers.some(({ isAlive, isComplete }) => isAlive && !isComplete) && this.#nowMs < MOST_MS) {
      const next = this.#events.shift();
      if (!next) break;
      this.#nowMs = next.atMs;
      next.act();
    }
    return {
      elapsedMs: this.#nowMs,
      completed: this.#receivers.filter(({ isAlive, isComplete }) => isAlive && isComplete).length,
      staying: this.#receivers.filter(({ isAlive }) => isAlive).length,
      sourceSent: this.#sourceSent,
      sourceDoneMs: this.#sourceDoneMs,
    };
  }

  #receiver(at: number): Receiver {
    const { pieces } = this.#options;
    const has = new Set<number>();
    const machine = new TransferMachine({
      pieces: Array.from({ length: pieces }, () => PIECE_BYTES),
      isDone: () => false,
      startAt: Math.floor(((at * GOLDEN) % 1) * pieces),
    });
    return {
      id: idOf(`receiver ${at}`),
      isAlive: true,
      sending: [],
      isBusy: false,
      machine,
      has,
      downFreeAtMs: 0,
      isComplete: false,
    };
  }

  #after(ms: number, act: () => void): void {
    const event = { atMs: this.#nowMs + ms, order: this.#order++, act };
    let at = this.#events.length;
    while (at > 0 && (this.#events[at - 1]?.atMs ?? 0) > event.atMs) at--;
    this.#events.splice(at, 0, event);
  }

  #tick(receiver: Receiver): void {
    if (!receiver.isAlive || receiver.isComplete) return;
    this.#tell(receiver, { kind: "tick" });
    // What the shell's search does: those who are there are met again.
    if (receiver.machine.sources.length < this.#receivers.length) {
      this.#tell(receiver, { kind: "peer", peer: this.#source.id, has: null });
      for (const other of this.#receivers)
        if (other !== receiver && other.isAlive && !receiver.machine.sources.includes(other.id))
          this.#tell(receiver, { kind: "peer", peer: other.id, has: [...other.has] });
    }
    this.#after(100, () => this.#tick(receiver));
  }

  #tell(receiver: Receiver, event: TransferEvent): void {
    if (!receiver.isAlive || receiver.isComplete) return;
    for (const effect of receiver.machine.step(event, this.#nowMs)) {
      switch (effect.kind) {
        case "fetch":
          if (effect.isScarce) this.#say(receiver, { kind: "promised", peer: receiver.id, piece: effect.piece });
          this.#after(this.#delay(), () => this.#ask(receiver, effect.peer, effect.piece));
          break;
        case "abort": {
          const node = this.#node(effect.peer);
          const at = node?.sending.findIndex(({ to, piece }) => to === receiver && piece === effect.piece) ?? -1;
          if (at >= 0) node?.sending.splice(at, 1);
          break;
        }
        case "complete":
          receiver.isComplete = true;
          this.#say(receiver, { kind: "peer", peer: receiver.id, has: null });
          break;
        case "starved":
          break;
      }
    }
  }

  #say(from: Receiver, event: TransferEvent): void {
    for (const other of this.#receivers) if (other !== from) this.#after(this.#delay(), () => this.#tell(other, event));
  }

  #delay(): number {
    const { delayMs } = this.#options;
    return delayMs === undefined ? LATENCY_MS : delayMs * (0.5 + this.#random.below(1_000) / 1_000);
  }

  #ask(receiver: Receiver, peer: PeerId, piece: number): void {
    const node = this.#node(peer);
    if (!node?.isAlive) return this.#tell(receiver, { kind: "failed", peer, piece, why: "lost" });
    if (node !== this.#source && !(node as Receiver).has.has(piece))
      return this.#tell(receiver, { kind: "failed", peer, piece, why: "missing" });
    node.sending.push({ to: receiver, piece, leftBytes: PIECE_BYTES });
    this.#serve(node);
  }

  /** Sends one quantum of what waits, in turn. */
  #serve(node: Node): void {
    if (node.isBusy || !node.isAlive) return;
    // A line does not wait for one receiver while it could serve another.
    const freeFirst = node.sending.toSorted((a, b) => a.to.downFreeAtMs - b.to.downFreeAtMs)[0];
    const sending = node.sending.find(({ to }) => to.downFreeAtMs <= this.#nowMs) ?? freeFirst;
    if (!sending) return;
    node.sending.splice(node.sending.indexOf(sending), 1);
    node.isBusy = true;
    const { to } = sending;
    const startMs = Math.max(this.#nowMs, to.downFreeAtMs);
    const endMs = startMs + QUANTUM_BYTES / BYTES_PER_MS;
    to.downFreeAtMs = endMs;
    this.#after(endMs - this.#nowMs, () => {
      node.isBusy = false;
      sending.leftBytes -= QUANTUM_BYTES;
      if (!node.isAlive) this.#tell(to, { kind: "failed", peer: node.id, piece: sending.piece, why: "lost" });
      else if (sending.leftBytes > 0) node.sending.push(sending);
      else this.#arrive(node, sending);
      this.#serve(node);
    });
  }

  #arrive(from: Node, { to, piece }: Sending): void {
    if (!to.isAlive) return;
    if (from === this.#source) {
      this.#sourceSent++;
      if (!this.#sentOnce.has(piece)) this.#sourceDoneMs = this.#nowMs;
      this.#sentOnce.add(piece);
    }
    if (this.#random.below(100) < (this.#options.lossPercent ?? 0))
      return this.#tell(to, { kind: "failed", peer: from.id, piece, why: "lost" });
    to.has.add(piece);
    this.#say(to, { kind: "got", peer: to.id, piece });
    this.#tell(to, { kind: "done", peer: from.id, piece });
  }

  #die(victim: Receiver): void {
    victim.isAlive = false;
    for (const { to, piece } of victim.sending.splice(0))
      this.#tell(to, { kind: "failed", peer: victim.id, piece, why: "lost" });
    for (const other of this.#receivers) this.#tell(other, { kind: "gone", peer: victim.id });
  }

  #node(id: PeerId): Node | undefined {
    return id === this.#source.id ? this.#source : this.#receivers.find((receiver) => receiver.id === id);
  }
}

function idOf(name: string): PeerId {
  return peerIdOf(new Bun.CryptoHasher("sha256").update(name).digest());
}
