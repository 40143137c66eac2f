// Who holds which layers and blobs, as one run has learnt it: from results, from what tasks used where, and by asking. It
// moves nothing; what it says may be out of date.

import type { Digest } from "../base/digest.ts";
import type { PeerId } from "../base/ids.ts";
import type { ContentRef } from "../mesh/content.ts";
import type { Store } from "../store/io/store.ts";
import type { TaskWork } from "./work.ts";

const NOBODY: ReadonlySet<PeerId> = new Set();

export class ContentDirectory {
  readonly #store: Store;
  readonly #holders = new Map<Digest, Set<PeerId>>();
  /** Found in this store once; what is pinned stays. */
  readonly #here = new Set<Digest>();

  constructor(store: Store) {
    this.#store = store;
  }

  add(holder: PeerId, digests: readonly Digest[]): void {
    for (const digest of digests) {
      const known = this.#holders.get(digest);
      if (known === undefined) this.#holders.set(digest, new Set([holder]));
      else known.add(holder);
    }
  }

  /** Who was believed to have it, and whether it is here, has to be found out anew. */
  doubt(digests: readonly Digest[]): void {
    for (const digest of digests) {
      this.#holders.delete(digest);
      this.#here.delete(digest);
    }
  }

  /** Machines believed to have it, this one left out. */
  holdersOf(digest: Digest): ReadonlySet<PeerId> {
    return this.#holders.get(digest) ?? NOBODY;
  }

  /** Whether this store has it. */
  isHere({ kind, digest }: ContentRef): boolean {
    if (this.#here.has(digest)) return true;
    const isHere = kind === "layer" ? this.#store.layers.has(digest) : this.#store.blobs.has(digest);
    if (isHere) this.#here.add(digest);
    return isHere;
  }

  /** It is not here, or not any more. */
  forgetHere(digests: readonly Digest[]): void {
    for (const digest of digests) this.#here.delete(digest);
  }

  /** Bytes of all that a task builds on. */
  bytesOf(work: TaskWork): number {
    let bytes = 0;
    for (const { sizeBytes } of work.stack.layers) bytes += sizeBytes;
    if (work.kind !== "command") return bytes;
    for (const { artifact } of work.artifacts) bytes += artifact.sizeBytes;
    return bytes + (work.runDirectory?.sizeBytes ?? 0);
  }

  /** Bytes of what a task builds on that a machine lacks; null stands for this one. */
  missingBytes(work: TaskWork, holder: PeerId | null): number {
    let bytes = 0;
    const has = (kind: ContentRef["kind"], digest: Digest) =>
      holder === null ? this.isHere({ kind, digest }) : this.holdersOf(digest).has(holder);
    for (const { digest, sizeBytes } of work.stack.layers) if (!has("layer", digest)) bytes += sizeBytes;
    if (work.kind !== "command") return bytes;
    for (const { artifact } of work.artifacts)
      if (!has(artifact.kind === "directory" ? "layer" : "blob", artifact.digest)) bytes += artifact.sizeBytes;
    if (work.runDirectory !== null && !has("layer", work.runDirectory.digest)) bytes += work.runDirectory.sizeBytes;
    return bytes;
  }
}
