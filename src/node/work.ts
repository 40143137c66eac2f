// What a task comes down to once everything in it is evaluated: what to run, over which files, under which key.

import type { Digest } from "../base/digest.ts";
import type { Ask } from "../sched/ask.ts";
import type { LayerRef } from "../store/layer.ts";
import type { MaskParent } from "../store/merged.ts";
import type { KeyParts } from "../store/result.ts";
import type { EnvConfig, PackageTask } from "../spec/definition.ts";
import type { FilterEntry } from "../store/filter.ts";
import type { ArtifactInput } from "./artifact-input.ts";
import type { Hooks } from "./hooks.ts";
import type { OutputFilter } from "./inputs.ts";
import type { Stack } from "./stack.ts";
import type { Variables } from "./task-environment.ts";

interface WorkCommon {
  /** What the task is called over time. */
  readonly identity: string;
  readonly key: Digest;
  readonly parts: KeyParts;
  /** Whether what it leaves may be served to later tasks; false for `cache: false`. */
  readonly isCached: boolean;
  /** Whether it may be answered by the result of another task of the same key; false under `--no-cache` as well. */
  readonly shared: boolean;
  readonly ttlMs: number | null;
  readonly ask: Ask;
  readonly stack: Stack;
  readonly inherited: Variables;
  readonly envConfig: EnvConfig;
  /** Hooks of the tasks that it uses. */
  readonly hooks: Hooks;
  readonly warnings: readonly string[];
}

export interface CommandWork extends WorkCommon {
  readonly kind: "command";
  readonly script: string;
  /** What the definition sets; `inherited` has the rest. */
  readonly variables: readonly { readonly name: string; readonly value: string }[];
  /** What of the workspace is there, as the definition says it; null for all. `hidden` follows from it and the layers. */
  readonly filter: readonly FilterEntry[] | null;
  /** Topmost workspace paths that the filter hides. */
  readonly hidden: readonly string[];
  readonly maskParents: readonly MaskParent[];
  /** What of its changes becomes its layer; null for all. Paths are tree paths. */
  readonly keepFiles: OutputFilter | null;
  /** Artifacts of other tasks that it can read. */
  readonly artifacts: readonly ArtifactInput[];
  /** Copy of the definition's folder, when the task reads `run.dir`. */
  readonly runDirectory: LayerRef | null;
  readonly timeoutMs: number;
  readonly graceMs: number;
  readonly artifactPaths: readonly { readonly key: string; readonly path: string }[];
  readonly testResults: readonly {
    readonly path: string;
    readonly framework: string | null;
    readonly language: string | null;
  }[];
  readonly problemFiles: readonly { readonly path: string; readonly format: string }[];
  /** Names of the matchers that its log is read with. */
  readonly problemMatchers: readonly string[];
  readonly successExitCodes: readonly number[];
  /** Whether its changes become a layer. */
  readonly keepsFilesystem: boolean;
  readonly network: "none" | "host" | "nat";
  readonly tmpfs: boolean;
  /** Which of the amounts that it asks for are also limits: those that the definition sets. */
  readonly limits: { readonly memory: boolean; readonly cpu: boolean };
}

export interface CheckoutWork extends WorkCommon {
  readonly kind: "checkout";
  readonly task: PackageTask;
  readonly layer: LayerRef;
}

export interface CloneWork extends WorkCommon {
  readonly kind: "clone";
  readonly task: PackageTask;
  readonly repository: string;
  /** Where the objects come from: the local repository, or the remote. */
  readonly source: string;
  readonly commit: string;
  readonly ref: string;
  /** What its users are told: `meta-ref` where it is given. */
  readonly shownRef: string;
  readonly path: string;
  readonly preserveGitDirectory: boolean;
  readonly fullDepth: boolean;
  readonly submodules: boolean;
  readonly lfs: boolean;
}

export type TaskWork = CommandWork | CheckoutWork | CloneWork;

export type Resolution = { readonly kind: "work"; readonly work: TaskWork } | { readonly kind: "skip" };
