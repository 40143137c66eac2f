// One machine of the mesh as its commands see it: its store, its capacity, its backend, and runs. With nothing joined it
// is a mesh of one.

import { basename } from "node:path";
import { MeshError } from "../base/errors.ts";
import { makeRunId } from "../base/ids.ts";
import { systemRandom } from "../base/io/system.ts";
import type { Backend } from "../exec/backend.ts";
import { ContextBackend } from "../exec/io/context-backend.ts";
import { ProcessBackend } from "../exec/io/process-backend.ts";
import { Guardian } from "../oci/io/guardian.ts";
import { subsetFor } from "../sched/graph.ts";
import { CapacityLedger, type NodeTotals } from "../sched/ledger.ts";
import type { RunJson } from "../sched/summary.ts";
import type { TaskNode } from "../sched/task-node.ts";
import type { Definition } from "../spec/definition.ts";
import type { Diagnostic } from "../spec/diagnostic.ts";
import { Store } from "../store/io/store.ts";
import { type HostBase, readHostBase } from "./base-key.ts";
import { keepToLimit } from "./cache-limit.ts";
import { type MachineCapacity, readCapacity } from "./capacity.ts";
import { Coordinator } from "./coordinator.ts";
import { type DefinitionFile, loadDefinition } from "./definition-file.ts";
import { MachineOwnership } from "./foreign-files.ts";
import { findRepository, readHead } from "./git.ts";
import { type GpuDevice, asksForGpus, findGpus, modelLabels } from "./gpus.ts";
import type { RunObserver } from "./observer.ts";
import { initValues } from "./init.ts";
import { ownEnvironment, ownProgram } from "./own-program.ts";
import { RunJournal } from "./run-journal.ts";
import type { RunOptions } from "./run-options.ts";
import { cliEvent } from "./scope.ts";
import { ScratchPool } from "./scratch.ts";
import { taskIdentity, taskNodes } from "./task-nodes.ts";

export interface RunRequest extends RunOptions {
  readonly observer: RunObserver;
  /** Cancels gracefully. */
  readonly signal: AbortSignal;
  /** Aborted after `signal`, kills at once. */
  readonly killSignal: AbortSignal;
}

export type RunOutcome =
  | { readonly kind: "invalid"; readonly file: DefinitionFile; readonly diagnostics: readonly Diagnostic[] }
  | {
      readonly kind: "finished";
      readonly file: DefinitionFile;
      readonly diagnostics: readonly Diagnostic[];
      readonly summary: RunJson;
    };

export class MeshNode implements AsyncDisposable {
  readonly store: Store;
  readonly capacity: MachineCapacity;
  readonly #home: string;
  readonly #totals: NodeTotals;
  readonly #ledger: CapacityLedger;
  #base: HostBase | null = null;

  readonly #ownership: MachineOwnership;

  private constructor(home: string, ownership: MachineOwnership) {
    this.#home = home;
    this.#ownership = ownership;
    this.store = Store.open(home, ownership);
    this.capacity = readCapacity(home);
    const { name, os, arch, cpuMilli, memoryBytes, diskBytes } = this.capacity;
    this.#totals = { name, os, arch, labels: [], baseKeys: [], total: { cpuMilli, memoryBytes, diskBytes }, gpus: [] };
    this.#ledger = new CapacityLedger(this.#totals);
  }

  /** Opens the machine's store. Throws `store.*`. Starts nothing. */
  static open(options: { readonly home: string }): MeshNode {
    return new MeshNode(options.home, new MachineOwnership(options.home));
  }

  /** Runs a definition to its end. Throws what stops a run as a whole; failing tasks are in the summary. */
  async run(request: RunRequest): Promise<RunOutcome> {
    const loaded = loadDefinition(request.path, this.store.definitions);
    if (!loaded.ok) return { kind: "invalid", file: loaded.file, diagnostics: loaded.diagnostics };
    const { file, definition, diagnostics } = loaded;
    const nodes = this.#nodesOf(definition, file, request.targets);
    const keys = new Set(nodes.map(({ key }) => key));
    refuseUnsupported(definition, keys, file, request.base);
    const runId = makeRunId(Date.now(), systemRandom.bytes(5));
    const repository = findRepository(file.directory);
    const event = cliEvent(() => (repository === null ? null : readHead(repository)));
    const init = initValues(definition, request.init, event, file.path);
    await this.store.sweep();
    await using machine = this.#openMachine(request.backend, file.directory);
    const title = request.title ?? basename(file.path);
    const journal = new RunJournal(this.store, { id: runId, title, options: optionsOf(request, file) });
    const coordinator = new Coordinator({
      machine: {
        name: this.capacity.name,
        store: this.store,
        backend: machine.backend,
        scratch: machine.scratch,
        ledger: this.#ledger,
        gpus: this.#findGpus(definition),
      },
      runId,
      title,
      definition,
      definitionDirectory: file.directory,
      identityOf: (task) => taskIdentity(file.absolutePath, task),
      scope: { runId, title, init, event },
      baseKey: this.#baseKey(definition, request.backend),
      cache: request.cache,
      jobs: request.jobs,
      observer: request.observer,
      journal,
    });
    const cancel = () => coordinator.cancel("the user");
    request.signal.addEventListener("abort", cancel);
    request.killSignal.addEventListener("abort", cancel);
    try {
      await coordinator.run({
        kind: "run-started",
        atMs: Date.now(),
        run: {
          id: runId,
          title,
          definition: file.path,
          init: request.init,
          targets: request.targets,
          coordinator: this.capacity.name,
        },
        options: { failFast: request.failFast },
        tasks: nodes,
      });
      const { run } = journal.finish(coordinator.machine);
      if (run.tasks.some(({ status }) => status.finished === "executed")) await keepToLimit(this.store);
      return { kind: "finished", file, diagnostics, summary: run };
    } catch (error) {
      journal.abandon();
      throw error;
    } finally {
      request.signal.removeEventListener("abort", cancel);
      request.killSignal.removeEventListener("abort", cancel);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.settled();
    this.store[Symbol.dispose]();
    await this.#ownership[Symbol.asyncDispose]();
  }

  /** Asks the driver only when a task wants to know. */
  #findGpus(definition: Definition): readonly GpuDevice[] {
    if (!asksForGpus(definition)) return [];
    const gpus = findGpus();
    this.#ledger.resize({ ...this.#totals, labels: modelLabels(gpus), gpus });
    return gpus;
  }

  #nodesOf(definition: Definition, file: DefinitionFile, targets: readonly string[]): readonly TaskNode[] {
    const identities = definition.tasks.map(({ key }) => taskIdentity(file.absolutePath, key));
    const expected = this.store.durations.get(identities);
    const all = taskNodes(definition, (key) => expected.get(taskIdentity(file.absolutePath, key)) ?? null);
    return targets.length === 0 ? all : subsetFor(all, targets);
  }

  #openMachine(
    kind: "context" | "process",
    definitionDirectory: string,
  ): { backend: Backend; scratch: ScratchPool } & AsyncDisposable {
    const home = this.#home;
    const backend: Backend =
      kind === "context"
        ? new ContextBackend({ home, hostname: this.capacity.name, idMap: this.#ownership.kind })
        : new ProcessBackend({ home, definitionDirectory });
    const scratch = new ScratchPool(this.store, () =>
      Guardian.start(ownProgram("after-death", home), ownEnvironment()),
    );
    return {
      backend,
      scratch,
      async [Symbol.asyncDispose]() {
        await backend[Symbol.asyncDispose]();
        await scratch[Symbol.asyncDispose]();
      },
    };
  }

  #baseKey(definition: Definition, backend: "context" | "process"): string {
    this.#base ??= readHostBase();
    const release = definition.base.config === "release";
    const key = release ? this.#base.releaseKey : this.#base.key;
    // what ran without isolation may have read anything: it is never served to a task that is isolated
    if (backend === "process") return `process:${key}`;
    // the same script sees and makes other owners where ids are mapped otherwise
    const { kind } = this.#ownership;
    return kind === "identity" ? key : `${key}:${kind}`;
  }
}

/** Says, before anything runs, what this program parses and cannot execute. All of it at once. */
function refuseUnsupported(
  definition: Definition,
  keys: ReadonlySet<string>,
  file: DefinitionFile,
  base: string | null,
): void {
  const faults: { text: string; line: number; column: number }[] = [];
  if (base !== null && base !== "host") {
    throw new MeshError("definition.unsupported", `Cannot run with --base ${base}`, {
      hint: "`--base host` runs on this machine's own system.",
    });
  }
  const isHost = definition.base.kind === "image" && definition.base.image === "host";
  if (base === null && !isHost) {
    const what =
      definition.base.kind === "call"
        ? "a base made by a run"
        : `base image ${JSON.stringify(typeof definition.base.image === "string" ? definition.base.image : "of an expression")}`;
    faults.push({
      text: `${what} is not executed by this version: container images come later. \`--base host\` runs the tasks on this machine's own system`,
      ...definition.base.at,
    });
  }
  for (const task of definition.tasks) {
    if (!keys.has(task.key)) continue;
    for (const { feature, at } of task.notExecuted)
      faults.push({ text: `task ${task.key}: ${feature} is not executed by this version`, ...at });
  }
  const [first, ...rest] = faults;
  if (first === undefined) return;
  const others = rest.map(({ text, line, column }) => `${file.path}:${line}:${column}: ${text}`);
  throw new MeshError("definition.unsupported", `Cannot run ${file.path}: ${first.text}`, {
    place: { file: file.path, line: first.line, column: first.column },
    cause: others.length === 0 ? undefined : new Error(others.slice(0, 20).join("\n")),
    ...(first.text.includes("--base host")
      ? { hint: "Run it with `--base host`, or set `base: { image: host }`." }
      : {}),
  });
}

function optionsOf(request: RunRequest, file: DefinitionFile): RunOptions {
  const { targets, init, failFast, cache, base, title, backend, jobs } = request;
  return { path: file.absolutePath, targets, init, failFast, cache, base, title, backend, jobs };
}
