// An archive in memory: a few runs, and answers that a test sets.

import type { RunId } from "../../../src/base/ids.ts";
import type {
  Archive,
  CacheEntry,
  CacheStats,
  Damage,
  LogState,
  Pruned,
  RunEntry,
  WhyJson,
} from "../../../src/cli/archive.ts";
import type { RunOptions } from "../../../src/node/run-options.ts";
import type { Candidate, Explanation } from "../../../src/sched/explain.ts";
import type { NodeCapacity } from "../../../src/sched/fit.ts";
import { type RunJson, countTasks } from "../../../src/sched/summary.ts";
import type { Artifact } from "../../../src/store/result.ts";

const TOTAL = { cpuMilli: 2_000, memoryBytes: 2 ** 32, diskBytes: 2 ** 34 };

export class FakeArchive implements Archive {
  readonly #runs: readonly RunJson[];
  readonly logs = new Map<string, LogState[]>();
  readonly artifactsOf = new Map<string, readonly Artifact[]>();
  readonly paths = new Map<string, string>();
  readonly cancelled: string[] = [];
  options: RunOptions | null = null;
  damages: readonly Damage[] = [];
  whyAnswer: WhyJson | null = null;
  entries: readonly CacheEntry[] = [];
  pruneOptions: unknown = null;
  interrupted = false;

  /** Runs, newest first. */
  constructor(runs: readonly RunJson[]) {
    this.#runs = runs;
  }

  runs(limit: number): readonly RunEntry[] {
    return this.#runs.slice(0, limit).map((run) => this.#entry(run));
  }

  startingWith(prefix: string): readonly RunEntry[] {
    return this.#runs.filter((run) => run.id.startsWith(prefix)).map((run) => this.#entry(run));
  }

  run(entry: RunEntry): RunJson {
    const run = this.#runs.find(({ id }) => id === entry.id);
    if (!run) throw new Error(`the fake has no run ${entry.id}`);
    return run;
  }

  /** The machines that the last explanation was asked over. */
  candidates: readonly Candidate[] = [];
  explanation: Explanation | null = null;

  explain(_: RunEntry, __: string, machines: readonly Candidate[]): Explanation | null {
    this.candidates = machines;
    return this.explanation;
  }

  wish(): RunOptions | null {
    return this.options;
  }

  cancel(entry: RunEntry): boolean {
    this.cancelled.push(entry.id);
    return true;
  }

  log(_: RunEntry, task: string): LogState {
    const states = this.logs.get(task) ?? [];
    return (states.length > 1 ? states.shift() : states[0]) ?? { kind: "waiting" };
  }

  artifacts(_: RunEntry, task: string): readonly Artifact[] {
    return this.artifactsOf.get(task) ?? [];
  }

  artifactPath(artifact: Artifact): Promise<string | null> {
    return Promise.resolve(this.paths.get(artifact.key) ?? null);
  }

  why(): WhyJson {
    if (this.whyAnswer === null) throw new Error("the fake was not told why");
    return this.whyAnswer;
  }

  expectedMs(): ReadonlyMap<string, number> {
    return new Map();
  }

  machine(): NodeCapacity {
    return { name: "here", os: "linux", arch: "x86_64", labels: [], baseKeys: [], total: TOTAL, free: TOTAL, gpus: [] };
  }

  cacheEntries(): readonly CacheEntry[] {
    return this.entries;
  }

  cacheStats(): CacheStats {
    return {
      home: "/m",
      results: 1_200,
      runs: 3,
      layers: { count: 2, sizeBytes: 2_048 },
      blobs: { count: 0, sizeBytes: 0 },
      indexBytes: 4_096,
      totalBytes: 6_144,
      limitBytes: this.limitBytes,
      isLimitSet: this.limitBytes !== 10_240,
    };
  }

  limitBytes: number | null = 10_240;

  setCacheLimit(bytes: number | null): void {
    this.limitBytes = bytes;
  }

  prune(options: unknown): Promise<Pruned> {
    this.pruneOptions = options;
    return Promise.resolve({ results: 2, layers: 1, blobs: 0, freedBytes: 1_024, remainingBytes: 0 });
  }

  verify(): Promise<readonly Damage[]> {
    return Promise.resolve(this.damages);
  }

  #entry(run: RunJson): RunEntry {
    return {
      id: run.id as RunId,
      title: run.title,
      definition: run.definition,
      status: run.status,
      interrupted: this.interrupted,
      startedAtMs: Date.parse(run.startedAt ?? ""),
      completedAtMs: run.completedAt === null ? null : Date.parse(run.completedAt),
      counts: countTasks(run.tasks),
    };
  }
}
