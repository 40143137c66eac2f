// The store of one MESH_HOME: opens it and ties its parts together. What each part does stands in the file named after it.

import { closeSync, openSync, readdirSync } from "node:fs";
import type { Digest } from "../../base/digest.ts";
import type { LogRef } from "../result.ts";
import { Artifacts } from "./artifacts.ts";
import { Blobs } from "./blobs.ts";
import type { ChunkList } from "../chunks.ts";
import { Claims } from "./claims.ts";
import { Definitions } from "./definitions.ts";
import { Durations } from "./durations.ts";
import { FileDigests } from "./file-digests.ts";
import { FilePlaces } from "./file-places.ts";
import { HashPool } from "./hash-pool.ts";
import { Home } from "./home.ts";
import { Index, type StoreWarning } from "./index-db.ts";
import { Layers } from "./layers.ts";
import { LayerWriter } from "./layer-writer.ts";
import { bootId } from "./liveness.ts";
import { type LogBounds, LogWriter } from "./log-writer.ts";
import { PartialContent, sweepPartials } from "./partial-content.ts";
import { type PruneOptions, Pruner, type PruneReport, type StoreStats } from "./prune.ts";
import { check } from "./errno.ts";
import * as raw from "./raw-files.ts";
import { Room } from "./room.ts";
import { Results, type StoredResult } from "./results.ts";
import { OwnedFiles } from "./owned-files.ts";
import { type Ownership, ownFiles } from "./ownership.ts";
import { Runs } from "./runs.ts";
import { type FromFilesOptions, type SourceFile, WorkingTrees } from "./working-tree.ts";
import type { LayerRef } from "../layer.ts";
import type { HomePaths } from "../paths.ts";

/** Content that began to arrive and did not go on for so long is removed. */
const PARTIAL_IDLE_MS = 24 * 60 * 60_000;

export class Store implements Disposable {
  readonly paths: HomePaths;
  readonly blobs: Blobs;
  readonly layers: Layers;
  readonly artifacts: Artifacts;
  /** What layers and artifacts do with files that tasks left, whoever owns them. */
  readonly owned: OwnedFiles;
  readonly results: Results;
  readonly claims: Claims;
  readonly runs: Runs;
  readonly definitions: Definitions;
  readonly durations: Durations;
  readonly places: FilePlaces;
  readonly fileDigests: FileDigests;
  readonly room: Room;
  readonly #home: Home;
  readonly #ownership: Ownership;
  readonly #index: Index;
  readonly #pool = new HashPool();
  readonly #trees: WorkingTrees;
  readonly #pruner: Pruner;
  readonly #boot: string;

  /**
   * Opens the store in `home`, an absolute path, and makes it when it is not there. `ownership`: this user's files only when left
   * out. Throws `store.unwritable`, `store.full`.
   */
  static open(home: string, ownership: Ownership = ownFiles()): Store {
    return new Store(new Home(home, ownership), ownership);
  }

  private constructor(home: Home, ownership: Ownership) {
    this.#home = home;
    this.#ownership = ownership;
    this.paths = home.paths;
    this.#index = new Index(home.paths.index);
    this.#boot = bootId();
    this.blobs = new Blobs(home, this.#index, this.#boot);
    const { blobs } = this;
    const parts = { home, index: this.#index, blobs, pool: this.#pool, boot: this.#boot, ownership };
    this.layers = new Layers(parts);
    this.places = new FilePlaces({ index: this.#index, layers: this.layers, blobs, boot: this.#boot });
    this.fileDigests = new FileDigests(this.#index);
    this.artifacts = new Artifacts(parts, this.layers);
    this.owned = new OwnedFiles(this.layers, this.artifacts, ownership);
    this.results = new Results(this.#index, this.layers, this.blobs);
    this.claims = new Claims(this.#index, this.results);
    this.runs = new Runs(this.#index);
    this.definitions = new Definitions(this.#index);
    this.durations = new Durations(this.#index);
    this.#trees = new WorkingTrees(home, this.#index, this.layers);
    this.#pruner = new Pruner(home, this.#index, this.layers, this.blobs);
    this.room = new Room(home.paths.home, () => {
      const { layers, blobs } = this.stats();
      return layers.bytes + blobs.bytes;
    });
  }

  /** What went wrong without stopping anything, since the store was opened. */
  get warnings(): readonly StoreWarning[] {
    return this.#index.warnings;
  }

  /** A layer with files of this machine under /workspace. */
  fromFiles(files: readonly SourceFile[], options: FromFilesOptions): Promise<LayerRef> {
    return this.#trees.fromFiles(files, options);
  }

  /** A bounded log for one task attempt of a run. */
  openLog(task: { readonly run: string; readonly task: string }, bounds?: LogBounds): LogWriter {
    return new LogWriter(this.#home, this.blobs, task, bounds);
  }

  /** Bytes of a finished log, as frames (log-frames.ts). Throws `blob.missing`, `blob.corrupt`. */
  readLog(log: LogRef): Uint8Array {
    return log.kind === "inline" ? Buffer.from(log.base64, "base64") : this.blobs.read(log.digest);
  }

  /**
   * Checks what a result needs and an earlier boot wrote. False when something of it was lost; the result is then dropped, and
   * its task has to run.
   */
  async trust(stored: StoredResult, signal?: AbortSignal): Promise<boolean> {
    for (const digest of this.results.untrusted(stored)) {
      if (await this.owned.verify(digest, signal)) continue;
      this.results.drop(stored.key);
      return false;
    }
    return true;
  }

  /** A writer for a layer whose tree is here and whose files come from elsewhere. Throws `blob.missing`, `layer.unfit`. */
  writeLayer(digest: Digest): LayerWriter {
    const parts = { home: this.#home, layers: this.layers, places: this.places, ownership: this.#ownership };
    return new LayerWriter(parts, { digest, tree: this.layers.tree(digest) });
  }

  /** Begins large content that comes in chunks, or goes on with it. */
  openPartial(digest: Digest, list: ChunkList): Promise<PartialContent> {
    return PartialContent.open(this.#home, { digest, list, boot: this.#boot });
  }

  /** A temporary path in the store, on the same filesystem as layers and blobs. */
  temporary(): string {
    return this.#home.temporary();
  }

  /** Takes a directory of the store (a task's scratch) out of sight at once and removes it in the background. */
  discard(path: string): void {
    this.#home.discard(path);
  }

  /** Resolves when all that was discarded is gone. */
  settled(): Promise<void> {
    return this.#home.settled();
  }

  /**
   * Removes what processes that have died left: scratch folders, half-made layers, logs of tasks that ran. The number of those
   * folders that can't be removed: what dies with its owner may still write there for a moment.
   */
  async sweep(): Promise<number> {
    const left = await this.#home.sweep();
    // tasks that run here for other machines are of runs that this one does not drive
    const foreign = new Set(this.claims.list().map(({ owner }) => owner.run));
    sweepPartials(this.#home, PARTIAL_IDLE_MS, Date.now());
    for (const id of readdirSync(this.paths.runs)) {
      if (!foreign.has(id) && this.runs.get(id)?.state !== "running") this.#home.discard(`${this.paths.runs}/${id}`);
    }
    return left;
  }

  /** Does several changes of the index in one transaction: all of them or none. `work` must be synchronous. */
  batch(work: () => void): void {
    this.#index.transaction(work);
  }

  stats(): StoreStats {
    return this.#pruner.stats();
  }

  /** Makes room; see prune.ts for what never goes. */
  prune(options: PruneOptions): Promise<PruneReport> {
    return this.#pruner.prune(options);
  }

  /**
   * Writes everything to the disk and remembers that, so that nothing has to be read again after a reboot. For a clean stop;
   * takes as long as the disk takes.
   */
  sync(): void {
    const fd = openSync(this.paths.home, "r");
    try {
      check(raw.syncFilesystem(fd), "sync", this.paths.home);
    } finally {
      closeSync(fd);
    }
    this.#index.transaction(() => {
      for (const table of ["layers", "blobs"])
        this.#index.run(`UPDATE ${table} SET boot = 'synced' WHERE boot = ?`, this.#boot);
    });
  }

  /** Closes the index and ends the hashing threads. Await `settled` before, or rubbish waits for the next prune. */
  [Symbol.dispose](): void {
    this.#pool[Symbol.dispose]();
    this.#index[Symbol.dispose]();
  }
}
