// What a task builds on: the layers it uses and the artifacts it reads. Protected from pruning before it starts; what of it
// is not here, or spoilt, is named, and so are the tasks that left it.

import type { Digest } from "../base/digest.ts";
import type { ContentRef } from "../mesh/content.ts";
import type { Store } from "../store/io/store.ts";
import { EMPTY_TREE } from "../store/layer.ts";
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

  /** Pins what the task builds on. What of it is not in this store, or not what its digest says; none when all is. */
  lackedBy(work: TaskWork): readonly ContentRef[] {
    const artifacts = work.kind === "command" ? work.artifacts.map(({ artifact }) => artifact) : [];
    const layers = new Set(work.stack.layers.map(({ digest }) => digest));
    if (work.kind === "command" && work.runDirectory !== null) layers.add(work.runDirectory.digest);
    const blobs = new Set<Digest>();
    for (const { kind, digest } of artifacts) (kind === "directory" ? layers : blobs).add(digest);
    layers.delete(EMPTY_TREE);
    const lacked = new Map<Digest, ContentRef>();
    for (const digest of this.#pin(layers, "layer")) lacked.set(digest, { kind: "layer", digest });
    for (const digest of this.#pin(blobs, "blob")) lacked.set(digest, { kind: "blob", digest });
    for (const artifact of artifacts) {
      const { kind, digest } = artifact;
      if (!lacked.has(digest) && !this.#isSound(artifact))
        lacked.set(digest, { kind: kind === "file" ? "blob" : "layer", digest });
    }
    return [...lacked.values()];
  }

  /** Keys of the tasks that left content which `work` builds on. */
  makersOf(lost: ReadonlySet<Digest>, work: TaskWork): ReadonlySet<string> {
    const makers = new Set<string>();
    for (const { task, layer } of work.stack.entries) if (lost.has(layer.digest)) makers.add(task);
    for (const [task, outputs] of this.#outputs)
      if (outputs.artifacts.some(({ digest }) => lost.has(digest))) makers.add(task);
    return makers;
  }

  /** Keys of the tasks whose layer in one of the stacks cannot be looked into any more; none when all can. */
  lostUnder(stacks: readonly Stack[]): ReadonlySet<string> {
    const { layers } = this.#store;
    return new Set(
      stacks.flatMap(({ entries }) =>
        entries
          .filter(({ layer }) => !layers.has(layer.digest) && !layers.knowsTree(layer.digest))
          .map(({ task }) => task),
      ),
    );
  }

  #pin(digests: ReadonlySet<Digest>, kind: ContentRef["kind"]): readonly Digest[] {
    return digests.size === 0 ? [] : this.#journal.pin([...digests], kind);
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
