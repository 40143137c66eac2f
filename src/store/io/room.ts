// Whether there is room for what is about to be written: free space of the disk and the store's own limit, less what others of
// this process are about to write. It frees nothing.

import { statfsSync } from "node:fs";
import { MeshError } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import { formatBytes } from "../../base/units.ts";

export class Room {
  /** Most bytes of layers and blobs that fetching may lead to; null for no limit. */
  limitBytes: number | null = null;
  readonly #home: string;
  readonly #usedBytes: () => number;
  #takenBytes = 0;

  constructor(home: string, usedBytes: () => number) {
    this.#home = home;
    this.#usedBytes = usedBytes;
  }

  /** Keeps `bytes` for the caller until the answer is disposed of. Throws `store.full`. */
  take(bytes: number): Disposable {
    const { bavail, bsize } = statfsSync(this.#home);
    const free = bavail * bsize - this.#takenBytes;
    if (bytes + LIMITS.diskReserveBytes > free && bytes > 0)
      throw new MeshError(
        "store.full",
        `Cannot keep ${formatBytes(bytes)} more: ${formatBytes(Math.max(0, free))} are free, of which ${formatBytes(LIMITS.diskReserveBytes)} stay so`,
      );
    if (this.limitBytes !== null && this.#usedBytes() + this.#takenBytes + bytes > this.limitBytes)
      throw new MeshError(
        "store.full",
        `Cannot keep ${formatBytes(bytes)} more: the store may hold ${formatBytes(this.limitBytes)}`,
      );
    this.#takenBytes += bytes;
    let isTaken = true;
    return {
      [Symbol.dispose]: () => {
        if (isTaken) this.#takenBytes -= bytes;
        isTaken = false;
      },
    };
  }
}
