// A backend without processes: what a script does is said by the test, by the script's text.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Backend, Execution, ExecutionExit, RunningExecution } from "../../src/exec/backend.ts";
import { CONTEXT } from "../../src/store/paths.ts";

export interface FakeTask {
  readonly execution: Execution;
  /** Settles at SIGTERM. */
  readonly terminated: Promise<void>;
  /** Settles at SIGKILL. */
  readonly killed: Promise<void>;
  /** Writes a file as the task would: "workspace/a" into its changes, "io/values/x" into its io folder. */
  write(path: string, content: string): void;
  print(text: string): void;
}

export type FakeScript = (task: FakeTask) => Partial<ExecutionExit> | void | Promise<Partial<ExecutionExit> | void>;

const SUCCESS: ExecutionExit = {
  exitCode: 0,
  signal: null,
  outOfMemory: false,
  used: { cpuMs: 1, memoryBytesMax: null },
};
export const KILLED: Partial<ExecutionExit> = { exitCode: null, signal: "SIGKILL" };

export class FakeBackend implements Backend {
  readonly name = "context";
  readonly paths = {
    artifactFolder: (hex: string) => `${CONTEXT.in}/${hex.slice(0, 12)}`,
    runDirectory: CONTEXT.run,
  };
  /** Texts of the scripts that were started, in order. */
  readonly started: string[] = [];
  running = 0;
  mostRunning = 0;
  /** How long what has ended holds its scratch. */
  lingers: Promise<void> = Promise.resolve();
  readonly #scripts: Readonly<Record<string, FakeScript>>;

  /** What each script does; one that is not named succeeds at once. */
  constructor(scripts: Readonly<Record<string, FakeScript>> = {}) {
    this.#scripts = scripts;
  }

  async start(execution: Execution): Promise<RunningExecution> {
    const script = execution.argv.at(-1) ?? "";
    this.started.push(script);
    this.running++;
    this.mostRunning = Math.max(this.mostRunning, this.running);
    const [terminated, killed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const task: FakeTask = {
      execution,
      terminated: terminated.promise,
      killed: killed.promise,
      write: (path, content) => {
        const full = join(path.startsWith("io/") ? execution.scratch.root : execution.scratch.upper, path);
        mkdirSync(dirname(full), { recursive: true });
        writeFileSync(full, content);
      },
      print: (text) => execution.output("stdout", Buffer.from(text)),
    };
    const run = async (): Promise<ExecutionExit> => {
      // as long as a process takes: never in the same turn
      await new Promise((resolve) => setImmediate(resolve));
      const end = await Promise.race([this.#scripts[script]?.(task), killed.promise.then(() => KILLED)]);
      return { ...SUCCESS, ...end };
    };
    const exited = run().finally(() => this.running--);
    const gone = exited.then(async () => await this.lingers);
    gone.catch(() => undefined);
    return { exited, gone, terminate: terminated.resolve, kill: killed.resolve };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
