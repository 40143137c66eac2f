// What a checked run definition is: plain JSON data, so that a definition whose bytes were checked before is read back
// from the index instead of being parsed again. Shapes follow docs/tasks-yml.md. It never evaluates an expression.

import type { Expression } from "./expression/syntax.ts";

/** Position in the definition's file; lines and columns count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** Text that may hold `${{ }}`: a plain string, or the pieces between and inside the braces. */
export type Template = string | { readonly pieces: readonly (string | Expression)[]; readonly at: Position };

export interface Definition {
  /** "run": a run definition. "package": it has a package header. "tasks": a bare list of tasks, as tasks write while they run. */
  readonly form: "run" | "package" | "tasks";
  readonly base: Base;
  readonly triggers: Triggers;
  readonly concurrencyPools: readonly ConcurrencyPool[];
  readonly toolCacheVault: string | null;
  readonly package: PackageHeader | null;
  readonly tasks: readonly Task[];
  /** What stands outside the tasks and is valid, but that no part of the program executes. */
  readonly notExecuted: readonly NotExecuted[];
}

/** A key that was read and checked but that no part of the program executes, with its place. */
export interface NotExecuted {
  readonly feature: Feature;
  readonly at: Position;
}

export type Feature =
  | "app-task"
  | "background-processes"
  | "base-call"
  | "concurrency-pools"
  | "docker"
  | "dynamic-call"
  | "embedded-run"
  | "include"
  | "local-package"
  | "package"
  | "parallel"
  | "retry"
  | "static-ips"
  | "tool-cache"
  | "unknown-function"
  | "unsupported-pattern";

export type Base =
  | {
      readonly kind: "image";
      readonly image: Template;
      readonly config: string | null;
      readonly arch: string | null;
      readonly at: Position;
    }
  | {
      readonly kind: "call";
      readonly call: Template;
      readonly target: string | null;
      readonly init: Readonly<Record<string, Template>>;
      readonly config: string | null;
      readonly arch: string | null;
      readonly at: Position;
    };

export interface Triggers {
  /** `on.cli.init`: what `--init` may set, with defaults. */
  readonly cli: Trigger | null;
  /** All others by their dotted path ("github.push", "cron", "dispatch"): checked, and used by servers that send them. */
  readonly others: readonly { readonly path: string; readonly trigger: Trigger }[];
  /** Every name that some trigger may give under `init`. */
  readonly initNames: readonly string[];
}

export interface Trigger {
  readonly init: Readonly<Record<string, Template>>;
  readonly if: Expression | null;
  /** Task keys, or paths `a.b.c` into local packages and embedded runs. */
  readonly targets: readonly string[];
  readonly title: Template | null;
  readonly params: readonly DispatchParam[];
  readonly schedule: string | null;
  readonly key: string | null;
}

export interface DispatchParam {
  readonly key: string;
  readonly default: string | null;
  readonly required: boolean;
}

export interface ConcurrencyPool {
  readonly id: Template;
  readonly if: Expression | null;
  readonly capacity: number;
  readonly onOverflow: "cancel-waiting" | "cancel-running" | "queue";
  readonly at: Position;
}

export interface PackageHeader {
  readonly name: string | null;
  readonly version: string | null;
  readonly parameters: readonly {
    readonly name: string;
    readonly required: boolean;
    readonly default: string | null;
  }[];
  /** `outputs.values` by name, and the tasks whose values are all passed on (`outputs.values-from`). */
  readonly values: Readonly<Record<string, Template>>;
  readonly valuesFrom: readonly string[];
}

export type Task = CommandTask | PackageTask | EmbeddedRunTask | AppTask;

/** What every kind of task has. */
export interface TaskCommon {
  readonly key: string;
  readonly at: Position;
  readonly after: After;
  readonly if: Expression | null;
  readonly parallel: Parallel | null;
  readonly autoCancel: Template | null;
  /** Task keys named by references in this task's expressions (`tasks.T...`): they come before it. Sorted, unique. */
  readonly references: readonly string[];
  /** Features of this task that no part of the program executes yet; the runner refuses them before anything runs. */
  readonly notExecuted: readonly NotExecuted[];
}

export interface CommandTask extends TaskCommon {
  readonly kind: "command";
  readonly run: Template;
  readonly use: readonly string[];
  readonly agent: Agent;
  readonly env: readonly EnvEntry[];
  readonly envConfig: EnvConfig;
  readonly filter: readonly FilterSpec[];
  readonly cache: CacheSpec;
  readonly outputs: Outputs;
  /** Milliseconds, or an expression; null for the default. */
  readonly timeout: Template | null;
  /** Seconds between SIGTERM and SIGKILL at a timeout; 0 is SIGKILL at once. */
  readonly terminateGraceSeconds: number;
  readonly toolCache: Template | null;
  readonly retry: Retry | null;
  readonly docker: boolean | "preserve-data" | Expression;
  readonly backgroundProcesses: readonly BackgroundProcess[];
}

export interface Retry {
  /** How many further attempts: a number as text, or an expression. */
  readonly count: Template;
  readonly if: Expression | null;
  readonly action: Template | null;
}

export interface BackgroundProcess {
  readonly key: string;
  readonly run: Template;
  readonly readyCheck: { readonly run: Template; readonly timeoutSeconds: number } | null;
  readonly after: readonly string[];
  readonly terminateGraceSeconds: number;
  readonly at: Position;
}

export interface PackageTask extends TaskCommon {
  readonly kind: "package";
  /** "mesh/checkout", "git/clone 2.1.0", a 64-digit digest, or an expression decided when it runs. */
  readonly call: Template;
  /** Name without its version, and the version, when `call` is plain text. */
  readonly name: string | null;
  readonly version: string | null;
  readonly with: Readonly<Record<string, { readonly value: Template; readonly at: Position }>>;
  readonly use: readonly string[];
  readonly env: readonly EnvEntry[];
  readonly envConfig: EnvConfig;
  readonly filter: readonly FilterSpec[];
  readonly cache: CacheSpec;
}

export interface EmbeddedRunTask extends TaskCommon {
  readonly kind: "embedded-run";
  readonly call: Template;
  readonly init: Readonly<Record<string, Template>>;
  /** True when the names of this run's own init are passed on as well. */
  readonly inheritInit: boolean;
  readonly targets: readonly string[];
  readonly cache: CacheSpec;
}

export interface AppTask extends TaskCommon {
  readonly kind: "app";
  readonly run: Template;
  readonly use: readonly string[];
  readonly endpoint: Template;
  readonly port: Template;
}

/** Order without data. `tasks` must all have succeeded, unless `condition` says otherwise over their states. */
export interface After {
  readonly tasks: readonly string[];
  /** Over `<task>.succeeded`, `.failed`, `.skipped`; null for the plain form. */
  readonly condition: Expression | null;
}

export interface Agent {
  readonly cpus: Template | null;
  readonly memory: Template | null;
  readonly disk: Template | null;
  /** An amount ("1"), or a model as RWX names them ("a10g"), which asks for one of that model. */
  readonly gpu: Template | null;
  readonly gpuMemory: Template | null;
  readonly os: string | null;
  readonly arch: string | null;
  readonly labels: readonly string[];
  readonly node: string | null;
  readonly tmpfs: boolean;
  /** "none", "host" or "nat"; null for the default. */
  readonly network: "none" | "host" | "nat" | null;
  readonly at: Position;
}

export interface EnvEntry {
  readonly name: string;
  /** Null: the value comes from a used task, and only `cacheKey` is said here. */
  readonly value: Template | null;
  readonly cacheKey: "included" | "excluded";
}

export interface EnvConfig {
  readonly inherit: "all-used-tasks" | readonly string[];
  readonly merge: Readonly<
    Record<string, { readonly strategy: "join"; readonly by: string } | { readonly strategy: "override" }>
  >;
}

/** Filter patterns for the workspace (`artifact: null`) or for a folder that an expression names. */
export interface FilterSpec {
  readonly artifact: Template | null;
  readonly entries: readonly FilterEntry[] | Expression;
  readonly at: Position;
}

export interface FilterEntry {
  /** With a leading "!" for a negated entry. */
  readonly path: Template;
  readonly cacheKey: "included" | "excluded";
}

export interface CacheSpec {
  readonly enabled: boolean | Expression;
  readonly ttlMs: number | null;
  /** The duration when an expression says it; `ttlMs` is null then. */
  readonly ttl: Template | null;
}

export interface Outputs {
  readonly artifacts: readonly { readonly key: string; readonly path: Template; readonly at: Position }[];
  readonly values: readonly string[];
  readonly testResults: readonly {
    readonly path: Template;
    readonly framework: string | null;
    readonly language: string | null;
  }[];
  readonly problems: readonly ProblemSpec[];
  /** Exit codes that count as success. */
  readonly successExitCodes: readonly number[];
  readonly filesystem: {
    readonly enabled: boolean;
    readonly deduplicate: boolean;
    /** Patterns for the workspace and for all else; null keeps everything, no pattern nothing. */
    readonly workspaceFilter: readonly FilterEntry[] | null;
    readonly systemFilter: readonly FilterEntry[] | null;
  };
}

export type ProblemSpec =
  | { readonly kind: "matcher"; readonly matcher: string; readonly at: Position }
  | { readonly kind: "file"; readonly path: Template; readonly format: string; readonly at: Position };

export interface Parallel {
  readonly kind: "total" | "matrix" | "values";
  readonly key: Template | null;
  readonly tasksLimit: number;
  readonly autoCancel: Template | null;
  /** A whole number as text, or an expression. */
  readonly total: Template | null;
  /** By name: the list, or an expression that gives one. */
  readonly matrix: Readonly<Record<string, Template | readonly Template[]>> | null;
  readonly values: Expression | readonly Readonly<Record<string, Template>>[] | null;
  readonly at: Position;
}
