// What a task builds on: the layers it uses and the artifacts it reads. Protected from pruning before it starts; what of it
// is gone or spoilt is named by the tasks that have to make it again.

import type { Digest } from "../base/digest.ts";
import type { Store } from "../store/io/store.ts";
import { EMPTY_TREE, type LayerRef } from "../store/layer.ts";
import type { Artifact } from "../store/result.ts";
import type { RunJournal } from "./run-journal.ts";
import type { FinishedOutputs } from "./scope.ts";
import type { Stack } from "./stack.ts";
import type { TaskWork } from "./work.ts";

export class Foundations {
  readonly #store: Store;
  readonly #journal: RunJournal;
  readonly #outputs: ReadonlyMap<string, FinishedOutputs>;
  readonly #sound = new Set<Digest>();

  /** `outputs`: what the run's tasks have left so far. */
  constructor(store: Store, journal: RunJournal, outputs: ReadonlyMap<string, FinishedOutputs>) {
    this.#store = store;
    this.#journal = journal;
    this.#outputs = outputs;
  }

  /** Pins what the task builds on. Keys of the tasks that left what of it is lost; none when all is there. */
  lostBy(work: TaskWork): ReadonlySet<string> {
    const artifacts = work.kind === "command" ? work.artifacts.map(({ artifact }) => artifact) : [];
    const needed = [...work.stack.layers, ...artifacts].map(({ digest }) => digest);
    const lost = new Set(this.#journal.pin(needed.filter((digest) => digest !== EMPTY_TREE)));
    for (const artifact of artifacts) if (!this.#isSound(artifact)) lost.add(artifact.digest);
    if (lost.size === 0) return lost;
    const losers = new Set<string>();
    for (const { task, layer } of work.stack.entries) if (lost.has(layer.digest)) losers.add(task);
    for (const [task, outputs] of this.#outputs)
      if (outputs.artifacts.some(({ digest }) => lost.has(digest))) losers.add(task);
    return losers;
  }

  /** Keys of the tasks whose layer in one of the stacks is gone; none when all are there. */
  lostUnder(stacks: readonly Stack[]): ReadonlySet<string> {
    const isGone = (layer: LayerRef) => !this.#store.layers.has(layer.digest);
    return new Set(
      stacks.flatMap(({ entries }) => entries.filter(({ layer }) => isGone(layer)).map(({ task }) => task)),
    );
  }

  /** Whether an artifact is what its digest says. Read once a run; one that is not is dropped. */
  #isSound({ digest, kind }: Artifact): boolean {
    const { blobs, layers } = this.#store;
    if (this.#sound.has(digest)) return true;
    const isSound = kind === "directory" ? layers.has(digest) : blobs.has(digest) && blobs.verify(digest);
    if (isSound) this.#sound.add(digest);
    else if (kind === "file") blobs.drop(digest);
    return isSound;
  }
}
