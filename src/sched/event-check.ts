// What a run event looks like in a journal: one check per kind, complete by type.

import { ERROR_CODES } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
import {
  type Check,
  fields,
  isBoolean,
  isCount,
  isNumber,
  isObject,
  isText,
  kinds,
  listOf,
  mapOf,
  nullable,
  oneOf,
} from "./check-json.ts";
import type { FailureReason, RunEventKind } from "./run-event.ts";

const FAILURE_REASONS: Readonly<Record<FailureReason, true>> = {
  "timed-out": true,
  "out-of-memory": true,
  "disk-full": true,
  "too-many-processes": true,
  cancelled: true,
  "context-failed": true,
  "output-invalid": true,
  "subtask-failed": true,
};

const keys = listOf(isText, LIMITS.tasks);
const position = fields({ line: isCount, column: isCount });

const taskNode = fields({
  key: isText,
  type: isText,
  needs: keys,
  after: fields({ tasks: keys, condition: nullable(checkExpression) }),
  expectedMs: nullable(isCount),
  retries: isCount,
});

/** Says what is wrong with a value that should be an ask, or null. */
export const checkAsk: Check = fields({
  cpuMilli: isCount,
  memoryBytes: isCount,
  diskBytes: isCount,
  gpus: isCount,
  gpuMemoryBytes: isCount,
  os: nullable(isText),
  arch: nullable(isText),
  labels: listOf(isText, 1_000),
  node: nullable(isText),
  baseKey: nullable(isText),
});

/** Says what is wrong with a value that should be the outcome of an attempt, or null. */
export const checkOutcome: Check = fields({
  result: oneOf(["succeeded", "failed"]),
  exitCode: nullable(isNumber),
  signal: nullable(isText),
  reason: nullable(oneOf(Object.keys(FAILURE_REASONS))),
  durationMs: isCount,
  used: nullable(fields({ cpuMs: nullable(isCount), memoryBytesMax: nullable(isCount) })),
  message: nullable(isText),
});

const attempt = { atMs: isNumber, key: isText, attempt: isCount, lease: isText };
const answer = { atMs: isNumber, key: isText, round: isCount };
const runHeader = fields({
  id: isText,
  title: isText,
  definition: isText,
  init: mapOf(isText),
  targets: keys,
  coordinator: isText,
});

const EVENTS: Readonly<Record<RunEventKind, Check>> = {
  "run-started": fields({
    atMs: isNumber,
    run: runHeader,
    options: fields({ failFast: isBoolean }),
    tasks: listOf(taskNode, LIMITS.tasks),
  }),
  "tasks-added": fields({ atMs: isNumber, by: isText, tasks: listOf(taskNode, LIMITS.tasks) }),
  "task-resolved": fields({
    ...answer,
    outcome: kinds({
      hit: fields({ cacheKey: isText, hitFrom: isText }),
      miss: fields({ cacheKey: isText, ask: checkAsk, shared: isBoolean }),
      skip: fields({}),
    }),
  }),
  "task-refused": fields({
    ...answer,
    refusal: fields({ code: oneOf(Object.keys(ERROR_CODES)), message: isText, line: nullable(isCount) }),
  }),
  "task-deferred": fields({ ...answer, elsewhere: isText }),
  "task-undeferred": fields(answer),
  "task-placed": fields({ ...attempt, node: isText }),
  "task-returned": fields(attempt),
  "task-started": fields(attempt),
  "task-finished": fields({ ...attempt, outcome: checkOutcome }),
  "task-lost": fields({ ...attempt, reason: isText }),
  "output-lost": fields({ atMs: isNumber, key: isText, reason: isText }),
  "cancel-requested": fields({ atMs: isNumber, by: isText }),
};

/** Says what is wrong with a value that should be a run event, or null. */
export const checkEvent: Check = kinds(EVENTS);

/** An expression's syntax tree, by the fields that its evaluation follows. A loop: a long `a && b && ...` is a deep tree. */
function checkExpression(root: unknown, path: string): string | null {
  const open: unknown[] = [root];
  for (let seen = 0; open.length > 0; seen++) {
    if (seen > LIMITS.expressionChars) return `${path}: an expression of more than ${LIMITS.expressionChars} parts`;
    const value = open.pop();
    if (!isObject(value)) return `${path}: expected an expression`;
    const fault = position(value["at"], `${path}.at`) ?? EXPRESSIONS(value, path);
    if (fault !== null) return fault;
    for (const field of ["of", "index", "left", "right", "test", "then", "otherwise"])
      if (field in value) open.push(value[field]);
    if (Array.isArray(value["arguments"])) open.push(...(value["arguments"] as readonly unknown[]));
  }
  return null;
}

const isPresent: Check = (value, path) => (value === undefined ? `${path}: missing` : null);

const isPlain: Check = (value, path) =>
  value === null || ["string", "number", "boolean"].includes(typeof value) ? null : `${path}: expected a plain value`;

const EXPRESSIONS = kinds({
  literal: fields({ value: isPlain }),
  name: fields({ name: isText }),
  member: fields({ of: isPresent, name: isText, optional: isBoolean }),
  index: fields({ of: isPresent, index: isPresent, optional: isBoolean }),
  call: fields({ name: isText, arguments: listOf(isPresent, LIMITS.expressionChars) }),
  not: fields({ of: isPresent }),
  binary: fields({ operator: isText, left: isPresent, right: isPresent }),
  conditional: fields({ test: isPresent, then: isPresent, otherwise: isPresent }),
});
