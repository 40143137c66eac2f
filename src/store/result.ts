// What a task handed back, as plain data: the value that a cache key maps to. It never says whether a hit may be served.

import type { Digest } from "../base/digest.ts";
import type { LayerRef } from "./layer.ts";

export interface TaskResult {
  readonly key: Digest;
  /** What the task is called over time, whatever its content: for `nearest` and for learnt durations. Chosen by the caller. */
  readonly identity: string;
  readonly exitCode: number;
  /** null when the task keeps no filesystem (`outputs.filesystem: false`). */
  readonly layer: LayerRef | null;
  readonly values: Readonly<Record<string, string>>;
  readonly env: readonly EnvValue[];
  readonly artifacts: readonly Artifact[];
  /** Name to URL. */
  readonly links: Readonly<Record<string, string>>;
  /** Markdown for the user, one text for each file the task wrote. */
  readonly errors: readonly string[];
  readonly testResults: readonly TestResultFile[];
  readonly problems: readonly Problem[];
  readonly image: ImageSettings | null;
  /** Shell files to run around the scripts of tasks that use this one; absent when there are none. */
  readonly hooks?: readonly Hook[];
  readonly log: LogRef;
  /** Unix time; for showing only. */
  readonly startedAtMs: number;
  readonly durationMs: number;
  /** Name of the machine it ran on. */
  readonly node: string;
  readonly used: { readonly cpuMs: number; readonly memoryBytesMax: number | null };
  /** Run and task key that made it. */
  readonly run: string;
  readonly task: string;
}

export interface Hook {
  readonly when: "before" | "after";
  readonly name: string;
  readonly script: string;
}

export interface EnvValue {
  readonly name: string;
  readonly value: string;
  readonly cacheKey: "included" | "excluded";
}

export interface Artifact {
  readonly key: string;
  /** Of the file's content (a blob), or of the directory's tree (a directory of the store). */
  readonly digest: Digest;
  readonly kind: "file" | "directory";
  /** Base name of what was captured. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Permission bits. */
  readonly mode: number;
}

/** A file of test results, kept as a blob. */
export interface TestResultFile {
  readonly path: string;
  readonly framework: string | null;
  readonly language: string | null;
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface Problem {
  readonly severity: "error" | "warning" | "notice";
  readonly message: string;
  readonly file: string | null;
  readonly line: number | null;
  readonly column: number | null;
  readonly code: string | null;
}

/** What a task said about images made from its filesystem. */
export interface ImageSettings {
  readonly command: readonly string[] | null;
  readonly entrypoint: readonly string[] | null;
  readonly user: string | null;
  readonly shell: string | null;
  readonly workspace: string | null;
  readonly labels: Readonly<Record<string, string>>;
}

/** A task's log as frames (log-frames.ts): in place when small, else a blob. */
export type LogRef =
  | { readonly kind: "inline"; readonly base64: string; readonly sizeBytes: number }
  | { readonly kind: "blob"; readonly digest: Digest; readonly sizeBytes: number };

/** The log of a task that printed nothing. */
export const EMPTY_LOG: LogRef = { kind: "inline", base64: "", sizeBytes: 0 };

/** Digests that must be in the store for the result to be of use, by where they are kept. */
export function needsOf(result: TaskResult): { readonly layers: readonly Digest[]; readonly blobs: readonly Digest[] } {
  const layers: Digest[] = [];
  const blobs: Digest[] = [];
  if (result.layer !== null && result.layer.entries > 0) layers.push(result.layer.digest);
  for (const artifact of result.artifacts) (artifact.kind === "directory" ? layers : blobs).push(artifact.digest);
  for (const file of result.testResults) blobs.push(file.digest);
  if (result.log.kind === "blob") blobs.push(result.log.digest);
  return { layers: [...new Set(layers)], blobs: [...new Set(blobs)] };
}

/** What a cache key is made of, by name; kept beside the result so that two keys can be compared. The names are the caller's. */
export type KeyParts = Readonly<Record<string, string>>;
