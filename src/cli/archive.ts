// What commands read of runs that are over, or that another process drives: a port over the store. The real one is
// store-archive.ts. It also carries the two things that are written: a request to cancel, and the pruning of the cache.

import type { RunId } from "../base/ids.ts";
import type { RunOptions } from "../node/run-options.ts";
import type { RunStatus } from "../sched/run-event.ts";
import type { Candidate, Explanation } from "../sched/explain.ts";
import type { NodeCapacity } from "../sched/fit.ts";
import type { RunCounts, RunJson } from "../sched/summary.ts";
import type { KeyDifference } from "../sched/why.ts";
import type { LogFrame } from "../store/log-frames.ts";
import type { Artifact } from "../store/result.ts";

/** One line of `mesh runs list`. */
export interface RunEntry {
  readonly id: RunId;
  readonly title: string;
  readonly definition: string;
  readonly status: RunStatus;
  /** A run that says it goes on and whose process is gone. */
  readonly interrupted: boolean;
  readonly startedAtMs: number;
  readonly completedAtMs: number | null;
  readonly counts: RunCounts | null;
}

/** Where a task's log is at this moment. */
export type LogState =
  /** All of it. `startedAtMs` is what the frames' times count from. */
  | { readonly kind: "whole"; readonly startedAtMs: number; readonly frames: readonly LogFrame[] }
  /** So far: the task runs. Frames from the given offset on, and the offset to ask from next time. */
  | {
      readonly kind: "growing";
      readonly startedAtMs: number;
      readonly frames: readonly LogFrame[];
      readonly nextOffset: number;
    }
  /** The task has not started. */
  | { readonly kind: "waiting" }
  /** The task is final and never ran. */
  | { readonly kind: "none" };

/** Why a task ran or hit. */
export interface WhyJson {
  readonly task: string;
  readonly run: string;
  readonly cacheKey: string | null;
  readonly status: RunJson["tasks"][number]["status"];
  readonly cacheHitFrom: string | null;
  /** False when what its key was made of is not known: only results that succeeded keep it. */
  readonly partsKept: boolean;
  /** The earlier result that is nearest; null when there is none. */
  readonly nearest: { readonly cacheKey: string; readonly run: string; readonly at: string } | null;
  readonly differences: readonly KeyDifference[];
}

export interface CacheEntry {
  readonly cacheKey: string;
  readonly task: string;
  readonly definition: string;
  readonly run: string;
  readonly madeAtMs: number;
  readonly usedAtMs: number;
  readonly durationMs: number | null;
  readonly sizeBytes: number | null;
}

export interface Amount {
  readonly count: number;
  readonly sizeBytes: number;
}

export interface CacheStats {
  readonly home: string;
  readonly results: number;
  readonly runs: number;
  readonly layers: Amount;
  readonly blobs: Amount;
  readonly indexBytes: number;
  readonly totalBytes: number;
  /** What runs keep layers and blobs below; null for no limit. */
  readonly limitBytes: number | null;
  readonly isLimitSet: boolean;
}

export interface Pruned {
  readonly results: number;
  readonly layers: number;
  readonly blobs: number;
  readonly freedBytes: number;
  readonly remainingBytes: number;
}

export interface Damage {
  readonly kind: "blob" | "layer" | "result";
  readonly name: string;
  readonly problem: string;
}

export interface Archive {
  /** How long tasks of a definition (its absolute path) took before, by key, for those that are known. */
  expectedMs(definition: string, tasks: readonly string[]): ReadonlyMap<string, number>;
  /** This machine as the scheduler sees it when nothing runs. */
  machine(): NodeCapacity;
  /** Newest first. */
  runs(limit: number): readonly RunEntry[];
  /** Runs whose id starts so; at most a handful. */
  startingWith(prefix: string): readonly RunEntry[];
  /** The documented JSON of a run, with outputs. */
  run(entry: RunEntry): RunJson;
  /** `machines`: those that it could go to. */
  explain(entry: RunEntry, task: string, machines: readonly Candidate[]): Explanation | null;
  /** What would do the run again; null when that was not kept. */
  wish(entry: RunEntry): RunOptions | null;
  /** Asks the process that drives the run to stop it. False when no process drives it. */
  cancel(entry: RunEntry): boolean;
  log(entry: RunEntry, task: string, fromOffset: number): LogState;
  artifacts(entry: RunEntry, task: string): readonly Artifact[];
  /** Path of the artifact's file or folder, or of a copy that goes with the archive; null for an empty folder. Throws `blob.missing`, `blob.corrupt`. */
  artifactPath(artifact: Artifact): Promise<string | null>;
  why(entry: RunEntry, task: string): WhyJson;
  cacheEntries(limit: number): readonly CacheEntry[];
  cacheStats(): CacheStats;
  /** null for no limit. */
  setCacheLimit(bytes: number | null): void;
  /** What nothing needs goes, then results that were not used for so long, then as many as the size asks for. */
  prune(options: {
    readonly toBytes: number | null;
    readonly olderThanMs: number | null;
    readonly dryRun: boolean;
  }): Promise<Pruned>;
  /** Reads everything that results need, and drops what is damaged. */
  verify(): Promise<readonly Damage[]>;
}
