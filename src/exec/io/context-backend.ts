// The backend that isolates: a rootless OCI context over this machine's own root filesystem.

import { keepingIdMap } from "../../oci/io/id-map.ts";
import { ContextRuntime } from "../../oci/io/launch.ts";
import { CONTEXT } from "../../store/paths.ts";
import type { Backend, Execution, RunningExecution } from "../backend.ts";

interface ContextBackendOptions {
  readonly home: string;
  readonly hostname: string;
}

/** Runs each task in fresh namespaces, over an overlay of its layers on the host's root. */
export class ContextBackend implements Backend {
  readonly name = "context";
  readonly paths = {
    artifactFolder: (hex: string) => `${CONTEXT.in}/${hex.slice(0, 12)}`,
    runDirectory: CONTEXT.run,
  };
  readonly #runtime: ContextRuntime;
  readonly #hostname: string;
  readonly #hidden: readonly string[];
  readonly #idMap = keepingIdMap();

  constructor(options: ContextBackendOptions) {
    this.#runtime = ContextRuntime.open({ home: options.home });
    this.#hostname = options.hostname;
    this.#hidden = [options.home];
  }

  async start(execution: Execution): Promise<RunningExecution> {
    const { scratch } = execution;
    const env: Record<string, string> = { HOME: CONTEXT.home, ...execution.env, PWD: CONTEXT.workspace };
    for (const { name, folder } of execution.ioVariables) env[name] = `${CONTEXT.io}/${folder}`;
    return await this.#runtime.start(
      {
        root: { kind: "host", lowers: execution.layers.toReversed(), upper: scratch.upper, work: scratch.work },
        argv: execution.argv,
        env,
        cwd: CONTEXT.workspace,
        hostname: this.#hostname,
        network: execution.network,
        binds: [{ source: scratch.io, target: CONTEXT.io, readonly: false }, ...execution.binds],
        hidden: this.#hidden,
        limits: execution.limits,
        idMap: this.#idMap,
        tmpfsTmp: execution.tmpfsTmp,
        devices: execution.devices,
      },
      { stdin: "null", output: execution.output },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runtime[Symbol.asyncDispose]();
  }
}
