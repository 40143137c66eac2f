// Which machines look after a key: rendezvous hashing, so that a machine that comes or goes moves only its own keys, and all
// who see the same members name the same machines. It knows nothing of what is looked after.

import type { PeerId } from "../base/ids.ts";

export class Rendezvous {
  readonly #members: readonly { readonly id: PeerId; readonly hash: number }[];

  /** The order of the members does not matter. */
  constructor(members: Iterable<PeerId>) {
    this.#members = [...new Set(members)].sort().map((id) => ({ id, hash: Bun.hash.xxHash32(id) }));
  }

  /** The first machine for a key and the one that takes its place when the first goes; fewer when there are fewer. */
  homes(key: string): readonly PeerId[] {
    const keyHash = Bun.hash.xxHash32(key);
    let first: PeerId | null = null;
    let second: PeerId | null = null;
    let most = -1;
    let next = -1;
    for (const { id, hash } of this.#members) {
      const weight = mixed(keyHash ^ hash);
      if (weight > most) {
        [second, next] = [first, most];
        [first, most] = [id, weight];
      } else if (weight > next) [second, next] = [id, weight];
    }
    return [first, second].filter((home) => home !== null);
  }
}

/** The finalizer of MurmurHash3: every bit of the input changes half of the bits of the result. */
function mixed(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
