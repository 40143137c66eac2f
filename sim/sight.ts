// What must hold of who sees whom, checked again and again from above: it knows which lines are whole and which processes run.

import type { Host } from "./host.ts";
import type { Lan } from "./lan.ts";
import type { Rules } from "./rules.ts";
import { must, type World } from "./world.ts";

/** Two that can reach each other have found each other after so long: what waits longest is a dial after many that failed. */
const FOUND_MS = 60_000;
/** One that is not heard is held for down after so long, and the time that its last word took. */
const DOWN_MS = 4_000;
/** All that see each other know of a machine that is taken out after so long, and the time that the last word took. */
const TOLD_MS = 2_000;
/** Two whose processes have run so long are divided while they do not see each other. */
const SETTLED_MS = 1_500;
/** How long after a division machines may still act on what they knew in it: until all claims of then have run out. */
export const AFTERMATH_MS = 60_000;

export class Sight {
  readonly #world: World;
  readonly #lan: Lan;
  readonly #rules: Rules;
  readonly #hosts: readonly Host[];
  /** How much slower all clocks of membership go than usual. */
  readonly #slowdown: number;

  constructor(
    around: { readonly world: World; readonly lan: Lan; readonly rules: Rules; readonly hosts: readonly Host[] },
    slowdown: number,
  ) {
    this.#world = around.world;
    this.#lan = around.lan;
    this.#rules = around.rules;
    this.#hosts = around.hosts;
    this.#slowdown = slowdown;
  }

  /** Looks at all pairs each so many milliseconds, for ever. */
  watch(eachMs: number): void {
    this.#world.after(eachMs, () => {
      this.look();
      this.watch(eachMs);
    });
  }

  look(): void {
    for (const a of this.#hosts) if (a.isRunning) for (const b of this.#hosts) if (a !== b) this.#check(a, b);
  }

  #check(a: Host, b: Host): void {
    const { nowMs } = this.#world;
    const sinceMs = Math.max(a.changedAtMs, b.changedAtMs, this.#lan.changedAtMs(a, b), this.#lan.changedAtMs(b, a));
    const state = a.mesh?.stateOf(b) ?? "down";
    const isOut = a.disk.revoked.has(b.id) || b.disk.revoked.has(a.id) || a.disk.revoked.has(a.id);
    if (isOut) {
      const isTold = a.disk.revoked.has(b.id);
      must(!isTold || a.mesh?.openTo(b) === null, () => `${a.name} is connected with ${b.name}, which is revoked`);
      return;
    }
    const downMs = DOWN_MS * this.#slowdown + this.#lan.mostDelayMs;
    const isHeard = b.isRunning && !this.#lan.isCut(b, a);
    must(
      isHeard || state === "down" || nowMs - sinceMs < downMs,
      () => `${a.name} holds ${b.name} for ${state}, which it has not heard for ${nowMs - sinceMs} ms`,
    );
    // Claims bear that some know of a death sooner than others for as long as it takes by clocks that are not slowed.
    if (this.#slowdown > 1 && !b.isRunning && state !== "down") this.#divide();
    if (!this.#lan.reaches(a, b)) return;
    if (state !== "up" && nowMs - Math.max(a.startedAtMs, b.startedAtMs) > SETTLED_MS) this.#divide();
    if (nowMs - sinceMs < FOUND_MS * this.#slowdown) return;
    must(state === "up", () => `${a.name} holds ${b.name} for ${state}, which it can reach for ${nowMs - sinceMs} ms`);
    if (nowMs - this.#rules.revokedAtMs < TOLD_MS + this.#lan.mostDelayMs) return;
    must(
      a.disk.revoked.size === b.disk.revoked.size,
      () => `${a.name} and ${b.name} see each other, and do not agree on who is revoked`,
    );
  }

  #divide(): void {
    const untilMs = this.#world.nowMs + AFTERMATH_MS * this.#slowdown;
    this.#rules.dividedUntilMs = Math.max(this.#rules.dividedUntilMs, untilMs);
  }
}
