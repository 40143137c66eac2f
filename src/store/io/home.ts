// The folders of one MESH_HOME: made when missing, temporary names, and rubbish that is removed in the background.

import { existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { MeshError } from "../../base/errors.ts";
import { spreadFolders } from "../../base/io/libc.ts";
import { type HomePaths, homePaths } from "../paths.ts";
import { storeFailure } from "./failures.ts";
import { currentOwner, isAlive } from "./liveness.ts";
import { isRefusal, type Ownership } from "./ownership.ts";
import { removeTree } from "./remove-tree.ts";

export class Home {
  readonly paths: HomePaths;
  #names = 0;
  readonly #removals = new Set<Promise<void>>();
  readonly #ownership: Ownership;
  /** The last removal by the process that has the ids of contexts: one after the other. */
  #foreign: Promise<unknown> = Promise.resolve();

  /** Throws `store.unwritable` or `store.full` when the folders can't be made. */
  constructor(home: string, ownership: Ownership) {
    this.#ownership = ownership;
    this.paths = homePaths(home);
    // `runs` is made last: when it is there, all is.
    if (!existsSync(this.paths.runs)) this.#make();
  }

  #make(): void {
    const { home, blobs, layers, masks, scratch, tmp, runs } = this.paths;
    try {
      for (const folder of [home, blobs, layers, masks, scratch, tmp, runs])
        mkdirSync(folder, { recursive: true, mode: 0o700 });
      spreadFolders(tmp);
    } catch (error) {
      const failure = storeFailure(error, `make the store in ${home}`);
      if (failure instanceof MeshError && failure.code === "store.full") throw failure;
      throw new MeshError("store.unwritable", `Cannot make the store in ${home}`, { cause: error });
    }
  }

  /** A path in tmp/ that nothing else uses; its name says which process it belongs to. */
  temporary(): string {
    const { pid, startTicks } = currentOwner();
    return `${this.paths.tmp}/${pid}.${startTicks || "0"}.${this.#names++}`;
  }

  /** Takes a directory out of sight at once and removes it in the background. */
  discard(path: string): void {
    const doomed = this.temporary();
    try {
      renameSync(path, doomed);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
      throw error;
    }
    // What can't be removed stays in tmp/, where `sweep` tries again.
    const removal = this.#remove(doomed).catch(() => {});
    this.#removals.add(removal);
    void removal.then(() => this.#removals.delete(removal));
  }

  /** Resolves when all that was discarded is gone. */
  async settled(): Promise<void> {
    await Promise.all(this.#removals);
  }

  /** Removes what processes that have ended left in tmp/; the number of entries that can't be removed, or not yet. */
  async sweep(): Promise<number> {
    const here = currentOwner();
    let left = 0;
    for (const name of readdirSync(this.paths.tmp)) {
      const [pid = "", startTicks = ""] = name.split(".");
      if (isAlive({ ...here, pid: Number(pid), startTicks: startTicks === "0" ? "" : startTicks })) continue;
      const isRemoved = await this.#remove(`${this.paths.tmp}/${name}`).then(
        () => true,
        () => false,
      );
      left += Number(!isRemoved);
    }
    return left;
  }

  async #remove(path: string): Promise<void> {
    try {
      await removeTree(path);
    } catch (error) {
      const { perform } = this.#ownership;
      if (perform === null || !isRefusal(error)) throw error;
      const removal = this.#foreign.then(() => perform({ kind: "remove", paths: [path] }));
      this.#foreign = removal.catch(() => {});
      await removal;
    }
  }
}
