// Private folders for task attempts, made ready and used again: a task that changed nothing leaves them as they were.

import { mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { Scratch } from "../exec/backend.ts";
import type { Store } from "../store/io/store.ts";
import { IO_FOLDERS, makeIoFolders } from "./outputs.ts";

/** Hands out scratch folders of the store's temporary space, which names its owner: a crash is swept up by the next run. */
export class ScratchPool implements AsyncDisposable {
  readonly #store: Store;
  readonly #idle: Scratch[] = [];
  #directory: string | null = null;
  #made = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  take(): Scratch {
    return this.#idle.pop() ?? this.#make();
  }

  /** Takes a scratch back. One that is clean is handed out again; what a task left in another goes in the background. */
  give(scratch: Scratch): void {
    if (resetWork(scratch.work) && isClean(scratch)) this.#idle.push(scratch);
    else this.#store.discard(scratch.root);
  }

  async [Symbol.asyncDispose](): Promise<void> {
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

// The kernel leaves work/work and, for a volatile mount, a mark that refuses the next one.
function resetWork(work: string): boolean {
  try {
    for (const name of readdirSync(work)) {
      if (name === "incompat") rmdirSync(join(work, name, "volatile"));
      rmdirSync(join(work, name));
    }
    return true;
  } catch {
    return false;
  }
}

function isClean(scratch: Scratch): boolean {
  try {
    if (readdirSync(scratch.upper).length > 0) return false;
    return IO_FOLDERS.every((folder) => readdirSync(join(scratch.io, folder)).length === (folder === "image" ? 1 : 0));
  } catch {
    return false;
  }
}
