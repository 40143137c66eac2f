// Machines that agree on cache keys over a network in memory, whose messages a test lets through, holds back or drops.

import type { PeerId } from "../../src/base/ids.ts";
import { checkClaimMessage, type ClaimMessage } from "../../src/sched/claim-message.ts";
import { type ClaimEffect, type ClaimEvent, KeyClaims } from "../../src/sched/key-claims.ts";
import { Rendezvous } from "../../src/sched/rendezvous.ts";

export interface Letter {
  readonly from: PeerId;
  readonly to: PeerId;
  readonly message: ClaimMessage;
}

/** What a machine was told about keys: "granted k r1", "busy k r2 by r1", "result k r2 at <peer>", "freed k r2". */
export type Told = string;

export function peerNamed(name: string): PeerId {
  return Bun.SHA256.hash(name, "hex") as PeerId;
}

export class ClaimHub {
  readonly machines = new Map<PeerId, KeyClaims>();
  readonly told = new Map<PeerId, Told[]>();
  readonly letters: Letter[] = [];
  atMs = 0;

  constructor(count: number) {
    for (let at = 0; at < count; at++) this.add(peerNamed(`m${at}`));
    this.meet();
  }

  add(id: PeerId): void {
    this.machines.set(id, new KeyClaims(id));
    this.told.set(id, []);
  }

  get ids(): readonly PeerId[] {
    return [...this.machines.keys()];
  }

  /** All see all. */
  meet(): void {
    for (const id of this.ids) this.tell(id, { kind: "members", alive: this.ids, settled: true });
  }

  homes(key: string): readonly PeerId[] {
    return new Rendezvous(this.ids).homes(key);
  }

  /** Machines that are no homes of a key. */
  others(key: string): readonly PeerId[] {
    return this.ids.filter((id) => !this.homes(key).includes(id));
  }

  want(at: PeerId, key: string, run: string, anew = false): void {
    this.tell(at, { kind: "want", wanted: [{ key, run, anew }] });
  }

  tell(at: PeerId, event: ClaimEvent): void {
    for (const effect of this.machines.get(at)?.step(event, this.atMs) ?? []) this.#take(at, effect);
  }

  /** Delivers one letter, by its place in the order of sending; one to a machine that is gone is lost. */
  deliver(index = 0): void {
    const letter = this.letters.splice(index, 1)[0];
    if (letter === undefined) return;
    const fault = checkClaimMessage(letter.message, "message");
    if (fault !== null) throw new Error(fault);
    this.tell(letter.to, { kind: "message", from: letter.from, message: letter.message });
  }

  /** Delivers all there is, in order. */
  settle(): void {
    for (let left = 10_000; this.letters.length > 0; left--) {
      if (left === 0) throw new Error("The machines talk without end");
      this.deliver();
    }
  }

  /** Lets time pass in ticks of a second, letters arriving at once. */
  wait(ms: number): void {
    for (const end = this.atMs + ms; this.atMs < end;) {
      this.atMs += 1_000;
      for (const id of this.ids) this.tell(id, { kind: "tick" });
      this.settle();
    }
  }

  /** What a machine was told since it was last asked. */
  news(at: PeerId): readonly Told[] {
    return this.told.get(at)?.splice(0) ?? [];
  }

  #take(at: PeerId, effect: ClaimEffect): void {
    if (effect.kind === "send") this.letters.push({ from: at, to: effect.to, message: effect.message });
    else this.told.get(at)?.push(wordsOf(effect));
  }
}

function wordsOf(effect: Exclude<ClaimEffect, { readonly kind: "send" }>): Told {
  const words = `${effect.kind} ${effect.key} ${effect.run}`;
  if (effect.kind === "busy") return `${words} by ${effect.elsewhere}`;
  return effect.kind === "result" ? `${words} at ${effect.at.join(",")}` : words;
}
