// The archive over the store: runs read back by the node's own reader, results and cache from the store's parts.

import { existsSync, readFileSync } from "node:fs";
import { type Digest, digestFromHex, parseDigest } from "../base/digest.ts";
import { MeshError, fail } from "../base/errors.ts";
import { parseRunId } from "../base/ids.ts";
import { MachineOwnership } from "../node/foreign-files.ts";
import { readCacheLimit, writeCacheLimit } from "../node/cache-limit.ts";
import { baseKeysOf, readHostBase } from "../node/base-key.ts";
import { type MachineCapacity, readCapacity } from "../node/capacity.ts";
import type { RunMessage } from "../node/run-journal.ts";
import type { RunOptions } from "../node/run-options.ts";
import { type JournalEntry, type RunView, readRun } from "../node/run-record.ts";
import { taskIdentity } from "../node/task-nodes.ts";
import { evaluateAfter } from "../node/after.ts";
import { type Candidate, type Explanation, explain } from "../sched/explain.ts";
import type { NodeCapacity } from "../sched/fit.ts";
import { RunMachine } from "../sched/run-machine.ts";
import { type RunJson, type TaskJson, countTasks } from "../sched/summary.ts";
import { type FileListing, compareKeys } from "../sched/why.ts";
import type { RunRecord } from "../store/io/runs.ts";
import { Store } from "../store/io/store.ts";
import { LogReader, decodeFrames, encodeFrame } from "../store/log-frames.ts";
import { EMPTY_TREE } from "../store/layer.ts";
import { WORKSPACE_IN_TREE, liveLogPath } from "../store/paths.ts";
import { type Artifact, needsOf, type KeyParts } from "../store/result.ts";
import { type Tree, inWorkspace } from "../store/tree.ts";
import type { Archive, CacheEntry, CacheStats, Damage, LogState, Pruned, RunEntry, WhyJson } from "./archive.ts";

/** Most results that are looked at one by one. */
const MOST_RESULTS = 1_000_000;

/** Ids shown when a prefix is not enough. */
const MOST_MATCHES = 6;

export class StoreArchive implements Archive, AsyncDisposable {
  readonly #store: Store;
  readonly #ownership: MachineOwnership;
  /** Copies of what this process may not read. */
  readonly #copies: string[] = [];
  readonly #views = new Map<string, RunView>();

  private constructor(home: string) {
    this.#ownership = new MachineOwnership(home);
    this.#store = Store.open(home, this.#ownership);
  }

  /** Opens the store in `home`. Throws `store.*`. */
  static open(home: string): StoreArchive {
    return new StoreArchive(home);
  }

  runs(limit: number): readonly RunEntry[] {
    return this.#store.runs.list(limit).map((record) => this.#entry(record));
  }

  startingWith(prefix: string): readonly RunEntry[] {
    return this.#store.runs.startingWith(prefix, MOST_MATCHES).map((record) => this.#entry(record));
  }

  run(entry: RunEntry): RunJson {
    const view = this.#view(entry.id);
    if (view === null) return fail("run.not-found", `Cannot read run ${entry.id}: nothing of it was written yet`);
    return view.run;
  }

  explain(entry: RunEntry, task: string, machines: readonly Candidate[]): Explanation | null {
    const machine = this.#view(entry.id)?.machine ?? this.#replay(entry.id);
    return machine === null ? null : explain(machine, task, machines);
  }

  wish(entry: RunEntry): RunOptions | null {
    return this.#view(entry.id)?.options ?? null;
  }

  cancel(entry: RunEntry): boolean {
    const message: RunMessage = { kind: "cancel", by: "mesh cancel" };
    return this.#store.runs.send(entry.id, message);
  }

  log(entry: RunEntry, task: string, fromOffset: number): LogState {
    // what a run that goes on has written may be newer than what was read before
    const view = this.#view(entry.id, entry.status.execution === "running");
    const json = view?.run.tasks.find(({ key }) => key === task) ?? null;
    const kept = view?.logs[task] ?? this.#hitLog(json);
    if (kept)
      return { kind: "whole", startedAtMs: kept.startedAtMs, frames: decodeFrames(this.#store.readLog(kept.log)) };
    const startedAtMs = json?.startedAt ? Date.parse(json.startedAt) : entry.startedAtMs;
    const path = liveLogPath(this.#store.paths, entry.id, task);
    if (existsSync(path)) {
      const frames = new LogReader().push(readFileSync(path).subarray(fromOffset));
      const nextOffset = frames.reduce((sum, frame) => sum + encodeFrame(frame).length, fromOffset);
      return { kind: "growing", startedAtMs, frames, nextOffset };
    }
    if (json?.status.execution === "running")
      return { kind: "growing", startedAtMs, frames: [], nextOffset: fromOffset };
    return json !== null && isFinal(json) ? { kind: "none" } : { kind: "waiting" };
  }

  artifacts(entry: RunEntry, task: string): readonly Artifact[] {
    const json = this.run(entry).tasks.find(({ key }) => key === task);
    if (!json || json.outputs.artifacts.length === 0) return [];
    const kept = this.#resultOf(json)?.artifacts ?? [];
    return json.outputs.artifacts.map(({ key, digest, sizeBytes, path }) => {
      const same = kept.find((artifact) => artifact.key === key && artifact.digest === digest);
      // without its result (pruned, or the task failed) the content itself says what it is
      return (
        same ?? {
          key,
          digest: parseDigest(digest),
          kind: this.#kindOf(parseDigest(digest)),
          name: path,
          sizeBytes,
          mode: 0o644,
        }
      );
    });
  }

  async artifactPath(artifact: Artifact): Promise<string | null> {
    if (artifact.digest === EMPTY_TREE) return null;
    const { blobs, layers, owned } = this.#store;
    if (artifact.kind === "directory" && layers.has(artifact.digest)) {
      if (!owned.isForeign(artifact.digest)) return layers.directory(artifact.digest);
      const copy = this.#store.temporary();
      this.#copies.push(copy);
      await owned.materialize(artifact, copy);
      return copy;
    }
    if (artifact.kind === "file" && blobs.has(artifact.digest)) {
      // `read` names what is wrong, and drops what cannot be trusted
      if (!blobs.verify(artifact.digest)) blobs.read(artifact.digest);
      return blobs.path(artifact.digest);
    }
    return fail("blob.missing", `Cannot find the content of artifact ${JSON.stringify(artifact.key)}: it was pruned`);
  }

  why(entry: RunEntry, task: string): WhyJson {
    const view = this.#view(entry.id);
    const json = view?.run.tasks.find(({ key }) => key === task);
    if (!view || !json) return fail("task.not-found", `Cannot find task ${task} in run ${entry.id}`);
    const answer = {
      task,
      run: entry.id,
      cacheKey: json.cacheKey,
      status: json.status,
      cacheHitFrom: json.cacheHitFrom,
    };
    if (json.cacheKey === null || json.status.finished === "cacheHit")
      return { ...answer, partsKept: true, nearest: null, differences: [] };
    const key = parseDigest(json.cacheKey);
    const own = this.#store.results.get(key, 0);
    const nearest = this.#store.results.nearest(taskIdentity(view.options.path, task), key);
    if (nearest === null || own === null) return { ...answer, partsKept: own !== null, nearest: null, differences: [] };
    const before = this.#input(nearest.parts);
    const after = this.#input(own.parts);
    return {
      ...answer,
      partsKept: true,
      nearest: { cacheKey: nearest.key, run: nearest.result.run, at: new Date(nearest.storedAtMs).toISOString() },
      differences: compareKeys(
        before.parts,
        after.parts,
        before.files && after.files ? { before: before.files, after: after.files } : null,
      ),
    };
  }

  expectedMs(definition: string, tasks: readonly string[]): ReadonlyMap<string, number> {
    const known = this.#store.durations.get(tasks.map((task) => taskIdentity(definition, task)));
    return new Map(
      tasks
        .flatMap((task) => [[task, known.get(taskIdentity(definition, task))] as const])
        .filter((pair): pair is [string, number] => pair[1] !== undefined),
    );
  }

  machine(): NodeCapacity {
    const base = readHostBase((path) => this.#store.fileDigests.of(path, Date.now()));
    return { ...nodeCapacity(readCapacity(this.#store.paths.home)), baseKeys: baseKeysOf(base) };
  }

  cacheEntries(limit: number): readonly CacheEntry[] {
    return this.#store.results.list(limit).map(({ key, identity, run, storedAtMs, usedAtMs }) => {
      const result = this.#store.results.get(key, storedAtMs)?.result ?? null;
      const hash = identity.lastIndexOf("#");
      return {
        cacheKey: key,
        task: identity.slice(hash + 1),
        definition: identity.slice(0, Math.max(0, hash)),
        run,
        madeAtMs: storedAtMs,
        usedAtMs,
        durationMs: result?.durationMs ?? null,
        sizeBytes:
          result === null
            ? null
            : (result.layer?.sizeBytes ?? 0) +
              result.log.sizeBytes +
              result.artifacts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      };
    });
  }

  cacheStats(): CacheStats {
    const { results, layers, blobs, runs, indexBytes } = this.#store.stats();
    const limit = readCacheLimit(this.#store.paths.home);
    return {
      limitBytes: limit.bytes,
      isLimitSet: limit.isSet,
      home: this.#store.paths.home,
      results,
      runs,
      layers: { count: layers.count, sizeBytes: layers.bytes },
      blobs: { count: blobs.count, sizeBytes: blobs.bytes },
      indexBytes,
      totalBytes: layers.bytes + blobs.bytes + indexBytes,
    };
  }

  setCacheLimit(bytes: number | null): void {
    writeCacheLimit(this.#store.paths.home, bytes);
  }

  async prune(options: {
    readonly toBytes: number | null;
    readonly olderThanMs: number | null;
    readonly dryRun: boolean;
  }): Promise<Pruned> {
    const { toBytes, olderThanMs, dryRun } = options;
    const report = await this.#store.prune({ maxBytes: toBytes, olderThanMs, nowMs: Date.now(), dryRun });
    const { results, layers, blobs, freedBytes, remainingBytes } = report;
    return { results, layers, blobs, freedBytes, remainingBytes };
  }

  async verify(): Promise<readonly Damage[]> {
    const damages: Damage[] = [];
    const seen = new Set<Digest>();
    for (const { key, storedAtMs, expiresAtMs } of this.#store.results.list(MOST_RESULTS)) {
      // kept for comparison alone: what it needs may be gone
      if (expiresAtMs !== null && expiresAtMs <= storedAtMs) continue;
      const stored = this.#store.results.get(key, storedAtMs);
      if (stored === null) {
        damages.push({ kind: "result", name: key, problem: "its row is damaged, or content it needs is gone" });
        continue;
      }
      const damage = await this.#damageOf(needsOf(stored.result), seen);
      if (damage.length === 0) continue;
      damages.push(...damage);
      this.#store.results.drop(key);
    }
    return damages;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const copy of this.#copies) this.#store.discard(copy);
    await this.#store.settled();
    this.#store[Symbol.dispose]();
    await this.#ownership[Symbol.asyncDispose]();
  }

  async #damageOf({ layers, blobs }: ReturnType<typeof needsOf>, seen: Set<Digest>): Promise<readonly Damage[]> {
    const damages: Damage[] = [];
    for (const digest of layers) {
      if (seen.has(digest)) continue;
      if (await this.#store.owned.verify(digest)) seen.add(digest);
      else damages.push({ kind: "layer", name: digest, problem: "its files are not what its digest says" });
    }
    for (const digest of blobs) {
      if (seen.has(digest)) continue;
      if (this.#store.blobs.verify(digest)) seen.add(digest);
      else {
        this.#store.blobs.drop(digest);
        damages.push({ kind: "blob", name: digest, problem: "its bytes have another digest" });
      }
    }
    return damages;
  }

  #view(id: string, fresh = false): RunView | null {
    const known = this.#views.get(id);
    if (known && (known.state !== "running" || !fresh)) return known;
    const record = this.#store.runs.get(id);
    return record === null ? null : this.#read(record);
  }

  #read(record: RunRecord): RunView | null {
    const view = readRun(record, this.#store.runs);
    if (view !== null) this.#views.set(record.id, view);
    return view;
  }

  #entry(record: RunRecord): RunEntry {
    const view = this.#views.get(record.id) ?? this.#read(record);
    const id = parseRunId(record.id) ?? fail("store.corrupt", `Cannot read ${JSON.stringify(record.id)} as a run's id`);
    return {
      id,
      title: record.title,
      definition: record.definition,
      status: view?.run.status ?? { execution: record.state === "running" ? "running" : "aborted", result: "none" },
      interrupted: record.state === "interrupted",
      startedAtMs: record.createdAtMs,
      completedAtMs: record.finishedAtMs,
      counts: view === null ? null : countTasks(view.run.tasks),
    };
  }

  /** A run's machine from its journal; null when it has none: all was answered from the cache. */
  #replay(id: string): RunMachine | null {
    const machine = new RunMachine(evaluateAfter);
    let steps = 0;
    for (const { event } of this.#store.runs.events(id)) {
      const entry = event as JournalEntry;
      if (entry.kind === "event") machine.step(entry.event);
      steps++;
    }
    return steps === 0 ? null : machine;
  }

  #resultOf(task: TaskJson) {
    return task.cacheKey === null ? null : (this.#store.results.get(parseDigest(task.cacheKey), 0)?.result ?? null);
  }

  /** The log of a hit in a run that goes on: its journal says nothing of hits. */
  #hitLog(task: TaskJson | null) {
    const result = task?.status.finished === "cacheHit" ? this.#resultOf(task) : null;
    return result === null ? null : { log: result.log, startedAtMs: result.startedAtMs };
  }

  #kindOf(digest: Digest): Artifact["kind"] {
    return this.#store.layers.has(digest) ? "directory" : "file";
  }

  /** A key's parts, and the files that they stand for; null files when their listing is not kept any more. */
  #input(parts: KeyParts): { readonly parts: KeyParts; readonly files: FileListing | null } {
    const { [CHECKOUT_PART]: layer, ...others } = parts;
    try {
      if (layer !== undefined)
        return { parts: { ...others, layers: layer }, files: listing(this.#store.layers.tree(digestFromHex(layer))) };
      const workspace = parts["workspace"];
      return {
        parts,
        files: workspace === undefined ? null : listing(this.#store.layers.keyTree(parseDigest(workspace))),
      };
    } catch (error) {
      if (error instanceof MeshError) return { parts, files: null };
      throw error;
    }
  }
}

/** The part in which a package names the layer of files that it brings. */
const CHECKOUT_PART = "extra content";

/** What identifies each file of a workspace, by path. */
function listing(tree: Tree): FileListing {
  const files = tree.filter(({ kind, path }) => kind !== "directory" && inWorkspace(path));
  return new Map(
    files.map(({ path, xattrs, ...rest }) => [
      path.slice(WORKSPACE_IN_TREE.length + 1),
      JSON.stringify({ ...rest, xattrs: xattrs.length }),
    ]),
  );
}

/** This machine as the scheduler sees it when nothing runs. */
function nodeCapacity({ name, os, arch, cpuMilli, memoryBytes, diskBytes }: MachineCapacity): NodeCapacity {
  const total = { cpuMilli, memoryBytes, diskBytes };
  return { name, os, arch, labels: [], baseKeys: [], total, free: total, gpus: [] };
}

function isFinal({ status }: TaskJson): boolean {
  return status.execution === "finished" || status.execution === "aborted" || status.execution === "skipped";
}
