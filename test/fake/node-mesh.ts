// Machines of one mesh in one process: each a `MeshNode` with a store of its own, over a hub in memory, with the real exchange
// of content. What tasks do is said by scripts, or done in real contexts.

import { Database } from "bun:sqlite";
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { PeerId } from "../../src/base/ids.ts";
import { MeshContent } from "../../src/mesh/io/content-exchange.ts";
import type { NodeSnapshot } from "../../src/mesh/peer-view.ts";
import type { Role } from "../../src/mesh/roles.ts";
import { type MachineCapacity, readCapacity } from "../../src/node/capacity.ts";
import { LEND_ALL, type Lending } from "../../src/node/lending.ts";
import { MeshNode, type RunOutcome, type RunRequest, type RunWires, type ServedWork } from "../../src/node/node.ts";
import type { RunEvent } from "../../src/sched/run-event.ts";
import type { RunJson } from "../../src/sched/summary.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { FakeBackend, type FakeScript } from "./backend.ts";
import { type HubPeers, MeshHub } from "./mesh-hub.ts";
import { SUBMISSION } from "./node-runs.ts";

/** So short that a test need not wait for it. */
const SEARCH_MS = 200;

export interface Machine {
  readonly name: string;
  /** Name of its folder. */
  readonly home: string;
  readonly id: PeerId;
  readonly peers: HubPeers;
  readonly node: MeshNode;
  readonly content: MeshContent;
  /** What ran there; null with real contexts. */
  readonly backend: FakeBackend;
  served: ServedWork | null;
  /** Says again what is free, as a heartbeat does. */
  beat(draining?: boolean): void;
}

export interface MachineOptions {
  readonly scripts?: Readonly<Record<string, FakeScript>>;
  readonly cpus?: number;
  readonly roles?: readonly Role[];
  readonly lending?: Partial<Lending>;
  /** Runs tasks of others; true when absent. */
  readonly serves?: boolean;
  readonly contexts?: boolean;
  /** What it says of its speed; 100 when absent. */
  readonly speedPercent?: number;
  readonly patienceMs?: number;
}

export interface Watched {
  readonly outcome: Promise<RunOutcome>;
  readonly events: readonly RunEvent[];
  readonly replayed: readonly RunEvent[];
  readonly output: () => string;
  readonly notices: readonly string[];
  readonly cancel: AbortController;
  readonly kill: AbortController;
}

export class NodeMesh implements AsyncDisposable {
  readonly hub = new MeshHub();
  readonly folder = temporaryFolder();
  readonly machines: Machine[] = [];
  readonly #cleanUp: (() => void)[] = [];

  constructor() {
    mkdirSync(this.folder.join("project"));
  }

  async add(name: string, options: MachineOptions = {}): Promise<Machine> {
    const home = this.folder.join(name);
    mkdirSync(home);
    const peers = this.hub.add(name, options.roles);
    const backend = new FakeBackend(options.scripts);
    const { speedPercent = 100 } = options;
    let content: MeshContent | null = null;
    const node = MeshNode.open({
      home,
      name,
      capacity: capacityWith(options.cpus ?? 2, home),
      lending: { ...LEND_ALL, ...options.lending },
      mesh: async () => await Promise.resolve({ peers, content: (content ??= exchange()) }),
      patienceMs: options.patienceMs ?? 50,
      speedPercent,
      ...(options.contexts === true ? {} : { backend: () => backend }),
    });
    const exchange = () => new MeshContent({ store: node.store, peers, searchMs: SEARCH_MS });
    content = exchange();
    const beat = (draining = false) => peers.publish(snapshotOf(node, draining));
    const machine: Machine = { name, home: name, id: peers.self, peers, node, content, backend, served: null, beat };
    if (options.serves !== false) machine.served = await node.serveWork({ draining: false });
    beat();
    this.machines.push(machine);
    return machine;
  }

  /**
   * Starts a machine anew over what its process left, as after a kill: that process hears nothing more and is not heard, its runs
   * have nobody to drive them, and it takes no tasks.
   */
  restart(machine: Machine, scripts: Readonly<Record<string, FakeScript>> = {}): Machine {
    const peers = this.hub.restart(machine.id);
    const backend = new FakeBackend(scripts);
    // the old process's store stays its own, as two of one process would be in each other's way
    const home = this.folder.join(`${machine.name}-${this.machines.length}`);
    cpSync(this.folder.join(machine.home), home, { recursive: true });
    for (const scratch of readdirSync(join(home, "tmp"))) rmSync(join(home, "tmp", scratch), { recursive: true });
    this.machines.splice(this.machines.indexOf(machine), 1);
    let content: MeshContent | null = null;
    const node = MeshNode.open({
      home,
      name: machine.name,
      capacity: capacityWith(2, home),
      speedPercent: 100,
      mesh: async () => await Promise.resolve({ peers, content: (content ??= exchange()) }),
      backend: () => backend,
    });
    const exchange = () => new MeshContent({ store: node.store, peers, searchMs: SEARCH_MS });
    content = exchange();
    using index = new Database(node.store.paths.index);
    index.run("UPDATE runs SET owner = json_set(owner, '$.startTicks', '0')");
    index.run("DELETE FROM claims");
    const beat = (draining = false) => peers.publish(snapshotOf(node, draining));
    const restarted = { ...machine, home: basename(home), peers, node, content, backend, served: null, beat };
    this.machines.push(restarted);
    return restarted;
  }

  /** Takes up a run of a machine whose driver is gone. */
  resume(machine: Machine, runId: string): Watched {
    return this.#watch((wires) => machine.node.resumeRun(runId, wires));
  }

  /** Writes a definition and starts a run of it on a machine. */
  start(machine: Machine, yaml: string, options: Partial<RunRequest> = {}): Watched {
    const path = this.folder.join("project/tasks.yml");
    writeFileSync(path, yaml);
    const wish = { ...SUBMISSION, path, ...options };
    return this.#watch((wires) => machine.node.run({ ...wish, ...wires }));
  }

  #watch(begin: (wires: RunWires) => Promise<RunOutcome>): Watched {
    const events: RunEvent[] = [];
    const replayed: RunEvent[] = [];
    const notices: string[] = [];
    let output = "";
    const [cancel, kill] = [new AbortController(), new AbortController()];
    const outcome = begin({
      observer: {
        event: (event) => events.push(event),
        replayed: (event) => replayed.push(event),
        output: (_task, _stream, bytes) => (output += new TextDecoder().decode(bytes)),
        notice: (_level, text) => notices.push(text),
      },
      signal: cancel.signal,
      killSignal: kill.signal,
    });
    return { outcome, events, replayed, output: () => output, notices, cancel, kill };
  }

  async run(machine: Machine, yaml: string, options: Partial<RunRequest> = {}): Promise<RunJson> {
    return summaryOf(await this.start(machine, yaml, options).outcome);
  }

  defer(act: () => void): void {
    this.#cleanUp.push(act);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const act of this.#cleanUp) act();
    for (const { served } of this.machines) await served?.[Symbol.asyncDispose]();
    for (const { node } of this.machines) await node[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

function snapshotOf(node: MeshNode, draining: boolean): NodeSnapshot {
  return {
    capacity: node.nodeCapacity(),
    gpuModels: [],
    cpuPercent: 0,
    runningTasks: 0,
    blobs: { count: 0, bytes: 0 },
    draining,
    speedPercent: node.speedPercent(),
  };
}

export function summaryOf(outcome: RunOutcome): RunJson {
  if (outcome.kind === "finished") return outcome.summary;
  throw new Error(outcome.diagnostics.map(({ message }) => message).join("\n"));
}

/** By task: where it ran, or "cacheHit". */
export function placesOf(run: RunJson): Readonly<Record<string, string | null>> {
  return Object.fromEntries(
    run.tasks.map(({ key, node, status }) => [key, status.finished === "cacheHit" ? "cacheHit" : node]),
  );
}

/** This machine's, with so many CPUs, however many it really has. */
function capacityWith(cpus: number, home: string): MachineCapacity {
  return { ...readCapacity(home), cpuMilli: cpus * 1_000 };
}

/** Waits for something that comes soon, or fails. */
export async function until(isSo: () => boolean, what = "it"): Promise<void> {
  for (const started = performance.now(); !isSo(); await new Promise((resolve) => setImmediate(resolve)))
    if (performance.now() - started > 10_000) throw new Error(`${what} did not come`);
}
