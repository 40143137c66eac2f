// What must hold at every step of a simulated mesh, seen from above: it knows what really runs, which no machine does.

import type { TaskView } from "../src/sched/task-state.ts";
import type { Host } from "./host.ts";
import { must, type World } from "./world.ts";

interface Performed {
  readonly lease: string;
  readonly run: string;
  readonly key: string;
  /** Null for a task that runs whatever others do. */
  readonly cacheKey: string | null;
}

/** Outputs that were fetched, for the summary. */
export interface Fetches {
  /** By how each ended; "left" when nobody wanted it any more. */
  readonly ends: Map<string, number>;
  pieces: number;
  /** Those that came from several machines. */
  shared: number;
  /** Those that began with pieces that an earlier one had left. */
  resumed: number;
  /** Pieces that were asked of a second machine. */
  seconds: number;
  lies: number;
}

export class Rules {
  readonly #world: World;
  /** What runs, by lease, with the machine. */
  readonly #running = new Map<string, Performed & { readonly host: string }>();
  readonly #commits = new Map<string, number>();
  readonly #settled = new Map<string, number>();
  readonly #finished = new Map<string, string>();
  /** Machines may be divided until then: what they know of each other may be wrong. */
  dividedUntilMs = 0;
  /** When a machine was last taken out of the mesh. */
  revokedAtMs = 0;
  /** Finds out whether they are at this moment. */
  look: () => void = () => undefined;
  /** For the summary. */
  performed = 0;
  twice = 0;
  readonly fetches: Fetches = { ends: new Map(), pieces: 0, shared: 0, resumed: 0, seconds: 0, lies: 0 };

  constructor(world: World) {
    this.#world = world;
  }

  began(host: Host, performed: Performed): void {
    this.performed++;
    must(!this.#running.has(performed.lease), () => `${performed.lease} begins twice`);
    if (performed.cacheKey !== null) this.#checkKey(performed, performed.cacheKey);
    this.#running.set(performed.lease, { ...performed, host: host.name });
    this.checkRoom(host);
  }

  ended(lease: string): void {
    must(this.#running.delete(lease), () => `${lease} ends and does not run`);
  }

  /** Nothing of a machine's attempts outlives its process. */
  died(host: string): void {
    for (const [lease, running] of this.#running) if (running.host === host) this.#running.delete(lease);
  }

  /** A machine never has more under way than it has room for, and holds a lease for everything that is under way. */
  checkRoom(host: Host): void {
    const leases = host.worker?.ledger.leases() ?? [];
    const cpuMilli = leases.reduce((sum, { ask }) => sum + ask.cpuMilli, 0);
    must(cpuMilli <= host.totals.total.cpuMilli, () => `${host.name} is overbooked: ${cpuMilli}`);
    let running = 0;
    for (const one of this.#running.values()) if (one.host === host.name) running++;
    must(running <= leases.length, () => `${host.name} runs ${running} attempts under ${leases.length} leases`);
  }

  /** The result of an attempt counts. */
  committed(run: string, task: TaskView): void {
    const id = `${run}.${task.key}`;
    const count = (this.#commits.get(id) ?? 0) + 1;
    this.#commits.set(id, count);
    must(!this.#finished.has(run), () => `${id} is committed after its run ended`);
    must(count <= 1 + task.reopened, () => `${id} is committed ${count} times, made again ${task.reopened} times`);
  }

  settled(run: string, task: TaskView): void {
    const id = `${run}.${task.key}`;
    const count = (this.#settled.get(id) ?? 0) + 1;
    this.#settled.set(id, count);
    // One whose output is lost and that cannot be made again gets another end.
    const most = 1 + task.reopened + (task.status.aborted === "lost" ? 1 : 0);
    must(count <= most, () => `${id} is reported ${count} times, made again ${task.reopened} times`);
  }

  finished(run: string, status: string): void {
    must(!this.#finished.has(run), () => `${run} ends twice: ${this.#finished.get(run) ?? ""}, ${status}`);
    this.#finished.set(run, status);
    this.#world.note(() => `${run} ends: ${status}`);
  }

  endOf(run: string): string | null {
    return this.#finished.get(run) ?? null;
  }

  #checkKey(performed: Performed, cacheKey: string): void {
    for (const other of this.#running.values()) {
      if (other.cacheKey !== cacheKey) continue;
      this.twice++;
      this.look();
      const { run, key } = performed;
      must(
        this.#world.nowMs < this.dividedUntilMs,
        () => `${run}.${key} runs ${cacheKey}, which ${other.run}.${other.key} runs on ${other.host}`,
      );
    }
  }
}
