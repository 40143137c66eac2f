// What a context is asked to be, and what became of it. Types only.

/** A context and its command. */
export interface ContextSpec extends ContextSetup, ContextCommand {}

/** What runs in a context. */
export interface ContextCommand {
  readonly argv: readonly string[];
  /** The whole environment: nothing of mesh's own is added. */
  readonly env: Readonly<Record<string, string>>;
  /** Absolute path inside the context. */
  readonly cwd: string;
}

/** What a command finds in its context, and what it may use. */
export interface ContextSetup {
  readonly root: ContextRoot;
  readonly hostname: string;
  readonly network: ContextNetwork;
  readonly binds: readonly ContextBind[];
  /** Host paths to hide under an empty directory, beside those of the skeleton. Only looked at with root "host". */
  readonly hidden: readonly string[];
  /** Host device nodes below /dev to show at the same place (GPUs). */
  readonly devices?: readonly string[];
  readonly limits: ContextLimits;
  readonly idMap: IdMapKind;
  /** Whether /tmp and /var/tmp are in memory instead of in the layer. */
  readonly tmpfsTmp: boolean;
}

/**
 * The root filesystem: overlay directories, topmost first. `upper` and `work` are empty directories of one filesystem that
 * exist already; what the task changes is left in `upper` in the overlay's `userxattr` form.
 * "host" stacks them over this machine's own root filesystem without its private parts, "layers" over nothing.
 */
export interface ContextRoot {
  readonly kind: "host" | "layers";
  readonly lowers: readonly string[];
  readonly upper: string;
  readonly work: string;
}

/** "none" has a loopback only, "host" shares the machine's, "nat" is private and reaches out through a helper. */
export type ContextNetwork = "none" | "host" | "nat";

export interface ContextBind {
  /** Existing host path, file or directory. */
  readonly source: string;
  /** Absolute path inside; what is missing on the way is made (below /mesh in memory, elsewhere in the layer). */
  readonly target: string;
  readonly readonly: boolean;
}

export interface ContextLimits {
  readonly memoryBytes: number | null;
  /** Thousandths of a CPU. */
  readonly cpuMilli: number | null;
  /** Processes and threads. */
  readonly pids: number;
}

/**
 * Which ids exist inside. "identity": 0 to 65535 as they are (root only; files of the host keep their owners). "single": the
 * user is root and nobody else exists. "range": the user is root and 65,535 subordinate ids follow.
 */
export type IdMapKind = "identity" | "single" | "range";

export interface ContextExit {
  /** Null when a signal ended the task. */
  readonly exitCode: number | null;
  /** "SIGKILL" and so on; null when the task exited by itself. */
  readonly signal: string | null;
  /** Whether the memory limit was what ended it. */
  readonly outOfMemory: boolean;
  readonly used: {
    /** User and system time of all its processes. */
    readonly cpuMs: number;
    /** Peak of the whole context; null where nothing measures it. */
    readonly memoryBytesMax: number | null;
  };
}

/** A context whose task has begun. */
export interface RunningContext {
  /** Process id, outside, of the context's pid 1. */
  readonly pid: number;
  /** Resolves once everything inside is dead and all output was delivered. Rejects only with what `output` threw. */
  readonly exited: Promise<ContextExit>;
  /** Resolves a moment later, when its mounts and namespaces are gone too: only then may its upper directory be used again. */
  readonly gone: Promise<void>;
  /** Ends everything inside at once. */
  kill(): void;
  /** Asks every process inside to end (SIGTERM). */
  terminate(): void;
}
