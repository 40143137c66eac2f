// What goes wrong in a simulated mesh, and when: by chance, until a moment after which all is well again.

import { Disk } from "./disk.ts";
import type { Host } from "./host.ts";
import type { Lan } from "./lan.ts";
import type { Rules } from "./rules.ts";
import { AFTERMATH_MS } from "./sight.ts";
import type { World } from "./world.ts";

/** none: nothing goes wrong; crashes: machines die and come back; all: also what divides them. */
export type Severity = "none" | "crashes" | "all";

/** By then machines that a line joins have met, at the latest. */
const FOUND_MS = 20_000;

export class Faults {
  readonly #world: World;
  readonly #lan: Lan;
  readonly #rules: Rules;
  readonly #hosts: readonly Host[];
  readonly #submitters: ReadonlySet<Host>;
  readonly #untilMs: number;

  constructor(
    around: {
      readonly world: World;
      readonly lan: Lan;
      readonly rules: Rules;
      readonly hosts: readonly Host[];
      /** Machines that runs are given to: they stay in the mesh. */
      readonly submitters: ReadonlySet<Host>;
    },
    untilMs: number,
  ) {
    this.#world = around.world;
    this.#lan = around.lan;
    this.#rules = around.rules;
    this.#hosts = around.hosts;
    this.#submitters = around.submitters;
    this.#untilMs = untilMs;
  }

  begin(severity: Severity): void {
    if (severity === "none") return;
    const faults = severity === "crashes" ? this.#crashes() : this.#all();
    const next = () => {
      if (this.#world.nowMs >= this.#untilMs) return;
      this.#world.random.pick(faults)();
      this.#world.after(this.#world.between(100, 12_000), next);
    };
    if (severity === "all" && this.#world.random.chance(0.2)) this.#lieAlways();
    this.#world.after(this.#world.between(0, 5_000), next);
    this.#world.after(this.#untilMs, () => this.#heal());
  }

  #crashes(): readonly (() => void)[] {
    return [() => this.#crash(), () => this.#dieInStep(), () => this.#fill()];
  }

  #all(): readonly (() => void)[] {
    return [
      () => this.#crash(),
      () => this.#crash(),
      () => this.#dieInStep(),
      () => this.#dieInStep(),
      () => this.#freeze(),
      () => this.#split(),
      () => this.#mute(),
      () => this.#move(),
      () => this.#revoke(),
      () => this.#fill(),
      () => this.#slow(),
      () => this.#stick(),
      () => this.#lie(),
      () => this.#setClock(),
      () => this.#prune(),
      () => this.#replaceDisk(),
    ];
  }

  #pick(): Host {
    return this.#world.random.pick(this.#hosts);
  }

  /** Rather one that fetches something, or from which something is fetched. */
  #pickBusy(): Host {
    const busy = this.#hosts.filter(({ exchange }) => exchange !== null && (exchange.size > 0 || exchange.isServing));
    return busy.length > 0 && this.#world.random.chance(0.7) ? this.#world.random.pick(busy) : this.#pick();
  }

  #divided(forMs: number): void {
    this.#rules.dividedUntilMs = Math.max(this.#rules.dividedUntilMs, this.#world.nowMs + forMs + AFTERMATH_MS);
  }

  #crash(): void {
    const host = this.#pickBusy();
    host.crash(this.#world.random.chance(0.3));
    this.#world.after(this.#world.between(10, 20_000), () => host.start());
  }

  /** Between a journal entry and what follows from it. */
  #dieInStep(): void {
    const host = this.#pick();
    if (!host.isAlive) return;
    host.dieAfterEntries = 1 + this.#world.random.below(20);
    this.#world.after(this.#world.between(5_000, 20_000), () => host.start());
  }

  #freeze(): void {
    const host = this.#pickBusy();
    const ms = this.#world.random.chance(0.5) ? this.#world.between(10, 2_000) : this.#world.between(2_000, 60_000);
    this.#divided(ms);
    host.freeze();
    this.#world.after(ms, () => host.thaw());
  }

  /** Two halves that don't hear each other. */
  #split(): void {
    const left = this.#hosts.filter(() => this.#world.random.chance(0.5));
    const right = this.#hosts.filter((host) => !left.includes(host));
    this.#break(left, right, true);
  }

  /** One machine whose words, or whose ears, get nothing through. */
  #mute(): void {
    const host = this.#pick();
    const others = this.#hosts.filter((other) => other !== host);
    if (this.#world.random.chance(0.5)) this.#break([host], others, false);
    else this.#break(others, [host], false);
  }

  #break(from: readonly Host[], to: readonly Host[], bothWays: boolean): void {
    const ms = this.#world.between(500, 40_000);
    this.#divided(ms);
    this.#world.note(
      () => `cut: ${from.map(({ name }) => name).join()} ${bothWays ? "|" : ">"} ${to.map(({ name }) => name).join()}`,
    );
    const each = (act: (a: Host, b: Host) => void) => {
      for (const a of from)
        for (const b of to) {
          act(a, b);
          if (bothWays) act(b, a);
        }
    };
    each((a, b) => this.#lan.cut(a, b));
    this.#world.after(ms, () => each((a, b) => this.#lan.mend(a, b)));
  }

  /** Until the others have found it again, the mesh is divided. */
  #move(): void {
    if (!this.#lan.hasMulticast) return;
    this.#divided(0);
    this.#pick().move();
  }

  #revoke(): void {
    const by = this.#pick();
    const other = this.#pick();
    const isSpared = by === other || this.#submitters.has(other) || this.#world.random.chance(0.7);
    // Where nobody is heard, one whose inviter is out before it has met others is found by nobody.
    const isTooSoon = !this.#lan.hasMulticast && this.#world.nowMs < FOUND_MS;
    if (isSpared || isTooSoon || by.disk.revoked.has(by.id) || !by.isRunning) return;
    this.#world.note(() => `${by.name} revokes ${other.name}`);
    this.#divided(0);
    this.#rules.revokedAtMs = this.#world.nowMs;
    by.revoke(other);
  }

  #fill(): void {
    const host = this.#pick();
    host.disk.isFull = true;
    this.#world.after(this.#world.between(1_000, 10_000), () => {
      host.disk.isFull = false;
    });
  }

  #slow(): void {
    const host = this.#pick();
    host.disk.slowness = 1 + this.#world.random.below(20);
    this.#world.after(this.#world.between(1_000, 30_000), () => {
      host.disk.slowness = 1;
    });
  }

  #stick(): void {
    const { disk } = this.#pickBusy();
    disk.isStuck = true;
    this.#world.after(this.#world.between(1_000, 200_000), () => {
      disk.isStuck = false;
    });
  }

  /** Its memory is broken: what it sends is wrong now and then. */
  #lie(): void {
    const host = this.#pickBusy();
    host.isLying = true;
    this.#world.after(this.#world.between(1_000, 30_000), () => {
      host.isLying = false;
    });
  }

  /** Some machines lie all the time. */
  #lieAlways(): void {
    for (const host of this.#hosts) host.isLying = this.#world.random.chance(0.3);
  }

  #setClock(): void {
    this.#pick().wallOffMs += this.#world.between(-7_200_000, 7_200_000);
  }

  /** Outputs are gone from a disk, as after a prune. */
  #prune(): void {
    const { outputs } = this.#pick().disk;
    for (const digest of outputs) if (this.#world.random.chance(0.5)) outputs.delete(digest);
  }

  /** A worker comes back with an empty disk. One that coordinates keeps its own: there is no second copy of its journal. */
  #replaceDisk(): void {
    const host = this.#pick();
    if (host.disk.definitions.size > 0) return;
    host.crash();
    host.disk = new Disk();
    this.#world.after(this.#world.between(10, 20_000), () => host.start());
  }

  #heal(): void {
    this.#world.note(() => "all is well from here on");
    for (const host of this.#hosts) {
      for (const other of this.#hosts) this.#lan.mend(host, other);
      host.disk.isFull = false;
      host.disk.slowness = 1;
      host.disk.isStuck = false;
      host.isLying = false;
      host.dieAfterEntries = null;
      host.thaw();
      host.start();
    }
  }
}
