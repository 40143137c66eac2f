// One output on its way to a simulated machine: the program's own receiver, whose effects are performed over the simulated network and
// disk as src/mesh/io/transfer.ts performs them.

import type { PeerId } from "../src/base/ids.ts";
import { LIMITS } from "../src/base/limits.ts";
import { Receiver, type ReceiverEffect, type ReceiverEvent } from "../src/mesh/receiver.ts";
import type { Exchange } from "./exchange.ts";
import type { Host } from "./host.ts";
import type { Answer } from "./message.ts";
import { TransferRules } from "./transfer-rules.ts";

/** "full": the disk has no room for it. */
export type TransferEnd = "here" | "missing" | "full";

export class SimTransfer {
  readonly #host: Host;
  readonly #exchange: Exchange;
  readonly #digest: string;
  readonly #pieces: readonly number[];
  readonly #rules: TransferRules;
  readonly #ended: (end: TransferEnd) => void;
  /** What calls off each question for a piece, by machine and piece. */
  readonly #asked = new Map<string, () => void>();
  #receiver: Receiver | null = null;
  #alarmAtMs = Number.POSITIVE_INFINITY;
  #isOver = false;

  constructor(
    exchange: Exchange,
    output: { readonly host: Host; readonly digest: string; readonly pieces: readonly number[] },
    ended: (end: TransferEnd) => void,
  ) {
    this.#host = output.host;
    this.#exchange = exchange;
    this.#digest = output.digest;
    this.#pieces = output.pieces;
    this.#ended = ended;
    this.#rules = new TransferRules(output);
  }

  get #bytes(): number {
    return this.#pieces.reduce((sum, bytes) => sum + bytes, 0);
  }

  get pieces(): number {
    return this.#pieces.length;
  }

  begin(holders: readonly PeerId[]): void {
    if (this.#isOver) return;
    const { disk, id } = this.#host;
    this.#receiver = new Receiver({
      self: id,
      pieces: this.#pieces,
      isDone: (piece) => disk.hasPiece(this.#digest, piece),
      holders,
      known: null,
      banned: [],
      swarm: () => this.#exchange.swarms.of(this.#digest),
      searchMs: LIMITS.contentSearchMs,
      stallMs: LIMITS.contentStallMs,
    });
    this.tell({ kind: "begin" });
  }

  tell(event: ReceiverEvent): void {
    if (this.#isOver || this.#receiver === null) return;
    this.#rules.told(event);
    for (const effect of this.#receiver.step(event, this.#host.monotonicMs)) {
      this.#rules.wants(effect);
      this.#perform(effect);
    }
    this.#rules.stepped();
    this.#setAlarm(this.#receiver);
  }

  /** `end`: "left" when nobody wants it any more. */
  stop(end: TransferEnd | "left"): void {
    this.#isOver = true;
    this.#rules.over(end);
    for (const callOff of this.#asked.values()) callOff();
  }

  #setAlarm(receiver: Receiver): void {
    const atMs = receiver.wakeAtMs;
    if (this.#isOver || atMs >= this.#alarmAtMs) return;
    this.#alarmAtMs = atMs;
    this.#host.after(Math.max(0.01, atMs - this.#host.monotonicMs), () => {
      if (this.#alarmAtMs !== atMs) return;
      this.#alarmAtMs = Number.POSITIVE_INFINITY;
      this.tell({ kind: "tick" });
    });
  }

  #perform(effect: ReceiverEffect): void {
    switch (effect.kind) {
      case "join":
        return this.#join(effect.peer);
      case "fetch":
        return this.#fetch(effect.peer, effect.piece);
      case "abort": {
        const name = `${effect.peer} ${effect.piece}`;
        this.#asked.get(name)?.();
        this.#asked.delete(name);
        return;
      }
      case "say":
        for (const to of effect.to) this.#host.sendTo(to, { kind: "word", digest: this.#digest, word: effect.word });
        return;
      case "search":
        return this.#exchange.search(this.#digest, {
          found: (peer) => this.tell({ kind: "met", peer }),
          over: () => this.tell({ kind: "searched" }),
        });
      case "lied":
        return;
      case "complete":
        this.#host.disk.keepWhole(this.#digest);
        return this.#end("here");
      case "missing":
        return this.#end("missing");
    }
  }

  #join(peer: PeerId): void {
    this.#exchange.ask(peer, { kind: "join", digest: this.#digest, bytes: this.#bytes }, (answer) => {
      if (answer?.kind === "joined") this.tell({ kind: "joined", peer, has: answer.has, swarm: answer.swarm });
      else this.tell({ kind: "refused", peer, why: answer === null ? "lost" : "missing" });
    });
  }

  #fetch(peer: PeerId, piece: number): void {
    const name = `${peer} ${piece}`;
    const question = { kind: "piece", digest: this.#digest, piece, bytes: this.#pieces[piece] ?? 0 } as const;
    const callOff = this.#exchange.ask(peer, question, (answer) => {
      this.#asked.delete(name);
      this.#answered(peer, piece, answer);
    });
    this.#asked.set(name, callOff);
  }

  #answered(peer: PeerId, piece: number, answer: Answer | null): void {
    if (answer?.kind !== "piece")
      return this.tell({ kind: "failed", peer, piece, why: answer === null ? "lost" : "missing" });
    if (this.#host.disk.isFull) return this.#end("full");
    if (!answer.isRight) return this.tell({ kind: "failed", peer, piece, why: "lied" });
    this.#host.disk.keepPiece(this.#digest, piece, answer.isRight);
    this.tell({ kind: "done", peer, piece });
  }

  #end(end: TransferEnd): void {
    if (this.#isOver) return;
    this.stop(end);
    this.#ended(end);
  }
}
