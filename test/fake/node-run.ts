// A run of a definition over a real store in a temporary folder, with a fake backend: for tests of what drives it.

import { mkdirSync } from "node:fs";
import type { RunId } from "../../src/base/ids.ts";
import { makeRunId } from "../../src/base/ids.ts";
import type { Backend } from "../../src/exec/backend.ts";
import { Coordinator } from "../../src/node/coordinator.ts";
import type { RunOptions } from "../../src/node/run-options.ts";
import { RunJournal } from "../../src/node/run-journal.ts";
import { ScratchPool } from "../../src/node/scratch.ts";
import { taskNodes } from "../../src/node/task-nodes.ts";
import { CapacityLedger } from "../../src/sched/ledger.ts";
import type { RunEvent, RunStatus } from "../../src/sched/run-event.ts";
import type { RunJson, TaskJson } from "../../src/sched/summary.ts";
import { parseDefinition } from "../../src/spec/parse.ts";
import { Store } from "../../src/store/io/store.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temporary.ts";

const GIB = 1024 ** 3;

export interface FakeRunOptions {
  readonly failFast?: boolean;
  readonly cache?: boolean;
  readonly jobs?: number;
  readonly cpuMilli?: number;
  readonly store?: Store;
  /** Where the definition lies. */
  readonly directory?: string;
}

export interface Driven {
  readonly coordinator: Coordinator;
  readonly journal: RunJournal;
  readonly runId: RunId;
  readonly events: readonly RunEvent[];
  readonly status: Promise<RunStatus>;
  /** Waits for the end, writes the summary and gives it. */
  finished(): Promise<RunJson>;
}

export class NodeFixture implements AsyncDisposable {
  readonly folder: TemporaryFolder = temporaryFolder();
  readonly store = Store.open(this.folder.join("home"));
  readonly #pools: ScratchPool[] = [];
  #runs = 0;

  constructor() {
    mkdirSync(this.folder.join("project"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pool of this.#pools) await pool[Symbol.asyncDispose]();
    await this.store.settled();
    this.store[Symbol.dispose]();
    this.folder[Symbol.dispose]();
  }

  drive(yaml: string, backend: Backend, options: FakeRunOptions = {}): Driven {
    const { definition, diagnostics } = parseDefinition(yaml, { file: "tasks.yml" });
    if (definition === null) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
    const store = options.store ?? this.store;
    const runId = makeRunId(1_700_000_000_000 + this.#runs++, new Uint8Array(5).fill(this.#runs));
    const journal = new RunJournal(store, {
      id: runId,
      title: "test",
      options: optionsOf(options),
      basis: () => ({ text: yaml, init: {}, event: {}, isKept: false }),
    });
    const scratch = new ScratchPool(store);
    this.#pools.push(scratch);
    const events: RunEvent[] = [];
    const coordinator = new Coordinator({
      machine: {
        name: "here",
        store,
        backend,
        scratch,
        ledger: ledgerOf(options.cpuMilli ?? 4_000),
        gpus: [],
        speedPercent: () => 100,
      },
      runId,
      title: "test",
      definition,
      definitionDirectory: options.directory ?? this.folder.join("project"),
      identityOf: (task) => `tasks.yml#${task}`,
      scope: { runId, title: "test", init: {}, event: {} },
      baseKey: "host:test",
      cache: options.cache ?? true,
      jobs: options.jobs ?? null,
      patienceMs: 1_000,
      allowed: { nodes: [], labels: [] },
      actor: "tester",
      mesh: null,
      observer: { event: (event) => events.push(event) },
      journal,
    });
    const status = coordinator.run({
      kind: "run-started",
      atMs: 1,
      run: { id: runId, title: "test", definition: "tasks.yml", init: {}, targets: [], coordinator: "here" },
      options: { failFast: options.failFast ?? false },
      tasks: taskNodes(definition, () => null),
    });
    // as whoever drives a run does; a test that expects a rejection looks at it later
    status.catch(() => journal.abandon());
    return {
      coordinator,
      journal,
      runId,
      events,
      status,
      finished: async () => {
        await status;
        return journal.finish(coordinator.machine).run;
      },
    };
  }

  /** Drives a definition to its end. */
  async run(yaml: string, backend: Backend, options: FakeRunOptions = {}): Promise<RunJson> {
    return await this.drive(yaml, backend, options).finished();
  }
}

/** "succeeded", "cacheHit", "failed", "skipped" or "aborted", by task key. */
export function outcomesOf(run: RunJson): Readonly<Record<string, string>> {
  return Object.fromEntries(run.tasks.map((task) => [task.key, outcomeOf(task)]));
}

export function taskOf(run: RunJson, key: string): TaskJson {
  const task = run.tasks.find((each) => each.key === key);
  if (task === undefined) throw new Error(`The run has no task ${key}`);
  return task;
}

function outcomeOf({ status }: TaskJson): string {
  if (status.execution === "skipped" || status.execution === "aborted") return status.execution;
  return status.finished === "cacheHit" ? "cacheHit" : status.result;
}

function optionsOf({ failFast = false, cache = true, jobs }: FakeRunOptions): RunOptions {
  return {
    path: "/project/tasks.yml",
    targets: [],
    init: {},
    failFast,
    cache,
    base: null,
    title: null,
    backend: "context",
    jobs: jobs ?? null,
    nodes: [],
    labels: [],
  };
}

function ledgerOf(cpuMilli: number): CapacityLedger {
  return new CapacityLedger({
    name: "here",
    os: "linux",
    arch: "x86_64",
    labels: [],
    baseKeys: ["host:test"],
    total: { cpuMilli, memoryBytes: 8 * GIB, diskBytes: 100 * GIB },
    gpus: [],
  });
}
