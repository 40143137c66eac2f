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
  after: fields({ tasks: keys, condition: nullable((value, path) => expression(value, path, 0)) }),
  expectedMs: nullable(isCount),
  retries: isCount,
});

const ask = fields({
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

const outcome = fields({
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
      miss: fields({ cacheKey: isText, ask, shared: isBoolean }),
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
  "task-finished": fields({ ...attempt, outcome }),
  "task-lost": fields({ ...attempt, reason: isText }),
  "output-lost": fields({ atMs: isNumber, key: isText, reason: isText }),
  "cancel-requested": fields({ atMs: isNumber, by: isText }),
};

/** Says what is wrong with a value that should be a run event, or null. */
export const checkEvent: Check = kinds(EVENTS);

/** An expression's syntax tree, by the fields that its evaluation follows. */
function expression(value: unknown, path: string, depth: number): string | null {
  if (depth > LIMITS.expressionDepth) return `${path}: nested deeper than ${LIMITS.expressionDepth}`;
  if (!isObject(value)) return `${path}: expected an expression`;
  const fault = position(value["at"], `${path}.at`);
  if (fault !== null) return fault;
  const below = (...parts: readonly unknown[]): string | null => {
    for (const part of parts) {
      const wrong = expression(part, path, depth + 1);
      if (wrong !== null) return wrong;
    }
    return null;
  };
  switch (value["kind"]) {
    case "literal":
      return value["value"] === null || ["string", "number", "boolean"].includes(typeof value["value"])
        ? null
        : `${path}: expected a plain value`;
    case "name":
      return isText(value["name"], `${path}.name`);
    case "member":
      return isText(value["name"], `${path}.name`) ?? below(value["of"]);
    case "index":
      return below(value["of"], value["index"]);
    case "call":
      return Array.isArray(value["arguments"])
        ? (isText(value["name"], `${path}.name`) ?? below(...value["arguments"]))
        : `${path}: expected a list`;
    case "not":
      return below(value["of"]);
    case "binary":
      return isText(value["operator"], `${path}.operator`) ?? below(value["left"], value["right"]);
    case "conditional":
      return below(value["test"], value["then"], value["otherwise"]);
    default:
      return `${path}.kind: unknown ${JSON.stringify(String(value["kind"]).slice(0, 40))}`;
  }
}
