// Makes room: results go by age and by least recent use, then all content that nothing needs any more. What a living run pins or
// a remaining result needs stays. Rows and directories go together under the write lock, so that no other process finds half.

import { existsSync, readdirSync, rmSync, statSync, unlinkSync } from "node:fs";
import type { Digest } from "../../base/digest.ts";
import type { Owner } from "../owner.ts";
import type { Blobs } from "./blobs.ts";
import type { Home } from "./home.ts";
import type { Index } from "./index-db.ts";
import type { Layers } from "./layers.ts";
import { isAlive } from "./liveness.ts";

export interface PruneOptions {
  /** Most bytes of layers and blobs to keep; null for no limit. */
  readonly maxBytes: number | null;
  /** Results not used for so long go; null for no limit. */
  readonly olderThanMs: number | null;
  readonly nowMs: number;
  /** Digests to keep whatever happens. */
  readonly protect?: ReadonlySet<Digest> | undefined;
  /** Only say what would go. */
  readonly dryRun?: boolean | undefined;
  /** Finished runs beyond this many, oldest first, lose their journal. */
  readonly keepRuns?: number | undefined;
}

export interface PruneReport {
  readonly results: number;
  readonly layers: number;
  readonly blobs: number;
  readonly runs: number;
  readonly freedBytes: number;
  /** Bytes of layers and blobs that remain. */
  readonly remainingBytes: number;
}

export interface StoreStats {
  readonly results: number;
  readonly layers: { readonly count: number; readonly bytes: number };
  readonly blobs: { readonly count: number; readonly bytes: number };
  readonly runs: number;
  readonly indexBytes: number;
}

/** Content that nothing refers to stays for so long: a task may be about to store the result that needs it. */
const GRACE_MS = 60 * 60_000;
/** What can be computed again is remembered for so long. */
const MEMO_MS = 30 * 24 * 60 * 60_000;
const KEPT_RUNS = 1_000;

interface Item {
  readonly digest: Digest;
  readonly size: number;
  readonly used_at: number;
}

interface Row {
  readonly key: Digest;
  readonly needs: string;
  readonly used_at: number;
}

export class Pruner {
  readonly #home: Home;
  readonly #index: Index;
  readonly #layers: Layers;
  readonly #blobs: Blobs;

  constructor(home: Home, index: Index, layers: Layers, blobs: Blobs) {
    this.#home = home;
    this.#index = index;
    this.#layers = layers;
    this.#blobs = blobs;
  }

  stats(): StoreStats {
    const one = (sql: string): { count: number; bytes: number } =>
      this.#index.get<{ count: number; bytes: number }>(sql) ?? { count: 0, bytes: 0 };
    const files = ["", "-wal"].map((suffix) => this.#home.paths.index + suffix).filter((path) => existsSync(path));
    return {
      results: one("SELECT COUNT(*) AS count, 0 AS bytes FROM results").count,
      layers: one("SELECT COUNT(*) AS count, COALESCE(SUM(size), 0) AS bytes FROM layers"),
      blobs: one("SELECT COUNT(*) AS count, COALESCE(SUM(size), 0) AS bytes FROM blobs"),
      runs: one("SELECT COUNT(*) AS count, 0 AS bytes FROM runs").count,
      indexBytes: files.reduce((sum, path) => sum + statSync(path).size, 0),
    };
  }

  /** Removes what may go. Resolves when it is gone from the disk. */
  async prune(options: PruneOptions): Promise<PruneReport> {
    const report = this.#index.transaction(() => this.#decideAndRemove(options));
    if (options.dryRun !== true) {
      this.#removeMasks();
      await this.#home.sweep();
      await this.#home.settled();
    }
    return report;
  }

  #decideAndRemove(options: PruneOptions): PruneReport {
    const { nowMs } = options;
    const items = this.#items();
    const pinned = this.#pinned(options.protect);
    const rows = this.#index.all<Row>("SELECT key, needs, used_at FROM results ORDER BY used_seq, rowid");
    const doomedRows = chooseResults(rows, items, pinned, options);
    const doomedKeys = new Set(doomedRows.map((row) => row.key));
    const needed = new Set(pinned);
    for (const row of rows) if (!doomedKeys.has(row.key)) for (const digest of needsIn(row)) needed.add(digest);
    const released = new Set(doomedRows.flatMap(needsIn));
    // Who keeps nothing keeps no remains either, unless a run may still be at work with them.
    const hasGrace = options.maxBytes !== 0 || this.#hasLivingRun();
    const mayGo = (item: Item): boolean =>
      !needed.has(item.digest) && (released.has(item.digest) || !hasGrace || idleMs(item, nowMs) > GRACE_MS);
    const layers = items.layers.filter(mayGo);
    const gone = new Set(layers.map((layer) => layer.digest));
    // A layer's tree may be a blob of the same digest: it stays and goes with the layer.
    const trees = new Set(items.layers.filter((layer) => !gone.has(layer.digest)).map((layer) => layer.digest));
    const blobs = items.blobs.filter((blob) => !trees.has(blob.digest) && (gone.has(blob.digest) || mayGo(blob)));
    const runs = this.#oldRuns(options.keepRuns ?? KEPT_RUNS);
    if (options.dryRun !== true) {
      for (const key of doomedKeys) {
        this.#index.run("DELETE FROM results WHERE key = ?", key);
        this.#index.run("DELETE FROM key_parts WHERE key = ?", key);
      }
      for (const layer of layers) this.#layers.drop(layer.digest);
      for (const blob of blobs) this.#blobs.drop(blob.digest);
      for (const run of runs) this.#forgetRun(run);
      for (const table of ["views", "definitions"])
        this.#index.run(`DELETE FROM ${table} WHERE used_at < ?`, nowMs - MEMO_MS);
      this.#removeOrphans(
        new Set(items.layers.map((layer) => layer.digest)),
        new Set(items.blobs.map((blob) => blob.digest)),
      );
    }
    const freedBytes = sizeOf(layers) + sizeOf(blobs);
    return {
      results: doomedRows.length,
      layers: layers.length,
      blobs: blobs.length,
      runs: runs.length,
      freedBytes,
      remainingBytes: sizeOf(items.layers) + sizeOf(items.blobs) - freedBytes,
    };
  }

  #items(): { readonly layers: readonly Item[]; readonly blobs: readonly Item[] } {
    return {
      layers: this.#index.all<Item>("SELECT digest, size, used_at FROM layers ORDER BY digest"),
      blobs: this.#index.all<Item>("SELECT digest, size, used_at FROM blobs ORDER BY digest"),
    };
  }

  /** What living runs hold; the pins of dead ones are removed by the way. */
  #pinned(protect: ReadonlySet<Digest> | undefined): Set<Digest> {
    const pinned = new Set(protect);
    const runs = this.#index.all<{ run: string; owner: string | null }>(
      // a run that another machine drives pins as long as it has a claim here
      `SELECT pins.run AS run, COALESCE(runs.owner, MAX(claims.owner)) AS owner FROM pins
       LEFT JOIN runs ON runs.id = pins.run LEFT JOIN claims ON claims.owner ->> '$.run' = pins.run GROUP BY pins.run`,
    );
    for (const { run, owner } of runs) {
      if (owner === null || !isAlive(JSON.parse(owner) as Owner)) {
        this.#index.run("DELETE FROM pins WHERE run = ?", run);
        continue;
      }
      for (const row of this.#index.all<{ digest: Digest }>("SELECT digest FROM pins WHERE run = ?", run))
        pinned.add(row.digest);
    }
    return pinned;
  }

  #oldRuns(keep: number): readonly string[] {
    return this.#index
      .all<{ id: string }>("SELECT id FROM runs WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT -1 OFFSET ?", keep)
      .map((row) => row.id);
  }

  #forgetRun(run: string): void {
    for (const table of ["run_events", "run_messages", "pins"])
      this.#index.run(`DELETE FROM ${table} WHERE run = ?`, run);
    this.#index.run("DELETE FROM runs WHERE id = ?", run);
    rmSync(`${this.#home.paths.runs}/${run}`, { recursive: true, force: true });
  }

  /** Files and directories that no row vouches for: left by a process that ended in the middle, or by an index set aside. */
  #removeOrphans(layers: ReadonlySet<Digest>, blobs: ReadonlySet<Digest>): void {
    for (const name of readdirSync(this.#home.paths.layers)) {
      if (!layers.has(`sha256:${name}` as Digest)) this.#home.discard(`${this.#home.paths.layers}/${name}`);
    }
    for (const folder of readdirSync(this.#home.paths.blobs)) {
      for (const name of readdirSync(`${this.#home.paths.blobs}/${folder}`)) {
        if (!blobs.has(`sha256:${name}` as Digest)) unlinkSync(`${this.#home.paths.blobs}/${folder}/${name}`);
      }
    }
  }

  #hasLivingRun(): boolean {
    return this.#index
      .all<{ owner: string }>("SELECT owner FROM runs WHERE finished_at IS NULL")
      .some((row) => isAlive(JSON.parse(row.owner) as Owner));
  }

  /** Masks are remade in a moment; a living run may be about to mount one. */
  #removeMasks(): void {
    if (this.#hasLivingRun()) return;
    for (const name of readdirSync(this.#home.paths.masks)) this.#home.discard(`${this.#home.paths.masks}/${name}`);
  }
}

/** Results to drop, least recently used first: those too old, then as many as the size limit asks for. */
function chooseResults(
  rows: readonly Row[],
  items: { readonly layers: readonly Item[]; readonly blobs: readonly Item[] },
  pinned: ReadonlySet<Digest>,
  options: PruneOptions,
): readonly Row[] {
  const sizes = new Map([...items.blobs, ...items.layers].map((item) => [item.digest, item.size]));
  const users = new Map<Digest, number>();
  for (const row of rows) for (const digest of needsIn(row)) users.set(digest, (users.get(digest) ?? 0) + 1);
  let bytes = sizeOf(items.layers) + sizeOf(items.blobs);
  for (const item of [...items.layers, ...items.blobs]) {
    // Content without a result goes by its own age.
    if (!users.has(item.digest) && !pinned.has(item.digest) && idleMs(item, options.nowMs) > GRACE_MS)
      bytes -= item.size;
  }
  const doomed: Row[] = [];
  for (const row of rows) {
    const isOld = options.olderThanMs !== null && idleMs(row, options.nowMs) > options.olderThanMs;
    // directories and whiteouts have no bytes, but take room all the same
    const isMuch = options.maxBytes !== null && (bytes > options.maxBytes || options.maxBytes === 0);
    if (!isOld && !isMuch) continue;
    const needs = needsIn(row);
    if (needs.some((digest) => pinned.has(digest))) continue;
    // Dropping a result that frees nothing would only cost a hit.
    const freeing = needs.filter((digest) => users.get(digest) === 1);
    if (!isOld && needs.length === 0) continue;
    doomed.push(row);
    for (const digest of needs) users.set(digest, (users.get(digest) ?? 1) - 1);
    for (const digest of freeing) bytes -= sizes.get(digest) ?? 0;
  }
  return doomed;
}

/** Time since last use; a use in the future (the clock was set back) counts as just now. */
function idleMs(item: { readonly used_at: number }, nowMs: number): number {
  return Math.max(0, nowMs - item.used_at);
}

function needsIn(row: Row): readonly Digest[] {
  return row.needs === "" ? [] : row.needs.split(" ").map((need) => need.slice(1) as Digest);
}

function sizeOf(items: readonly Item[]): number {
  return items.reduce((sum, item) => sum + item.size, 0);
}
