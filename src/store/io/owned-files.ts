// Work on files that tasks left, whoever owns them. It is tried here first; what owners forbid is done by a process that has the
// ids of contexts. Only who does it is decided here; what is done stands in layers.ts and artifacts.ts.

import type { Digest } from "../../base/digest.ts";
import { compileFilter, type Filter } from "../filter.ts";
import { EMPTY_LAYER, type LayerRef } from "../layer.ts";
import type { MaskParent } from "../merged.ts";
import type { Artifact } from "../result.ts";
import type { Artifacts, CaptureOptions } from "./artifacts.ts";
import type { CommitOptions, Layers } from "./layers.ts";
import { dressTree } from "./dress-tree.ts";
import { unkept } from "./output-filter.ts";
import { type ForeignJob, isRefusal, type Ownership } from "./ownership.ts";
import { removeTree } from "./remove-tree.ts";
import { scanDirectory } from "./scan.ts";

export class OwnedFiles {
  readonly #layers: Layers;
  readonly #artifacts: Artifacts;
  readonly #ownership: Ownership;

  constructor(layers: Layers, artifacts: Artifacts, ownership: Ownership) {
    this.#layers = layers;
    this.#artifacts = artifacts;
    this.#ownership = ownership;
  }

  /** See `Layers.commit`. */
  async commit(options: CommitOptions): Promise<LayerRef> {
    return await this.#either(
      () => this.#layers.commit(options),
      async (perform) => {
        const { upper, keep } = options;
        if (keep !== undefined) {
          const paths = (await perform({ kind: "list", directory: upper })) as readonly string[];
          const doomed = unkept(paths, keep).map((path) => `${upper}/${path}`);
          if (doomed.length > 0) await perform({ kind: "remove", paths: doomed });
        }
        const maskedDirectories = [...options.maskedDirectories];
        return (await perform({ kind: "commit", upper, maskedDirectories })) as LayerRef;
      },
    );
  }

  /** See `Layers.lowers`. */
  async lowers(digests: readonly Digest[], options: Parameters<Layers["lowers"]>[1]): Promise<readonly string[]> {
    return await this.#either(
      () => this.#layers.lowers(digests, options),
      async (perform) => {
        await perform({ kind: "flatten", digests });
        return await this.#layers.lowers(digests, options);
      },
    );
  }

  /** See `Layers.verify`. */
  async verify(digest: Digest, signal?: AbortSignal): Promise<boolean> {
    return await this.#either(
      () => this.#layers.verify(digest, signal),
      async (perform) => (await perform({ kind: "verify", digest })) as boolean,
    );
  }

  /** See `Layers.mask`; afterwards that finds the directory made. */
  async mask(hidden: readonly string[], parents: readonly MaskParent[]): Promise<string> {
    const { perform } = this.#ownership;
    const isForeign = parents.some(({ uid, gid }) => uid !== 0 || gid !== 0);
    if (perform === null || !isForeign) return this.#layers.mask(hidden, parents);
    return (await perform({ kind: "mask", hidden, parents })) as string;
  }

  /** See `Artifacts.capture`. */
  async capture(options: CaptureOptions): Promise<Artifact> {
    return await this.#either(
      () => this.#artifacts.capture(options),
      async (perform) => {
        const { key, stack, path, immutable } = options;
        return (await perform({ kind: "capture", key, stack, path, immutable })) as Artifact;
      },
    );
  }

  /** See `Artifacts.narrow`. */
  async narrow(artifact: Artifact, filter: Filter, signal?: AbortSignal): Promise<string> {
    return await this.#either(
      () => this.#artifacts.narrow(artifact, filter, signal),
      async (perform) => (await perform({ kind: "narrow", artifact, filter: filter.entries })) as string,
    );
  }

  /** See `Artifacts.materialize`. What was half made is made anew. */
  async materialize(
    artifact: Artifact,
    target: string,
    signal?: AbortSignal,
  ): Promise<{ readonly pointingOut: readonly string[] }> {
    return await this.#either(
      () => this.#artifacts.materialize(artifact, target, signal),
      async (perform) => {
        await removeTree(target);
        return (await perform({ kind: "materialize", artifact, target })) as { pointingOut: readonly string[] };
      },
    );
  }

  /** Whether a layer has files that belong to others than this process's user. */
  isForeign(digest: Digest): boolean {
    const isOthers = () => this.#layers.tree(digest).some(({ uid, gid }) => uid !== 0 || gid !== 0);
    return this.#ownership.perform !== null && isOthers();
  }

  /** Does a job that another process may not do itself. */
  async perform(job: ForeignJob): Promise<unknown> {
    switch (job.kind) {
      case "commit":
        return await this.#layers.commit({ ...job, maskedDirectories: new Set(job.maskedDirectories) });
      case "list": {
        const scan = await scanDirectory(job.directory, {
          ids: this.#ownership.ids(),
          maskedDirectories: new Set(),
          removeForeign: false,
        });
        return scan.entries.map(({ path }) => path);
      }
      case "remove":
        for (const path of job.paths) await removeTree(path);
        return null;
      case "flatten":
        return job.digests.length === 0 ? EMPTY_LAYER : await this.#layers.flatten(job.digests);
      case "verify":
        return await this.#layers.verify(job.digest);
      case "dress":
        await dressTree(job.directory, this.#layers.tree(job.digest), this.#ownership.ids());
        return null;
      case "mask":
        return this.#layers.mask(job.hidden, job.parents);
      case "capture":
        return await this.#artifacts.capture(job);
      case "narrow":
        return await this.#artifacts.narrow(job.artifact, compileFilter(job.filter));
      case "materialize":
        return await this.#artifacts.materialize(job.artifact, job.target);
    }
  }

  async #either<T>(
    here: () => Promise<T>,
    there: (perform: NonNullable<Ownership["perform"]>) => Promise<T>,
  ): Promise<T> {
    try {
      return await here();
    } catch (error) {
      const { perform } = this.#ownership;
      if (perform === null || !isRefusal(error)) throw error;
      return await there(perform);
    }
  }
}
