// The machines that a run may use, as placing wants them: what is free, and when what the run itself has there is likely to
// end. It decides nothing and lives as long as the run, so that a round looks only at machines of which something is new.

import type { NodeCapacity } from "../sched/fit.ts";
import { Fleet } from "../sched/fleet.ts";
import { likelyEndMs, type PlaceNode, type Running } from "../sched/place-node.ts";
import type { RunMachine } from "../sched/run-machine.ts";
import { likelyMs } from "../sched/task-node.ts";
import type { RemoteSite, Taken } from "./site.ts";

export interface RunFleetOptions {
  readonly machine: RunMachine;
  readonly executor: { readonly taken: () => Iterable<Taken> };
  /** What can be moved here in a millisecond. */
  readonly bytesPerMs: number;
  readonly ownSpeedPercent: () => number;
}

export class RunFleet {
  readonly #options: RunFleetOptions;
  readonly #fleet = new Fleet();
  readonly #speeds = new Map<string, number>();

  constructor(options: RunFleetOptions) {
    this.#options = options;
  }

  /** The machines as they are now. `here`: this machine, null when it takes nothing; `sites`: those that the run may use. */
  at(nowMs: number, here: NodeCapacity | null, sites: readonly RemoteSite[]): Fleet {
    const seen = new Set<string>();
    const set = (node: PlaceNode) => {
      seen.add(node.capacity.name);
      this.#speeds.set(node.capacity.name, node.speedPercent);
      this.#fleet.set(node);
    };
    if (here !== null) {
      const { executor, bytesPerMs } = this.#options;
      // alone there is nothing to compare a wait with, nor a speed
      const speedPercent = sites.length === 0 ? 100 : this.#options.ownSpeedPercent();
      const running = sites.length === 0 ? [] : this.#running(executor.taken(), speedPercent, nowMs);
      set({ capacity: here, speedPercent, bytesPerMs, running });
    }
    for (const site of sites) {
      const node = site.seen();
      if (node !== null) set({ ...node, running: this.#running(site.taken(), node.speedPercent, nowMs) });
    }
    if (this.#fleet.size > seen.size)
      for (const { name } of Array.from(this.#fleet.rooms())) if (!seen.has(name)) this.#fleet.remove(name);
    return this.#fleet;
  }

  /** How fast a machine that was ever seen is, in percent of the reference. */
  speedPercentOf(name: string): number {
    return this.#speeds.get(name) ?? 100;
  }

  #running(taken: Iterable<Taken>, speedPercent: number, nowMs: number): readonly Running[] {
    const { machine } = this.#options;
    return Array.from(taken, ({ key, ask }): Running => {
      const task = machine.task(key);
      // one that is placed and not begun: its inputs are on their way
      const startedAtMs = (task?.phase === "running" ? task.startedAtMs : null) ?? nowMs;
      const endsAtMs = likelyEndMs(
        { startedAtMs, likelyMs: task === null ? 0 : likelyMs(task.graph.node), speedPercent },
        nowMs,
      );
      return { amounts: ask, endsAtMs };
    });
  }
}
