// Who fetches what of this machine: so that those who fetch the same learn of each other, and hear of pieces that arrive here.

import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";

/** Contents whose fetchers are remembered. */
const MOST_CONTENTS = 1_024;

export class Swarms {
  readonly #swarms = new Map<string, Set<PeerId>>();

  /** Notes that a machine fetches content; the others that do or did lately. */
  join(key: string, peer: PeerId): readonly PeerId[] {
    const swarm = this.#swarms.get(key) ?? new Set();
    const others = [...swarm].filter((other) => other !== peer).slice(-LIMITS.swarmPeers);
    // Those heard of last stand last.
    swarm.delete(peer);
    swarm.add(peer);
    if (swarm.size > LIMITS.swarmPeers) for (const oldest of swarm.values().take(1)) swarm.delete(oldest);
    this.#swarms.delete(key);
    this.#swarms.set(key, swarm);
    if (this.#swarms.size > MOST_CONTENTS)
      for (const oldest of this.#swarms.keys().take(1)) this.#swarms.delete(oldest);
    return others;
  }

  /** Machines that fetch this content, or did lately. */
  of(key: string): readonly PeerId[] {
    return [...(this.#swarms.get(key) ?? [])];
  }

  leave(key: string, peer: PeerId): void {
    this.#swarms.get(key)?.delete(peer);
  }
}
