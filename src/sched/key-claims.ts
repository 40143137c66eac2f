// One machine's part in running a cache key once over the mesh. A run takes a key from the key's two homes, first one, then
// the other; when a machine comes or goes, one of the two still knows. Holders repeat what they hold, so that new homes learn it.
// It sends nothing itself. Two parts of a mesh that cannot reach each other may both run a key: dear, never wrong.

import { unreachable } from "../base/assert.ts";
import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import type { ClaimAnswer, ClaimMessage, KeyClaim } from "./claim-message.ts";
import { ClaimOutbox } from "./claim-outbox.ts";
import { type Freed, KeyHome } from "./key-home.ts";
import { Rendezvous } from "./rendezvous.ts";

export interface Wanted {
  readonly key: string;
  readonly run: string;
}

export type ClaimEvent =
  /**
   * Machines that are alive as this one sees it, itself included. `settled`: it has had the time to find those that there are.
   * Before that it takes no key: one that has just started would take itself for the whole mesh.
   */
  | { readonly kind: "members"; readonly alive: readonly PeerId[]; readonly settled: boolean }
  /** A run here wants keys. `anew`: the result that it was pointed at is not there. Each is answered by an effect. */
  | { readonly kind: "want"; readonly wanted: readonly (Wanted & { readonly anew?: boolean })[] }
  /** A run here is done with a key, or does not want it any more. `at`: who has the result; empty when there is none. */
  | ({ readonly kind: "give-back"; readonly at: readonly PeerId[] } & Wanted)
  /** An attempt with this key runs here for a run that is coordinated anywhere: its hold is repeated from here as well. */
  | ({ readonly kind: "hold" } & Wanted)
  /** That attempt is over. The key stays taken until its run gives it back, or nobody speaks for it. */
  | ({ readonly kind: "let-go" } & Wanted)
  /** Checked by `checkClaimMessage`. */
  | { readonly kind: "message"; readonly from: PeerId; readonly message: ClaimMessage }
  /** Time has passed. Comes at least once a second. */
  | { readonly kind: "tick" };

export type ClaimEffect =
  | { readonly kind: "send"; readonly to: PeerId; readonly message: ClaimMessage }
  /** The run has the key until it gives it back. */
  | ({ readonly kind: "granted" } & Wanted)
  /** Another run has it. Told by freed when it is worth another try. */
  | ({ readonly kind: "busy"; readonly by: PeerId; readonly elsewhere: string } & Wanted)
  | ({ readonly kind: "result"; readonly at: readonly PeerId[] } & Wanted)
  /** What was busy may be free, or have a result: look the result up, then want the key again. */
  | ({ readonly kind: "freed" } & Wanted);

/** asking: the homes, one after another; held: it is this run's; watching: another run's. */
type Phase = "asking" | "held" | "watching";

interface Hold {
  readonly key: string;
  readonly run: string;
  turn: number;
  anew: boolean;
  phase: Phase;
  homes: readonly PeerId[];
  /** Index of the home that is being asked. */
  stage: number;
  /** Times that home was asked. */
  tries: number;
  /** When it last asked, repeated its hold, or began to watch. */
  atMs: number;
  /** Whether a run here, an attempt here, or both stand behind it. */
  byRun: boolean;
  byAttempt: boolean;
}

export class KeyClaims {
  readonly #self: PeerId;
  readonly #home = new KeyHome();
  readonly #holds = new Map<string, Hold>();
  #members: Rendezvous;
  #isSettled = false;
  #turn = 0;
  #nowMs = 0;
  #lastAtMs: number | null = null;
  #effects: ClaimEffect[] = [];
  readonly #outbox = new ClaimOutbox();

  constructor(self: PeerId) {
    this.#self = self;
    this.#members = new Rendezvous([self]);
  }

  /** Takes one event at a time of a clock that never goes back; returns what is to be done, in order. */
  step(event: ClaimEvent, nowMs: number): readonly ClaimEffect[] {
    this.#nowMs = nowMs;
    this.#forgivePause();
    this.#apply(event);
    this.#flush();
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** The run that has a key, as far as this machine looks after it; null when it is free or another's to look after. */
  holderOf(key: string): string | null {
    return this.#home.holderOf(key, this.#nowMs);
  }

  /** Whether a run has a key as far as this machine, where the run is, knows. */
  holds(key: string, run: string): boolean {
    return this.#holds.get(holdId(key, run))?.phase === "held";
  }

  #apply(event: ClaimEvent): void {
    switch (event.kind) {
      case "members":
        this.#isSettled = event.settled;
        return this.#move(event.alive);
      case "want":
        for (const { key, run, anew } of event.wanted) this.#want(key, run, anew === true);
        return;
      case "give-back":
        return this.#giveBack(event.key, event.run, event.at);
      case "hold":
        return this.#holdHere(event.key, event.run);
      case "let-go": {
        const hold = this.#holds.get(holdId(event.key, event.run));
        if (hold !== undefined) this.#drop(hold, "byAttempt");
        return;
      }
      case "message":
        return this.#hear(event.from, event.message);
      case "tick":
        return this.#tick();
      default:
        return unreachable(event);
    }
  }

  // What is wanted and held here

  #want(key: string, run: string, anew: boolean): void {
    const known = this.#holds.get(holdId(key, run));
    if (known?.phase === "held") {
      known.byRun = true;
      return this.#emit({ kind: "granted", key, run });
    }
    if (known?.phase === "asking") return;
    const hold = known ?? this.#open(key, run);
    hold.byRun = true;
    hold.anew = anew;
    this.#askAnew(hold, hold.turn);
  }

  #holdHere(key: string, run: string): void {
    const hold = this.#holds.get(holdId(key, run)) ?? this.#open(key, run);
    hold.byAttempt = true;
    if (hold.phase === "held") return;
    const isAsked = hold.phase === "asking" && hold.byRun;
    hold.phase = "held";
    hold.homes = this.#members.homes(key);
    this.#repeat(hold);
    if (isAsked) this.#emit({ kind: "granted", key, run });
  }

  #giveBack(key: string, run: string, at: readonly PeerId[]): void {
    const hold = this.#holds.get(holdId(key, run));
    if (hold === undefined) return;
    if (hold.phase !== "watching") this.#release(hold, hold.homes, at);
    this.#holds.delete(holdId(key, run));
  }

  #open(key: string, run: string): Hold {
    const hold: Hold = {
      key,
      run,
      turn: this.#nextTurn(0),
      anew: false,
      phase: "asking",
      homes: [],
      stage: 0,
      tries: 0,
      atMs: this.#nowMs,
      byRun: false,
      byAttempt: false,
    };
    this.#holds.set(holdId(key, run), hold);
    return hold;
  }

  #drop(hold: Hold, side: "byRun" | "byAttempt"): void {
    hold[side] = false;
    if (!hold.byRun && !hold.byAttempt) this.#holds.delete(holdId(hold.key, hold.run));
  }

  #askAnew(hold: Hold, last: number): void {
    hold.turn = this.#nextTurn(last);
    this.#ask(hold);
  }

  /** Higher than `last`, and than every turn that this machine has used. */
  #nextTurn(last: number): number {
    this.#turn = Math.max(this.#turn, last) + 1;
    return this.#turn;
  }

  /** Asks the homes from the first on. */
  #ask(hold: Hold): void {
    hold.phase = "asking";
    hold.homes = this.#isSettled ? this.#members.homes(hold.key) : [];
    hold.stage = 0;
    if (this.#isSettled) this.#askStage(hold);
  }

  #askStage(hold: Hold): void {
    hold.tries = 1;
    this.#askAgain(hold);
  }

  #askAgain(hold: Hold): void {
    const home = hold.homes[hold.stage];
    hold.atMs = this.#nowMs;
    if (home !== undefined) return this.#claim(home, hold, false);
    hold.phase = "held";
    this.#emit({ kind: "granted", key: hold.key, run: hold.run });
  }

  /** Says to the homes that the key runs already. */
  #repeat(hold: Hold): void {
    hold.atMs = this.#nowMs;
    for (const home of hold.homes) this.#claim(home, hold, true);
  }

  #nextStage(hold: Hold): void {
    hold.stage++;
    this.#askStage(hold);
  }

  // What homes say

  #answered(from: PeerId, claim: KeyClaim, answer: ClaimAnswer): void {
    const hold = this.#holds.get(holdId(claim.key, claim.run));
    if (hold === undefined || hold.phase === "watching" || !hold.homes.includes(from)) {
      // Nobody wants that any more: the home need not wait for its time to run out.
      if (answer.kind === "granted") this.#retract(claim, [from]);
      return;
    }
    if (claim.turn !== hold.turn || hold.phase !== "asking" || from !== hold.homes[hold.stage]) return;
    switch (answer.kind) {
      case "granted":
        hold.turn = Math.max(hold.turn, answer.last);
        return this.#nextStage(hold);
      case "full":
        return this.#nextStage(hold);
      case "stale":
        return this.#askAnew(hold, answer.last);
      case "busy":
        return this.#withdraw(hold, [], (wanted) => ({
          kind: "busy",
          by: answer.by,
          elsewhere: answer.run,
          ...wanted,
        }));
      case "result":
        return this.#withdraw(hold, answer.at, (wanted) => ({ kind: "result", at: answer.at, ...wanted }));
      default:
        return unreachable(answer);
    }
  }

  /** An answer to a repeated hold. Another run that has it as well was granted it on the other side of a partition: both go on. */
  #repeated(claim: KeyClaim, answer: ClaimAnswer): void {
    const hold = this.#holds.get(holdId(claim.key, claim.run));
    if (hold === undefined || hold.phase !== "held" || claim.turn !== hold.turn) return;
    if (answer.kind === "granted") hold.turn = Math.max(hold.turn, answer.last);
    // Perhaps it only asked, and withdraws: soon said again.
    if (answer.kind === "busy") hold.atMs = Math.min(hold.atMs, this.#nowMs - LIMITS.claimRepeatMs + LIMITS.claimAskMs);
    if (answer.kind !== "stale") return;
    // Its run has given it back, only nobody told the attempt here.
    if (!hold.byRun) this.#holds.delete(holdId(hold.key, hold.run));
    // Or it was given to another run meanwhile, on the other side of a partition, and that one is done.
    else hold.turn = this.#nextTurn(answer.last);
  }

  /** Gives back what earlier homes granted, watches, and says why. */
  #withdraw(hold: Hold, at: readonly PeerId[], effect: (wanted: Wanted) => ClaimEffect): void {
    const earlier = hold.homes.slice(0, hold.stage);
    if (at.length > 0) this.#release(hold, earlier, at);
    else this.#retract(hold, earlier);
    hold.phase = "watching";
    hold.atMs = this.#nowMs;
    const { key, run } = hold;
    const emitted = effect({ key, run });
    if (emitted.kind !== "busy") this.#drop(hold, "byRun");
    this.#emit(emitted);
  }

  #freed(key: string): void {
    for (const hold of this.#holds.values()) if (hold.key === key && hold.phase === "watching") this.#tellFreed(hold);
  }

  #tellFreed(hold: Hold): void {
    this.#drop(hold, "byRun");
    this.#emit({ kind: "freed", key: hold.key, run: hold.run });
  }

  // What others ask this machine as a home

  #hear(from: PeerId, message: ClaimMessage): void {
    switch (message.kind) {
      case "claim":
        for (const { key, run, turn, held, anew } of message.claims) {
          const answer = this.#home.claim(from, { key, run, turn }, { held, anew, nowMs: this.#nowMs });
          this.#outbox.for(from).answers.push({ key, run, turn, held, answer });
        }
        return;
      case "answer":
        for (const { answer, held, ...claim } of message.answers) {
          if (held) this.#repeated(claim, answer);
          else this.#answered(from, claim, answer);
        }
        return;
      case "release":
        for (const claim of message.releases) {
          const freed = claim.done ? this.#home.release(from, claim, this.#nowMs) : this.#home.retract(claim);
          if (freed !== null) this.#wake(freed);
        }
        return;
      case "freed":
        for (const key of message.keys) this.#freed(key);
        return;
      default:
        return unreachable(message);
    }
  }

  #wake(freed: Freed): void {
    for (const waiter of freed.waiters) this.#outbox.for(waiter).freed.push(freed.key);
  }

  // Time and membership

  #tick(): void {
    for (const freed of this.#home.expire(this.#nowMs)) this.#wake(freed);
    for (const hold of this.#holds.values()) {
      const silentMs = this.#nowMs - hold.atMs;
      if (hold.phase === "held" && silentMs >= LIMITS.claimRepeatMs) this.#repeat(hold);
      else if (hold.phase === "watching" && silentMs >= LIMITS.claimWatchMs) this.#tellFreed(hold);
      else if (hold.phase === "asking" && this.#isSettled && silentMs >= LIMITS.claimAskMs) {
        // A home that does not answer and is not called dead either must not hold a run up: the other one guards the key.
        if (hold.tries >= LIMITS.claimTries) this.#nextStage(hold);
        else {
          hold.tries++;
          this.#askAgain(hold);
        }
      }
    }
  }

  #move(alive: readonly PeerId[]): void {
    this.#members = new Rendezvous([...alive, this.#self]);
    for (const hold of this.#holds.values()) {
      const homes = this.#members.homes(hold.key);
      if (homes.join() === hold.homes.join()) continue;
      if (hold.phase === "asking") {
        this.#retract(hold, hold.homes.slice(0, hold.stage + 1));
        this.#askAnew(hold, hold.turn);
      } else if (hold.phase === "held") {
        this.#retract(
          hold,
          hold.homes.filter((home) => !homes.includes(home)),
        );
        hold.homes = homes;
        this.#repeat(hold);
      } else this.#tellFreed(hold);
    }
  }

  /** A home that was frozen has heard no holder meanwhile. */
  #forgivePause(): void {
    const pauseMs = this.#lastAtMs === null ? 0 : this.#nowMs - this.#lastAtMs;
    this.#lastAtMs = this.#nowMs;
    if (pauseMs > LIMITS.ownPauseMs) this.#home.postpone(pauseMs);
  }

  // Sending

  #claim(home: PeerId, { key, run, turn, anew }: Hold, held: boolean): void {
    this.#outbox.for(home).claims.push({ key, run, turn, held, anew });
  }

  #release({ key, run, turn }: KeyClaim, homes: readonly PeerId[], at: readonly PeerId[]): void {
    for (const home of homes) this.#outbox.for(home).releases.push({ key, run, turn, done: true, at });
  }

  #retract({ key, run, turn }: KeyClaim, homes: readonly PeerId[]): void {
    for (const home of homes) this.#outbox.for(home).releases.push({ key, run, turn, done: false, at: [] });
  }

  /** Sends what has gathered. What this machine says to itself it hears at once. */
  #flush(): void {
    for (let next = this.#outbox.take(); next !== null; next = this.#outbox.take()) {
      for (const message of next.messages) {
        if (next.to === this.#self) this.#hear(next.to, message);
        else this.#emit({ kind: "send", to: next.to, message });
      }
    }
  }

  #emit(effect: ClaimEffect): void {
    this.#effects.push(effect);
  }
}

function holdId(key: string, run: string): string {
  return `${key} ${run}`;
}
