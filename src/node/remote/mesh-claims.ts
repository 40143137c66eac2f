// Cache keys that the runs of this machine want executed, claimed over the mesh: the shell of the claims machine. It sends what
// that wants sent and hands its answers to the runs. One for a machine and its mesh.

import type { Digest } from "../../base/digest.ts";
import type { PeerId, RunId } from "../../base/ids.ts";
import type { Peers } from "../../mesh/peers.ts";
import { type ClaimMessage, checkClaimMessage } from "../../sched/claim-message.ts";
import { type ClaimEffect, type ClaimEvent, KeyClaims } from "../../sched/key-claims.ts";
import { taken } from "./wire-check.ts";

/** What became of a wish for a key. */
export type ClaimAnswer =
  /** The run has it until it gives it back. */
  | { readonly kind: "granted" }
  /** Another run has it; `freed` says when another try is worth it. */
  | { readonly kind: "busy"; readonly elsewhere: string; readonly freed: Promise<void> }
  /** Its result was there a moment ago. */
  | { readonly kind: "result" };

const TICK_MS = 1_000;

/** How long a machine that has just started waits for those that it knows and does not see yet. */
const SETTLE_MS = 2_000;

interface Wish {
  readonly answer: ((answer: ClaimAnswer) => void)[];
  /** Of runs that were told that the key is busy. */
  freed: PromiseWithResolvers<void> | null;
}

export class MeshClaims implements Disposable {
  readonly #peers: Peers;
  readonly #machine: KeyClaims;
  readonly #wishes = new Map<string, Wish>();
  readonly #watch: Disposable;
  readonly #ticker: Timer;
  readonly #openedAtMs = performance.now();
  #isSettled = false;
  #gathered: { readonly key: string; readonly run: string; readonly anew: boolean }[] = [];

  constructor(peers: Peers) {
    this.#peers = peers;
    this.#machine = new KeyClaims(peers.self);
    peers.onWord("key.claims", (params, { peer }) => {
      const message = taken<ClaimMessage>(checkClaimMessage, params, "claims");
      this.#step({ kind: "message", from: peer, message });
    });
    this.#watch = peers.watch(({ kind }) => {
      if (kind !== "snapshot") this.#meet();
    });
    this.#meet();
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#ticker.unref();
  }

  /** Wants a key for a run. `anew`: the result that was pointed at is not there. */
  want(key: Digest, run: RunId, anew: boolean): Promise<ClaimAnswer> {
    return new Promise((resolve) => {
      this.#wishOf(key, run).answer.push(resolve);
      this.#gathered.push({ key, run, anew });
      if (this.#gathered.length === 1)
        queueMicrotask(() => this.#step({ kind: "want", wanted: this.#gathered.splice(0) }));
    });
  }

  /** The run is done with a key; `at` have its result. */
  giveBack(key: Digest, run: RunId, at: readonly PeerId[]): void {
    const wish = this.#wishes.get(wishId(key, run));
    this.#wishes.delete(wishId(key, run));
    this.#step({ kind: "give-back", key, run, at });
    // whoever waits looks the key up again
    wish?.freed?.resolve();
    for (const answer of wish?.answer ?? []) answer({ kind: "result" });
  }

  /** An attempt with this key runs here, for a run that is driven anywhere. */
  hold(key: Digest, run: RunId): Disposable {
    this.#step({ kind: "hold", key, run });
    return { [Symbol.dispose]: () => this.#step({ kind: "let-go", key, run }) };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#ticker);
    this.#watch[Symbol.dispose]();
  }

  #tick(): void {
    if (!this.#isSettled) this.#meet();
    this.#step({ kind: "tick" });
  }

  #meet(): void {
    const members = this.#peers.list().filter(({ state }) => state !== "revoked");
    const alive = members.filter(({ state }) => state !== "down").map(({ id }) => id);
    this.#isSettled ||= alive.length === members.length || performance.now() - this.#openedAtMs > SETTLE_MS;
    this.#step({ kind: "members", alive, settled: this.#isSettled });
  }

  #step(event: ClaimEvent): void {
    for (const effect of this.#machine.step(event, performance.now())) this.#perform(effect);
  }

  #perform(effect: ClaimEffect): void {
    if (effect.kind === "send") {
      // what is lost is asked again
      this.#peers.tell(effect.to, "key.claims", effect.message);
      return;
    }
    const id = wishId(effect.key, effect.run);
    const wish = this.#wishes.get(id);
    if (wish === undefined) return;
    if (effect.kind === "freed") {
      wish.freed?.resolve();
      wish.freed = null;
      return;
    }
    const answers = wish.answer.splice(0);
    if (effect.kind === "busy") wish.freed ??= Promise.withResolvers<void>();
    for (const answer of answers) {
      if (effect.kind === "busy")
        answer({ kind: "busy", elsewhere: effect.elsewhere, freed: wish.freed?.promise ?? Promise.resolve() });
      else answer({ kind: effect.kind });
    }
  }

  #wishOf(key: Digest, run: RunId): Wish {
    const id = wishId(key, run);
    let wish = this.#wishes.get(id);
    if (wish === undefined) this.#wishes.set(id, (wish = { answer: [], freed: null }));
    return wish;
  }
}

function wishId(key: string, run: string): string {
  return `${key} ${run}`;
}
