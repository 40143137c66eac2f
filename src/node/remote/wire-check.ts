// Checks for what other machines say, beyond those of plain JSON: texts of bounded length, digests, names, bytes. A peer is a
// member of the mesh and may still be broken or hostile.

import { MeshError } from "../../base/errors.ts";
import { parsePeerId, parseRunId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import { type Check, fields, isBoolean, isCount, listOf, nullable, oneOf } from "../../sched/check-json.ts";
import { isSafeName } from "../../store/tree.ts";

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Text of at most so many UTF-16 units, without NUL. */
export function textUpTo(most: number): Check {
  return (value, path) => {
    if (typeof value !== "string") return `${path}: expected text`;
    if (value.length > most) return `${path}: expected at most ${most} characters, found ${value.length}`;
    return value.includes("\0") ? `${path}: expected no NUL character` : null;
  };
}

export const isDigest: Check = (value, path) =>
  typeof value === "string" && DIGEST.test(value) ? null : `${path}: expected a sha256 digest`;

export const isPeer: Check = (value, path) =>
  typeof value === "string" && parsePeerId(value) !== null ? null : `${path}: expected the id of a machine`;

export const isRun: Check = (value, path) =>
  typeof value === "string" && parseRunId(value) !== null ? null : `${path}: expected the id of a run`;

/** What names a variable: not empty, no "=" and no NUL. */
export const isVariableName: Check = (value, path) =>
  typeof value === "string" && value.length <= LIMITS.nameChars && /^[^=\0]+$/.test(value)
    ? null
    : `${path}: expected the name of a variable`;

/** One segment of a path. */
export const isFileName: Check = (value, path) =>
  typeof value === "string" && value.length <= LIMITS.nameChars && isSafeName(value)
    ? null
    : `${path}: expected the name of a file`;

/** A task's key: it names a file of the task's log, so it is one segment of a path. */
export const isTaskKey: Check = isFileName;

/** Bytes, at most so many. */
export function bytesUpTo(most: number): Check {
  return (value, path) =>
    value instanceof Uint8Array && value.length <= most ? null : `${path}: expected at most ${most} bytes`;
}

/** A list whose places each have a check of their own. */
export function tuple(...checks: readonly Check[]): Check {
  return (value, path) => {
    if (!Array.isArray(value) || value.length !== checks.length) return `${path}: expected ${checks.length} values`;
    for (const [at, check] of checks.entries()) {
      const fault = check(value[at], `${path}[${at}]`);
      if (fault !== null) return fault;
    }
    return null;
  };
}

const shortText = textUpTo(LIMITS.nameChars);

/** An artifact as results and works name it. */
export const checkArtifact = fields({
  key: isFileName,
  digest: isDigest,
  kind: oneOf(["file", "directory"]),
  name: isFileName,
  sizeBytes: isCount,
  mode: (value, path) => isCount(value, path) ?? ((value as number) <= 0o7777 ? null : `${path}: expected a mode`),
});

const amounts = { cpuMilli: isCount, memoryBytes: isCount, diskBytes: isCount };

/** What is free of a machine, as it says with every word about its tasks. */
export const checkFree = fields({
  ...amounts,
  gpus: listOf(
    fields({ index: isCount, memoryBytes: isCount, freeMemoryBytes: isCount, inUse: isBoolean }),
    LIMITS.gpus,
  ),
});

export const isShortText: Check = shortText;
export const isShortTextOrNull: Check = nullable(shortText);

/** Takes what a peer sent as a `T`, which is what `check` checks for. Throws `peer.misbehaved` with what is wrong with it. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters
export function taken<T>(check: Check, value: unknown, what: string): T {
  const fault = check(value, what);
  if (fault !== null) throw new MeshError("peer.misbehaved", `Cannot take what the other machine sent: ${fault}`);
  return value as T;
}
