// What another machine says of its runs, checked before it is believed: lists of runs, lines of a run's feed.

import { MeshError } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
import {
  type Check,
  fields,
  isCount,
  isNumber,
  isText,
  kinds,
  listOf,
  mapOf,
  nullable,
  oneOf,
} from "../sched/check-json.ts";
import { checkEvent } from "../sched/event-check.ts";
import type { ActiveRun } from "./node-service.ts";
import type { FeedMessage } from "./run-feed.ts";

const status = fields({
  execution: oneOf(["waiting", "running", "finished", "aborted"]),
  result: oneOf(["succeeded", "failed", "none"]),
});

const activeRun = fields({
  id: isText,
  title: isText,
  definition: isText,
  coordinator: isText,
  startedAtMs: isNumber,
  status,
  tasks: isCount,
  finished: isCount,
});

const isAnything: Check = () => null;

const task = fields({
  id: isText,
  key: isText,
  type: isText,
  status: fields({
    execution: isText,
    result: oneOf(["succeeded", "failed", "none"]),
    finished: nullable(isText),
    aborted: nullable(isText),
  }),
  cacheKey: nullable(isText),
  cacheHitFrom: nullable(isText),
  exitCode: nullable(isNumber),
  signal: nullable(isText),
  node: nullable(isText),
  asked: nullable(fields({ cpuMilli: isCount, memoryBytes: isCount, gpus: isCount })),
  used: nullable(fields({ cpuMs: nullable(isCount), memoryBytesMax: nullable(isCount) })),
  attempt: isCount,
  startedAt: nullable(isText),
  completedAt: nullable(isText),
  durationMs: nullable(isNumber),
  outputs: fields({
    values: mapOf(isText),
    artifacts: listOf(fields({ key: isText, digest: isText, sizeBytes: isCount, path: isText }), LIMITS.outputEntries),
    links: mapOf(isText),
    testResults: listOf(isAnything, LIMITS.outputEntries),
    problems: listOf(isAnything, LIMITS.tasks),
  }),
  messages: listOf(
    fields({
      level: oneOf(["error", "warning", "info"]),
      text: isText,
      file: nullable(isText),
      line: nullable(isCount),
    }),
    LIMITS.outputEntries,
  ),
});

const run = fields({
  id: isText,
  title: isText,
  definition: isText,
  status,
  startedAt: nullable(isText),
  completedAt: nullable(isText),
  durationMs: nullable(isNumber),
  init: mapOf(isText),
  targets: listOf(isText, LIMITS.tasks),
  coordinator: isText,
  tasks: listOf(task, LIMITS.tasks),
});

const diagnostic = fields({
  severity: oneOf(["error", "warning", "tip"]),
  rule: isText,
  message: isText,
  advice: isText,
  at: fields({ line: isCount, column: isCount }),
  endColumn: isCount,
});

const file = fields({ path: isText, absolutePath: isText, directory: isText, text: isText, digest: isText });
const diagnostics = listOf(diagnostic, LIMITS.diagnostics * 2);

const feedMessage = kinds({
  event: fields({ event: checkEvent }),
  output: fields({ task: isText, stream: oneOf(["stdout", "stderr"]), base64: isText }),
  notice: fields({ level: oneOf(["warning", "info"]), text: isText }),
  skipped: fields({ bytes: isCount }),
  ended: fields({
    outcome: kinds({
      invalid: fields({ file, diagnostics }),
      finished: fields({ file, diagnostics, summary: run }),
    }),
  }),
  failed: fields({
    error: fields({
      code: isText,
      message: isText,
      hint: isText,
      place: nullable(fields({ file: isText, line: isCount, column: isCount })),
      causes: listOf(isText, 8),
    }),
  }),
});

/** Whether a value is a run as another machine lists it. */
export function isActiveRun(value: unknown): value is ActiveRun {
  return activeRun(value, "run") === null;
}

/** Reads a line of a feed that the machine `from` sent. Throws `peer.misbehaved`. */
export function parseFeedLine(line: string, from: string): FeedMessage {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new MeshError("peer.misbehaved", `${from} sent what is no line of a run`, { cause });
  }
  const fault = feedMessage(value, "message");
  if (fault !== null) throw new MeshError("peer.misbehaved", `${from} sent a wrong line of a run: ${fault}`);
  return value as FeedMessage;
}
