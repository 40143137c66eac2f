// One machine of the mesh as its commands see it: its store, its capacity, its backend, and runs. With nothing joined it
// is a mesh of one.

import { basename } from "node:path";
import { MeshError } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
import { makeRunId } from "../base/ids.ts";
import { systemRandom } from "../base/io/system.ts";
import type { Backend } from "../exec/backend.ts";
import { ContextBackend } from "../exec/io/context-backend.ts";
import { Guardian } from "../oci/io/guardian.ts";
import { subsetFor } from "../sched/graph.ts";
import type { NodeCapacity } from "../sched/fit.ts";
import { CapacityLedger, type NodeTotals } from "../sched/ledger.ts";
import type { RunJson } from "../sched/summary.ts";
import type { TaskNode } from "../sched/task-node.ts";
import type { Definition } from "../spec/definition.ts";
import type { Diagnostic } from "../spec/diagnostic.ts";
import { currentOwner } from "../store/io/liveness.ts";
import { Store } from "../store/io/store.ts";
import { type HostBase, PROCESS_BASE, baseKeysOf, readHostBase } from "./base-key.ts";
import { keepToLimit } from "./cache-limit.ts";
import { type MachineCapacity, readCapacity } from "./capacity.ts";
import { Coordinator } from "./coordinator.ts";
import { type DefinitionFile, loadDefinition } from "./definition-file.ts";
import { MachineOwnership } from "./foreign-files.ts";
import { findRepository, readHead } from "./git.ts";
import { type GpuDevice, asksForGpus, findGpus } from "./gpus.ts";
import type { ExecutionMachine } from "./executor.ts";
import { type RunPlan, keptRuns, takeUp } from "./kept-runs.ts";
import { LEND_ALL, type Lending, lentGpus, lentTotals } from "./lending.ts";
import type { RunObserver } from "./observer.ts";
import { initValues } from "./init.ts";
import { ownEnvironment, ownProgram } from "./own-program.ts";
import type { MeshAccess, MeshSide } from "./remote/mesh-side.ts";
import { RunJournal } from "./run-journal.ts";
import type { RunOptions } from "./run-options.ts";
import { cliEvent } from "./scope.ts";
import { ScratchPool } from "./scratch.ts";
import { SpeedMeter } from "./speed.ts";
import { taskIdentity, taskNodes } from "./task-nodes.ts";
import { refuseUnsupported } from "./unsupported.ts";

/** How a run is watched and stopped. */
export interface RunWires {
  readonly observer: RunObserver;
  /** Cancels gracefully. */
  readonly signal: AbortSignal;
  /** Aborted after `signal`, kills at once. */
  readonly killSignal: AbortSignal;
}

export interface RunRequest extends RunOptions, RunWires {}

export type RunOutcome =
  | { readonly kind: "invalid"; readonly file: DefinitionFile; readonly diagnostics: readonly Diagnostic[] }
  | {
      readonly kind: "finished";
      readonly file: DefinitionFile;
      readonly diagnostics: readonly Diagnostic[];
      readonly summary: RunJson;
    };

export interface NodeOptions {
  readonly home: string;
  /** Unique in the mesh; the machine's own name when absent. */
  readonly name?: string;
  /** What of this machine may be used; all of it when absent. */
  readonly lending?: Lending;
  /** Opens the mesh when something first wants it; null from it when this machine is in none. */
  readonly mesh?: () => Promise<MeshAccess | null>;
  /** Whether this process takes up its runs by itself when it starts again. */
  readonly keepsRuns?: boolean;
  /** How long a ready task of a run waits for a machine that could run it to come back; half a minute when absent. */
  readonly patienceMs?: number;
  /** What this machine has, in place of reading it: for tests. */
  readonly capacity?: MachineCapacity;
  /** How fast this machine says that it is, in place of measuring: for tests. */
  readonly speedPercent?: number;
  /** What runs tasks in place of the rootless context: for tests. */
  readonly backend?: (definitionDirectory: string) => Backend;
}

/** This machine at work for the others. */
export interface ServedWork extends AsyncDisposable {
  /** Attempts that run here for other machines. */
  readonly live: number;
  /** Whether new tasks are refused; those that run may end. */
  drain(draining: boolean): void;
}

export class MeshNode implements AsyncDisposable {
  readonly store: Store;
  readonly capacity: MachineCapacity;
  readonly #home: string;
  readonly #lending: Lending;
  readonly #patienceMs: number;
  readonly #keepsRuns: boolean;
  readonly #speedPercent: number | null;
  #totals: NodeTotals;
  readonly #ledger: CapacityLedger;
  readonly #openMesh: NodeOptions["mesh"] | null;
  readonly #makeBackend: ((definitionDirectory: string) => Backend) | null;
  #base: HostBase | null = null;
  #side: Promise<MeshSide | null> | null = null;
  #speed: SpeedMeter | null = null;

  readonly #ownership: MachineOwnership;

  private constructor(options: NodeOptions, ownership: MachineOwnership) {
    const { home, name: given, mesh, backend, lending, patienceMs } = options;
    this.#keepsRuns = options.keepsRuns === true;
    this.#speedPercent = options.speedPercent ?? null;
    this.#patienceMs = patienceMs ?? LIMITS.nodeReturnMs;
    this.#home = home;
    this.#ownership = ownership;
    this.store = Store.open(home, ownership);
    this.#openMesh = mesh ?? null;
    this.#makeBackend = backend ?? null;
    const capacity = options.capacity ?? readCapacity(home);
    this.capacity = { ...capacity, name: given ?? capacity.name };
    this.#lending = lending ?? LEND_ALL;
    this.#totals = lentTotals(this.capacity, this.#lending, []);
    this.#ledger = new CapacityLedger(this.#totals);
  }

  /** Opens the machine's store. Throws `store.*`. Starts nothing. */
  static open(options: NodeOptions): MeshNode {
    return new MeshNode(options, new MachineOwnership(options.home));
  }

  /** This machine as the scheduler sees it: what it has, and what of that this process has not leased. */
  nodeCapacity(): NodeCapacity {
    this.#knowBase();
    const capacity = this.#ledger.capacity();
    // what is not isolated is nobody else's to ask for
    return { ...capacity, baseKeys: capacity.baseKeys.filter((key) => !key.startsWith(PROCESS_BASE)) };
  }

  /** How fast one core is (speed.ts). */
  readonly speedPercent = (): number => this.#speedPercent ?? (this.#speed ??= new SpeedMeter()).percent();

  #machine(): Pick<ExecutionMachine, "name" | "store" | "ledger" | "speedPercent"> {
    return { name: this.capacity.name, store: this.store, ledger: this.#ledger, speedPercent: this.speedPercent };
  }

  /** What this machine has, as the ledger counts it. */
  get totals(): NodeTotals {
    this.#knowBase();
    return this.#totals;
  }

  /** Takes tasks of other machines from now on. Throws `mesh.not-a-member`. */
  async serveWork({ draining }: { readonly draining: boolean }): Promise<ServedWork> {
    const side = await this.#meshSide();
    if (side === null)
      throw new MeshError("mesh.not-a-member", "Cannot take tasks of other machines: this one is in no mesh");
    this.#knowBase();
    const gpus = this.#lendGpus();
    await this.store.sweep();
    await using stack = new AsyncDisposableStack();
    const { backend, scratch } = stack.use(await this.#openMachine("context", this.#home));
    await backend.sweep?.();
    const faults = Promise.withResolvers<never>();
    faults.promise.catch(() => undefined);
    const { peers, content, claims } = side;
    const { WorkerService } = await import("./remote/worker-service.ts");
    const service = stack.use(
      new WorkerService({
        machine: { ...this.#machine(), backend, scratch, gpus },
        peers,
        content,
        claims,
        life: systemRandom.bytes(8).toHex(),
        draining,
        onFault: (error) => faults.reject(error),
      }),
    );
    stack.use(side.alsoFresh(service));
    const parts = stack.move();
    return {
      get live() {
        return service.live;
      },
      drain: (on) => service.drain(on),
      [Symbol.asyncDispose]: () => parts.disposeAsync(),
    };
  }

  /** Runs a definition to its end. Throws what stops a run as a whole; failing tasks are in the summary. */
  async run(request: RunRequest): Promise<RunOutcome> {
    const loaded = await loadDefinition(request.path, this.store.definitions);
    if (!loaded.ok) return { kind: "invalid", file: loaded.file, diagnostics: loaded.diagnostics };
    const { file, definition, diagnostics } = loaded;
    const nodes = this.#nodesOf(definition, file, request.targets);
    const keys = new Set(nodes.map(({ key }) => key));
    refuseUnsupported(definition, keys, file, request.base);
    const runId = makeRunId(Date.now(), systemRandom.bytes(5));
    const repository = findRepository(file.directory);
    const event = cliEvent(() => (repository === null ? null : readHead(repository)));
    const init = initValues(definition, request.init, event, file.path);
    const title = request.title ?? basename(file.path);
    const options = optionsOf(request, file);
    const started = {
      kind: "run-started",
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
    } as const;
    const plan = { file, definition, runId, title, options, init, event };
    const drive = (coordinator: Coordinator) => coordinator.run({ ...started, atMs: Date.now() });
    return { kind: "finished", file, diagnostics, summary: await this.#drive(plan, request, drive) };
  }

  /**
   * Goes on with a run of this machine whose driver is gone: what was finished stays finished, and what went on at other machines
   * meanwhile is taken over. Throws `run.not-found`; `usage.invalid` when it is over, or somebody drives it.
   */
  async resumeRun(id: string, wires: RunWires): Promise<RunOutcome> {
    const { plan, entries, diagnostics } = await takeUp(id, this.store.runs, Date.now());
    const { file } = plan;
    const summary = await this.#drive(plan, wires, (coordinator) => coordinator.resume(entries));
    return { kind: "finished", file, diagnostics, summary };
  }

  /** Ids of runs that a node of this home was driving when it ended, oldest first. */
  runsToTakeUp(): readonly string[] {
    return keptRuns(this.store.runs, Date.now());
  }

  async #drive(
    plan: RunPlan,
    wires: RunWires,
    drive: (coordinator: Coordinator) => Promise<unknown>,
  ): Promise<RunJson> {
    const { file, definition, runId, title, options, init, event } = plan;
    await this.store.sweep();
    await using machine = await this.#openMachine(options.backend, file.directory);
    const journal = new RunJournal(this.store, {
      id: runId,
      title,
      options,
      basis: () => ({ text: file.text, init, event, isKept: this.#keepsRuns }),
      isThere: plan.isThere === true,
    });
    const coordinator = new Coordinator({
      machine: {
        ...this.#machine(),
        backend: machine.backend,
        scratch: machine.scratch,
        gpus: this.#findGpus(definition),
      },
      runId,
      title,
      definition,
      definitionDirectory: file.directory,
      identityOf: (task) => taskIdentity(file.absolutePath, task),
      scope: { runId, title, init, event },
      baseKey: this.#baseKey(definition, options.backend),
      cache: options.cache,
      jobs: options.jobs,
      patienceMs: this.#patienceMs,
      allowed: { nodes: options.nodes, labels: options.labels },
      actor: process.env["USER"] ?? "mesh",
      // what runs without isolation runs where the user chose that
      mesh: this.#openMesh === null || options.backend !== "context" ? null : () => this.#meshSide(),
      observer: wires.observer,
      journal,
    });
    const cancel = () => coordinator.cancel("the user");
    wires.signal.addEventListener("abort", cancel);
    wires.killSignal.addEventListener("abort", cancel);
    try {
      const driven = drive(coordinator);
      // the wish to stop may have come before there was a run to stop
      if (wires.signal.aborted) cancel();
      if (wires.killSignal.aborted) cancel();
      await driven;
      const { run } = journal.finish(coordinator.machine);
      if (run.tasks.some(({ status }) => status.finished === "executed")) await keepToLimit(this.store);
      return run;
    } catch (error) {
      journal.abandon();
      throw error;
    } finally {
      wires.signal.removeEventListener("abort", cancel);
      wires.killSignal.removeEventListener("abort", cancel);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    (await this.#side?.catch(() => null))?.[Symbol.dispose]();
    await this.store.settled();
    this.store[Symbol.dispose]();
    await this.#ownership[Symbol.asyncDispose]();
  }

  /** Asks the driver only when a task wants to know. */
  #findGpus(definition: Definition): readonly GpuDevice[] {
    if (!asksForGpus(definition)) return [];
    return this.#lendGpus();
  }

  #lendGpus(): readonly GpuDevice[] {
    const gpus = lentGpus(this.#lending, findGpus);
    this.#totals = { ...lentTotals(this.capacity, this.#lending, gpus), baseKeys: this.#totals.baseKeys };
    this.#ledger.resize(this.#totals);
    return gpus;
  }

  /** Opened once, by whatever needs it first; asked again when it could not be opened. */
  #meshSide(): Promise<MeshSide | null> {
    if (this.#openMesh === null || this.#openMesh === undefined) return Promise.resolve(null);
    this.#side ??= this.#openMesh().then(async (access) => {
      if (access === null) return null;
      const { MeshSide: Side } = await import("./remote/mesh-side.ts");
      return new Side(access, this.store);
    });
    this.#side.catch(() => (this.#side = null));
    return this.#side;
  }

  #knowBase(): HostBase {
    if (this.#base === null) {
      this.#base = readHostBase((path) => this.store.fileDigests.of(path, Date.now()));
      const { key, releaseKey } = this.#base;
      const mapped = { key: this.#mapped(key), releaseKey: this.#mapped(releaseKey) };
      this.#totals = { ...this.#totals, baseKeys: baseKeysOf(mapped) };
      this.#ledger.resize(this.#totals);
    }
    return this.#base;
  }

  #nodesOf(definition: Definition, file: DefinitionFile, targets: readonly string[]): readonly TaskNode[] {
    const identities = definition.tasks.map(({ key }) => taskIdentity(file.absolutePath, key));
    const expected = this.store.durations.get(identities);
    const all = taskNodes(definition, (key) => expected.get(taskIdentity(file.absolutePath, key)) ?? null);
    return targets.length === 0 ? all : subsetFor(all, targets);
  }

  async #openMachine(
    kind: "context" | "process",
    definitionDirectory: string,
  ): Promise<{ backend: Backend; scratch: ScratchPool } & AsyncDisposable> {
    const home = this.#home;
    const backend = await this.#openBackend(kind, definitionDirectory);
    const { pid, startTicks } = currentOwner();
    const afterDeath = ownProgram("after-death", home, String(pid), startTicks);
    const scratch = new ScratchPool(this.store, () => Guardian.start(afterDeath, ownEnvironment()));
    return {
      backend,
      scratch,
      async [Symbol.asyncDispose]() {
        await backend[Symbol.asyncDispose]();
        await scratch[Symbol.asyncDispose]();
      },
    };
  }

  async #openBackend(kind: "context" | "process", definitionDirectory: string): Promise<Backend> {
    if (this.#makeBackend !== null) return this.#makeBackend(definitionDirectory);
    const home = this.#home;
    if (kind === "context")
      return new ContextBackend({ home, hostname: this.capacity.name, idMap: this.#ownership.kind });
    const { ProcessBackend } = await import("../exec/io/process-backend.ts");
    return new ProcessBackend({ home, definitionDirectory });
  }

  #baseKey(definition: Definition, backend: "context" | "process"): string {
    const base = this.#knowBase();
    const key = definition.base.config === "release" ? base.releaseKey : base.key;
    // what ran without isolation may have read anything: it is never served to a task that is isolated
    return backend === "process" ? PROCESS_BASE + this.#mapped(key) : this.#mapped(key);
  }

  /** The same script sees and makes other owners where ids are mapped otherwise. */
  #mapped(key: string): string {
    const { kind } = this.#ownership;
    return kind === "identity" ? key : `${key}:${kind}`;
  }
}

function optionsOf(request: RunRequest, file: DefinitionFile): RunOptions {
  const { targets, init, failFast, cache, base, title, backend, jobs, nodes, labels } = request;
  return { path: file.absolutePath, targets, init, failFast, cache, base, title, backend, jobs, nodes, labels };
}
