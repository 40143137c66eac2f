// What must hold of one output on its way to a machine, seen from above: who was asked for what, who lied, what is on the disk, and who
// had it all the time.

import type { PeerId } from "../src/base/ids.ts";
import { LIMITS } from "../src/base/limits.ts";
import type { ReceiverEffect, ReceiverEvent } from "../src/mesh/receiver.ts";
import type { Host } from "./host.ts";
import type { Fetches } from "./rules.ts";
import { must } from "./world.ts";

/** A piece is asked of a second machine no sooner than so many milliseconds after it was asked of the first. */
const SECOND_MS = 99;
/** Nobody gives up sooner: as long as content is looked for, by the fastest clock. */
const SEARCH_MS = LIMITS.contentSearchMs * 0.999;
/** Pieces in a row that a machine may lose before it is out for good. */
const MOST_LOSSES = 6;
/** A transfer in which nothing arrives for so long has ended. */
const STANDSTILL_MS = 8 * LIMITS.contentStallMs;

export class TransferRules {
  readonly #host: Host;
  readonly #digest: string;
  readonly #pieces: number;
  readonly #life: number;
  readonly #liars = new Set<PeerId>();
  readonly #gone = new Set<PeerId>();
  /** Pieces in a row that each machine has lost. */
  readonly #losses = new Map<PeerId, number>();
  /** Pieces that each machine said it has not. */
  readonly #lacking = new Map<PeerId, Set<number>>();
  /** Pieces that are asked for: of whom, and since when. */
  readonly #asked = new Map<number, Map<PeerId, number>>();
  /** Machines that have had it and could be reached at each search, and since when. */
  #there = new Map<Host, number>();
  /** Machines that sent something of it. */
  readonly #sources = new Set<PeerId>();
  #progressMs: number;
  /** How long the machine had stood still by then. */
  #frozenMs: number;
  #isOver = false;

  constructor(output: { readonly host: Host; readonly digest: string; readonly pieces: readonly number[] }) {
    this.#host = output.host;
    this.#digest = output.digest;
    this.#pieces = output.pieces.length;
    this.#life = output.host.life;
    this.#progressMs = this.#nowMs;
    this.#frozenMs = output.host.frozenMs;
    this.#watch();
  }

  /** The transfer hears of something. */
  told(event: ReceiverEvent): void {
    if (event.kind !== "tick") this.#note(() => `hears ${this.#text(event)}`);
    switch (event.kind) {
      case "begin":
        if (this.#host.disk.parts.has(this.#digest)) this.#fetches.resumed++;
        return;
      case "done":
        this.#progressMs = this.#nowMs;
        this.#frozenMs = this.#host.frozenMs;
        this.#fetches.pieces++;
        this.#sources.add(event.peer);
        this.#losses.delete(event.peer);
        this.#answered(event.peer, event.piece);
        return;
      case "failed":
        this.#answered(event.peer, event.piece);
        if (event.why === "missing") this.#lacks(event.peer).add(event.piece);
        if (event.why === "lost") this.#losses.set(event.peer, (this.#losses.get(event.peer) ?? 0) + 1);
        if (event.why !== "lied") return;
        this.#fetches.lies++;
        this.#liars.add(event.peer);
        return;
      case "gone":
        this.#gone.add(event.peer);
        return;
      case "joined":
        this.#gone.delete(event.peer);
        this.#lacking.delete(event.peer);
        return;
      case "heard":
        if (event.word.kind === "all") this.#lacking.delete(event.peer);
        else if (event.word.kind === "got") this.#lacks(event.peer).delete(event.word.piece);
        return;
      default:
    }
  }

  /** The transfer wants something done, and it is not done yet. */
  wants(effect: ReceiverEffect): void {
    this.#note(() => `wants ${this.#text(effect)}`);
    this.#must(!this.#isOver, () => `goes on after its end: ${effect.kind}`);
    switch (effect.kind) {
      case "join":
        return this.#must(!this.#liars.has(effect.peer), () => `asks ${this.#name(effect.peer)} again, which lied`);
      case "fetch":
        return this.#asks(effect.peer, effect.piece);
      case "abort":
        return this.#answered(effect.peer, effect.piece);
      case "search":
        return this.#searches();
      case "complete":
        return this.#completes();
      case "missing":
        return this.#misses();
      default:
    }
  }

  /** All that it wanted is done. */
  stepped(): void {
    for (const piece of this.#asked.keys()) this.#must(!this.#hasFetched(piece), () => `still asks for piece ${piece}`);
    const parts = this.#host.disk.parts.get(this.#digest)?.size ?? 0;
    this.#must(this.#isOver || parts < this.#pieces, () => `has all ${parts} pieces and goes on`);
  }

  /** It has ended, or nobody wants it any more. */
  over(end: string): void {
    this.#note(() => `ends: ${end}`);
    this.#isOver = true;
    const { ends } = this.#fetches;
    ends.set(end, (ends.get(end) ?? 0) + 1);
    if (this.#sources.size > 1) this.#fetches.shared++;
  }

  #asks(peer: PeerId, piece: number): void {
    const name = `piece ${piece} of ${this.#name(peer)}`;
    this.#must(!this.#liars.has(peer), () => `asks for ${name}, which lied`);
    this.#must(!this.#gone.has(peer), () => `asks for ${name}, which is gone`);
    this.#must(!this.#lacks(peer).has(piece), () => `asks for ${name}, which has not got it`);
    const losses = this.#losses.get(peer) ?? 0;
    this.#must(losses < MOST_LOSSES, () => `asks for ${name}, which has lost ${losses}`);
    this.#must(!this.#hasFetched(piece), () => `asks for ${name} and has it`);
    const asked = this.#asked.get(piece) ?? new Map<PeerId, number>();
    const sinceMs = Math.max(...asked.values());
    this.#must(
      asked.size === 0 || (asked.size === 1 && this.#nowMs - sinceMs >= SECOND_MS),
      () => `asks for ${name} beside ${asked.size} others, the last ${this.#nowMs - sinceMs} ms ago`,
    );
    if (asked.size > 0) this.#fetches.seconds++;
    this.#asked.set(piece, asked.set(peer, this.#nowMs));
    const underWay = this.#asked.values().reduce((sum, { size }) => sum + size, 0);
    this.#must(underWay <= LIMITS.pieces, () => `asks for ${underWay} pieces at once`);
    const ofIt = this.#asked.values().reduce((sum, peers) => sum + (peers.has(peer) ? 1 : 0), 0);
    this.#must(ofIt <= LIMITS.piecesPerPeer, () => `asks for ${ofIt} pieces of ${this.#name(peer)} at once`);
  }

  #lacks(peer: PeerId): Set<number> {
    const lacking = this.#lacking.get(peer) ?? new Set<number>();
    this.#lacking.set(peer, lacking);
    return lacking;
  }

  #answered(peer: PeerId, piece: number): void {
    const asked = this.#asked.get(piece);
    const name = `piece ${piece} of ${this.#name(peer)}`;
    this.#must(asked?.delete(peer) === true, () => `is done with ${name} and never asked for it`);
    if (asked?.size === 0) this.#asked.delete(piece);
  }

  /** Whether a piece has arrived, rather than been made here meanwhile. */
  #hasFetched(piece: number): boolean {
    return this.#host.disk.parts.get(this.#digest)?.has(piece) === true;
  }

  #searches(): void {
    const there = new Map<Host, number>();
    for (const host of this.#host.around.byId.values())
      if (this.#isThere(host)) there.set(host, this.#there.get(host) ?? this.#nowMs);
    this.#there = there;
  }

  #isThere(host: Host): boolean {
    return (
      host !== this.#host &&
      !host.isLying &&
      !host.disk.isStuck &&
      !this.#liars.has(host.id) &&
      (this.#losses.get(host.id) ?? 0) < MOST_LOSSES &&
      host.disk.outputs.has(this.#digest) &&
      this.#host.believes(host) &&
      this.#host.around.network.reaches(this.#host, host)
    );
  }

  #completes(): void {
    this.#isOver = true;
    const { disk } = this.#host;
    const right = disk.outputs.has(this.#digest)
      ? this.#pieces
      : (disk.parts.get(this.#digest)?.values().filter(Boolean).toArray().length ?? 0);
    this.#must(right === this.#pieces, () => `is complete with ${right} of ${this.#pieces} pieces`);
  }

  /** Nobody had it, or could have sent it in time. */
  #misses(): void {
    this.#isOver = true;
    const searchedMs = this.#nowMs - this.#progressMs - (this.#host.frozenMs - this.#frozenMs);
    this.#must(searchedMs >= SEARCH_MS, () => `gives up after ${searchedMs} ms`);
    const { lan } = this.#host.around;
    for (const [host, sinceMs] of this.#there) {
      const changedAtMs = Math.max(
        host.changedAtMs,
        this.#host.changedAtMs,
        lan.changedAtMs(host, this.#host),
        lan.changedAtMs(this.#host, host),
      );
      const isLong = this.#nowMs - Math.max(changedAtMs, sinceMs) >= 6 * lan.mostDelayMs + 1_000;
      this.#must(!isLong || !this.#isThere(host), () => `gives up, and ${host.name} had it since ${sinceMs} ms`);
    }
  }

  /** Unless its process has ended, it ends itself. */
  #watch(): void {
    const { world } = this.#host.around;
    world.after(STANDSTILL_MS / 8, () => {
      if (this.#isOver || this.#host.life !== this.#life || !this.#host.isAlive) return;
      const sinceMs = Math.max(this.#progressMs, this.#host.changedAtMs);
      this.#must(
        this.#host.isFrozen || this.#nowMs - sinceMs < STANDSTILL_MS,
        () => `stands still since ${sinceMs} ms`,
      );
      this.#watch();
    });
  }

  get #fetches(): Fetches {
    return this.#host.around.rules.fetches;
  }

  get #nowMs(): number {
    return this.#host.around.world.nowMs;
  }

  #name(peer: PeerId): string {
    return this.#host.around.byId.get(peer)?.name ?? peer;
  }

  #note(line: () => string): void {
    this.#host.around.world.note(() => `${this.#host.name}'s fetch of ${this.#digest} ${line()}`);
  }

  /** What is said, with the names of machines. */
  #text(said: ReceiverEvent | ReceiverEffect): string {
    const { byId } = this.#host.around;
    return Bun.inspect(said, { compact: true }).replace(/"([^"]+)"/g, (_, id: PeerId) => byId.get(id)?.name ?? id);
  }

  #must(condition: boolean, message: () => string): void {
    must(condition, () => `${this.#host.name}'s fetch of ${this.#digest} ${message()}`);
  }
}
