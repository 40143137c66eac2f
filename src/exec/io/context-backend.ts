// The backend that isolates: a rootless OCI context over this machine's own root filesystem. A run that executes nothing loads
// nothing of contexts.

import { bestIdMap } from "../../oci/io/id-map.ts";
import type { ContextRuntime } from "../../oci/io/launch.ts";
import type { PreparedContext } from "../../oci/io/prepared-context.ts";
import type { ContextCommand, ContextSetup, IdMapKind } from "../../oci/runtime/context-spec.ts";
import { CONTEXT } from "../../store/paths.ts";
import type { Backend, Execution, RunningExecution, Scratch } from "../backend.ts";

interface ContextBackendOptions {
  readonly home: string;
  readonly hostname: string;
  /** Which ids exist in contexts; the best map of this user when left out. */
  readonly idMap?: IdMapKind;
}

/** What contexts without layers and binds of their own differ in, besides their scratch. */
type Shape = Pick<Execution, "network" | "limits" | "tmpfsTmp">;

/** A context that waits in a scratch, and the shape it has. */
interface Waiting {
  readonly shape: string;
  readonly context: Promise<PreparedContext | null>;
}

const NOTHING_OF_ITS_OWN = { layers: [], binds: [], devices: [] } as const;

/** Runs each task in fresh namespaces, over an overlay of its layers on the host's root. */
export class ContextBackend implements Backend {
  readonly name = "context";
  readonly paths = {
    artifactFolder: (hex: string) => `${CONTEXT.in}/${hex.slice(0, 12)}`,
    runDirectory: CONTEXT.run,
  };
  readonly #home: string;
  readonly #hostname: string;
  readonly #hidden: readonly string[];
  readonly #idMap: IdMapKind;
  /** By the root of their scratch. */
  readonly #waiting = new Map<string, Waiting>();
  #runtime: Promise<ContextRuntime> | null = null;
  #lastShape: Shape | null = null;

  constructor(options: ContextBackendOptions) {
    this.#home = options.home;
    this.#hostname = options.hostname;
    this.#idMap = options.idMap ?? bestIdMap();
    this.#hidden = [options.home];
  }

  async sweep(): Promise<void> {
    (await this.#open()).sweep();
  }

  /** Contexts are prepared as long as executions need nothing of their own, like the last one. */
  prepare(scratch: Scratch): void {
    const shape = this.#lastShape;
    if (shape === null || this.#waiting.has(scratch.root)) return;
    const setup = this.#setupOf({ ...shape, ...NOTHING_OF_ITS_OWN, scratch });
    // What goes wrong is said by the execution that starts there from nothing.
    const context = this.#open()
      .then((runtime) => runtime.prepare(setup))
      .catch(() => null);
    this.#waiting.set(scratch.root, { shape: keyOf(shape), context });
  }

  async start(execution: Execution): Promise<RunningExecution> {
    const isPlain = execution.layers.length + execution.binds.length + execution.devices.length === 0;
    const { network, limits, tmpfsTmp } = execution;
    this.#lastShape = isPlain ? { network, limits, tmpfsTmp } : null;
    const runtime = await this.#open();
    const context = (await this.#takeWaiting(execution, isPlain)) ?? (await runtime.prepare(this.#setupOf(execution)));
    return await context.begin(commandOf(execution), { stdin: "null", output: execution.output });
  }

  /** The context that waits in the execution's scratch, if it fits; one that does not is ended. */
  async #takeWaiting(execution: Execution, isPlain: boolean): Promise<PreparedContext | null> {
    const { scratch } = execution;
    const waiting = this.#waiting.get(scratch.root);
    this.#waiting.delete(scratch.root);
    const context = await waiting?.context;
    if (!waiting || !context) return null;
    if (isPlain && waiting.shape === keyOf(execution) && context.isWaiting) return context;
    await context.discard();
    return null;
  }

  #open(): Promise<ContextRuntime> {
    this.#runtime ??= import("../../oci/io/launch.ts").then(({ ContextRuntime: Runtime }) =>
      Runtime.open({ home: this.#home }),
    );
    return this.#runtime;
  }

  #setupOf(execution: Shape & Pick<Execution, "scratch" | "layers" | "binds" | "devices">): ContextSetup {
    const { scratch, layers, binds, devices, network, limits, tmpfsTmp } = execution;
    return {
      root: { kind: "host", lowers: layers.toReversed(), upper: scratch.upper, work: scratch.work },
      hostname: this.#hostname,
      network,
      binds: [{ source: scratch.io, target: CONTEXT.io, readonly: false }, ...binds],
      hidden: this.#hidden,
      limits,
      idMap: this.#idMap,
      tmpfsTmp,
      devices,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#runtime)?.[Symbol.asyncDispose]();
  }
}

function commandOf({ argv, env, ioVariables }: Execution): ContextCommand {
  const variables: Record<string, string> = { HOME: CONTEXT.home, ...env, PWD: CONTEXT.workspace };
  for (const { name, folder } of ioVariables) variables[name] = `${CONTEXT.io}/${folder}`;
  return { argv, env: variables, cwd: CONTEXT.workspace };
}

function keyOf({ network, limits, tmpfsTmp }: Shape): string {
  return JSON.stringify([network, limits.memoryBytes, limits.cpuMilli, limits.pids, tmpfsTmp]);
}
