// A simple model of blob exchange: outputs are copied between machines' disks, from any machine that can be reached and has
// them. It stands where the mesh has its content exchange.

import type { Host } from "./host.ts";
import type { InputRef } from "./message.ts";
import type { Network } from "./network.ts";
import type { World } from "./world.ts";

const BYTES_PER_MS = 100_000;
/** How long a machine looks for somebody who has an output. */
const SEARCH_MS = 3_000;

/** What one attempt still looks for. */
interface Search {
  readonly host: Host;
  readonly open: InputRef[];
  readonly missing: InputRef[];
  readonly untilMs: number;
  readonly done: (missing: readonly InputRef[]) => void;
}

export class Content {
  readonly #world: World;
  readonly #network: Network;
  readonly #hosts: readonly Host[];

  constructor(world: World, network: Network, hosts: readonly Host[]) {
    this.#world = world;
    this.#network = network;
    this.#hosts = hosts;
  }

  /** Brings outputs to a machine, then calls back with those that nobody had. A process that ends forgets the call. */
  fetch(host: Host, wanted: readonly InputRef[], done: (missing: readonly InputRef[]) => void): void {
    this.#next({ host, open: [...wanted], missing: [], untilMs: this.#world.nowMs + SEARCH_MS, done });
  }

  /** Machines that can be reached and have an output. */
  holders(host: Host, digest: string): readonly Host[] {
    return this.#hosts.filter(
      (other) => other.disk.outputs.has(digest) && (other === host || this.#network.reaches(host, other)),
    );
  }

  #next(search: Search): void {
    const { host, open, missing, untilMs, done } = search;
    const input = open[0];
    if (input === undefined) return done(missing);
    const again = () => this.#next(search);
    if (host.disk.outputs.has(input.digest)) {
      open.shift();
      return again();
    }
    const holders = this.holders(host, input.digest);
    if (holders.length === 0) {
      if (this.#world.nowMs < untilMs) return host.after(500, again);
      missing.push(input);
      open.shift();
      return again();
    }
    const from = this.#world.random.pick(holders);
    host.after(1 + input.bytes / BYTES_PER_MS, () => {
      // The source may have gone meanwhile: another one is looked for.
      if (from.disk.outputs.has(input.digest) && this.#network.reaches(host, from)) host.disk.outputs.add(input.digest);
      again();
    });
  }
}
