// What the user asked for when a run was started, as plain data: enough to do it again.

import { isAbsolute } from "node:path";
import { MeshError } from "../base/errors.ts";

export interface RunOptions {
  /** Path of the run definition, absolute. */
  readonly path: string;
  readonly targets: readonly string[];
  readonly init: Readonly<Record<string, string>>;
  readonly failFast: boolean;
  /** False serves nothing from the cache; results are kept all the same. */
  readonly cache: boolean;
  /** Replaces the definition's base: "host". */
  readonly base: string | null;
  readonly title: string | null;
  readonly backend: "context" | "process";
  /** Most tasks at once; null for as many as fit. */
  readonly jobs: number | null;
  /** Names of the only machines that may run its tasks; empty for all. */
  readonly nodes: readonly string[];
  /** Labels, all of which a machine must carry to run its tasks. */
  readonly labels: readonly string[];
}

/** Checks what claims to be options. Throws `usage.invalid`. */
export function parseSubmission(value: Readonly<Record<string, unknown>>): RunOptions {
  const { path, targets, init, failFast, cache, base, title, backend, jobs, nodes, labels } = value;
  const isText = (each: unknown): each is string => typeof each === "string";
  const isTextOrNull = (each: unknown): each is string | null => each === null || isText(each);
  const isSwitch = (each: unknown): each is boolean => typeof each === "boolean";
  const isSound =
    isText(path) &&
    isAbsolute(path) &&
    Array.isArray(targets) &&
    targets.every(isText) &&
    isTextMap(init) &&
    isSwitch(failFast) &&
    isSwitch(cache) &&
    isTextOrNull(base) &&
    isTextOrNull(title) &&
    (backend === "context" || backend === "process") &&
    Array.isArray(nodes) &&
    nodes.every(isText) &&
    Array.isArray(labels) &&
    labels.every(isText) &&
    (jobs === null || (typeof jobs === "number" && Number.isInteger(jobs) && jobs > 0));
  if (!isSound) throw new MeshError("usage.invalid", "What was submitted are no options of a run");
  return { path, targets, init, failFast, cache, base, title, backend, jobs, nodes, labels };
}

function isTextMap(value: unknown): value is Readonly<Record<string, string>> {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((each) => typeof each === "string")
  );
}
