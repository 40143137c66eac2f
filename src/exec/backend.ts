// What a backend is: the one thing that runs a task's process over a filesystem made of layers. Pure types.
// It never decides what to run or where the results go; the node does.

/** One attempt's private folders. `upper` collects what the task changes; `io` is what it reads and writes as variables say. */
export interface Scratch {
  readonly root: string;
  readonly upper: string;
  readonly work: string;
  readonly io: string;
}

/** Where things are, as the task sees them. The same for every attempt, so that a script that names them has one key. */
export interface TaskPaths {
  /** Folder of an artifact of another task: `<folder>/<name>`. `hex` is its digest without the algorithm. */
  artifactFolder(hex: string): string;
  /** Folder of the run definition. */
  readonly runDirectory: string;
}

export interface Bind {
  readonly source: string;
  readonly target: string;
  readonly readonly: boolean;
}

export interface Execution {
  readonly scratch: Scratch;
  /** Absolute layer directories, bottom first; a mask of whiteouts, if any, is the last. */
  readonly layers: readonly string[];
  readonly argv: readonly string[];
  /** Variables beside those that name the workspace and the io folder, which the backend adds. */
  readonly env: Readonly<Record<string, string>>;
  /** Names of variables, by the io subfolder that each must point to. */
  readonly ioVariables: readonly { readonly name: string; readonly folder: string }[];
  readonly network: "none" | "host" | "nat";
  readonly binds: readonly Bind[];
  readonly limits: { readonly memoryBytes: number | null; readonly cpuMilli: number | null; readonly pids: number };
  readonly tmpfsTmp: boolean;
  /** Device nodes of this machine that the task may open: those of the GPUs it leases. */
  readonly devices: readonly string[];
  readonly output: (stream: "stdout" | "stderr", bytes: Uint8Array) => void;
}

export interface ExecutionExit {
  /** null when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly outOfMemory: boolean;
  readonly used: { readonly cpuMs: number; readonly memoryBytesMax: number | null };
}

export interface RunningExecution {
  /** Settles when every process of the task is dead and its output has been read to the end. */
  readonly exited: Promise<ExecutionExit>;
  /** Resolves, at the latest a moment later, when nothing of it is left that holds its scratch. */
  readonly gone: Promise<void>;
  /** Asks the task to end (SIGTERM). */
  terminate(): void;
  /** Ends the task and all it started (SIGKILL). */
  kill(): void;
}

export interface Backend extends AsyncDisposable {
  readonly name: "context" | "process";
  readonly paths: TaskPaths;
  /**
   * Makes ready in a scratch what an execution there is likely to need, if that is like the last one. A hint: it may be left
   * undone, and what is not used ends with the backend.
   */
  prepare?(scratch: Scratch): void;
  /** Removes what backends of processes that have died left on this machine outside their scratches. */
  sweep?(): Promise<void>;
  /** Throws `context.unavailable` or `context.failed` when the process could not be started. */
  start(execution: Execution): Promise<RunningExecution>;
}
