// Private folders for task attempts, made ready and used again: a task that changed nothing leaves them as they were.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { spreadFolders } from "../base/io/libc.ts";
import type { Scratch } from "../exec/backend.ts";
import type { Store } from "../store/io/store.ts";
import { makeIoFolders } from "./outputs.ts";

/** Who cleans up after this process unless it is dismissed. */
export interface Guard {
  dismiss(): Promise<void>;
}

const NOBODY: Guard = { dismiss: () => Promise.resolve() };

/** Hands out scratch folders of the store's temporary space, which names its owner: a crash is swept up by the next run. */
export class ScratchPool implements AsyncDisposable {
  readonly #store: Store;
  readonly #idle: Scratch[] = [];
  readonly #guard: () => Guard;
  #guardian: Guard | null = null;
  #directory: string | null = null;
  #made = 0;

  /** `guard` starts who removes the folders when this process can't. Called once, before the first folder is made. */
  constructor(store: Store, guard: () => Guard = () => NOBODY) {
    this.#store = store;
    this.#guard = guard;
  }

  take(): Scratch {
    return this.#idle.shift() ?? this.#make();
  }

  /** The folders that will be taken next, in that order. They stay here. */
  next(count: number): readonly Scratch[] {
    while (this.#idle.length < count) this.#idle.push(this.#make());
    return this.#idle.slice(0, count);
  }

  /**
   * Takes a scratch back when the task is gone from it. `clean`: that changed no file and wrote no output; what another one left
   * is removed.
   */
  async give(
    scratch: Scratch,
    { clean, gone }: { readonly clean: boolean; readonly gone: Promise<void> },
  ): Promise<void> {
    await gone;
    if (clean) {
      this.#idle.push(scratch);
      return;
    }
    try {
      this.#store.discard(scratch.root);
    } catch {
      // it goes with the folder of them all
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#idle.length = 0;
    if (this.#directory !== null) this.#store.discard(this.#directory);
    this.#directory = null;
    await this.#store.settled();
    await this.#guardian?.dismiss();
    this.#guardian = null;
  }

  #make(): Scratch {
    if (this.#directory === null) {
      this.#guardian ??= this.#guard();
      this.#directory = this.#store.temporary();
      mkdirSync(this.#directory, { mode: 0o700 });
      spreadFolders(this.#directory);
    }
    const root = join(this.#directory, String(this.#made++));
    const scratch = { root, upper: join(root, "upper"), work: join(root, "work"), io: join(root, "io") };
    for (const folder of [root, scratch.upper, scratch.work, scratch.io]) mkdirSync(folder);
    makeIoFolders(scratch.io);
    return scratch;
  }
}
