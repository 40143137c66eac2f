// Private folders for task attempts, made ready and used again: a task that changed nothing leaves them as they were.

import { mkdirSync } from "node:fs";
import { chmod, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "../base/errors.ts";
import type { Scratch } from "../exec/backend.ts";
import type { Store } from "../store/io/store.ts";
import { makeIoFolders } from "./outputs.ts";

/** Hands out scratch folders of the store's temporary space, which names its owner: a crash is swept up by the next run. */
export class ScratchPool implements AsyncDisposable {
  readonly #store: Store;
  readonly #idle: Scratch[] = [];
  readonly #resets = new Set<Promise<void>>();
  #directory: string | null = null;
  #made = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  take(): Scratch {
    return this.#idle.pop() ?? this.#make();
  }

  /**
   * Takes a scratch back, and makes it ready in the background. `clean`: the task changed no file and wrote no output; what
   * another one left is removed.
   */
  give(scratch: Scratch, clean: boolean): void {
    if (!clean) return this.#store.discard(scratch.root);
    const reset = this.#reset(scratch);
    this.#resets.add(reset);
    void reset.finally(() => this.#resets.delete(reset));
  }

  async #reset(scratch: Scratch): Promise<void> {
    if (await resetWork(scratch.work)) this.#idle.push(scratch);
    else this.#store.discard(scratch.root);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#resets);
    if (this.#directory !== null) this.#store.discard(this.#directory);
    this.#directory = null;
    await this.#store.settled();
  }

  #make(): Scratch {
    if (this.#directory === null) {
      this.#directory = this.#store.temporary();
      mkdirSync(this.#directory, { mode: 0o700 });
    }
    const root = join(this.#directory, String(this.#made++));
    const scratch = { root, upper: join(root, "upper"), work: join(root, "work"), io: join(root, "io") };
    for (const folder of [root, scratch.upper, scratch.work, scratch.io]) mkdirSync(folder);
    makeIoFolders(scratch.io);
    return scratch;
  }
}

// The kernel leaves work/work, closed to all, and in it work/incompat/volatile/dirty, by which a volatile mount refuses to be
// mounted again. Only that mark goes. Removing directories waits for the disk, so it is done beside the event loop.
async function resetWork(work: string): Promise<boolean> {
  const inner = join(work, "work");
  const incompat = join(inner, "incompat");
  const mark = join(incompat, "volatile");
  try {
    if (process.getuid?.() !== 0) for (const folder of [inner, incompat, mark]) await chmod(folder, 0o700);
    await unlink(join(mark, "dirty"));
    await rmdir(mark);
    await rmdir(incompat);
    return true;
  } catch (error) {
    // a task that never began left nothing to reset
    return errnoOf(error) === "ENOENT";
  }
}
