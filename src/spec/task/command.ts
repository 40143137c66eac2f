// A command task: one with `run`.

import type { CommandTask } from "../definition.ts";
import { isEmptyEntry, readInteger, readTemplate } from "../reading.ts";
import { agentEntry, readAgent } from "./agent.ts";
import { readBackgroundProcesses } from "./background.ts";
import { checkHealthTimeout, readCache, readRetry, readTimeout } from "./cache.ts";
import {
  entryOf,
  markNotExecuted,
  readDocker,
  readEnvironment,
  readUse,
  type Started,
  type TaskOptions,
  UNREAD_SCRIPT,
} from "./draft.ts";
import { readFilter } from "./filter.ts";
import { readOutputs } from "./outputs.ts";
import { readScript } from "./script.ts";

const MOST_GRACE_SECONDS = 86_400;

export function readCommand(started: Started, { agent: defaults }: TaskOptions): CommandTask {
  const { reading, fields } = started;
  const run = fields.get("run");
  const agent = agentEntry(reading, fields);
  const backgroundProcesses = readBackgroundProcesses(reading, entryOf(started, "background-processes"));
  if (backgroundProcesses.length > 0) markNotExecuted(started, "background-processes", "background-processes");
  const retry = readRetry(reading, fields.get("retry"));
  const isPlainCount = retry !== null && typeof retry.count === "string" && retry.if === null && retry.action === null;
  if (retry && retry.count !== "0" && !isPlainCount) markNotExecuted(started, "retry", "retry");
  checkHealthTimeout(reading, fields.get("health-timeout"));
  const grace = entryOf(started, "terminate-grace-period-seconds");
  const graceBounds = { least: 0, most: MOST_GRACE_SECONDS };
  return {
    ...started.common,
    kind: "command",
    run: (run && readScript(reading, run.value, "`run`")) ?? UNREAD_SCRIPT,
    use: readUse(started),
    agent:
      agent && !isEmptyEntry(reading, agent)
        ? readAgent(reading, agent.value, defaults, started.notExecuted)
        : defaults,
    ...readEnvironment(started),
    filter: readFilter(reading, entryOf(started, "filter"), "command"),
    cache: readCache(reading, fields.get("cache"), { ttl: true }),
    outputs: readOutputs(reading, fields.get("outputs")),
    timeout: readTimeout(reading, fields.get("timeout"), fields.get("timeout-minutes")),
    terminateGraceSeconds:
      (grace && readInteger(reading, grace.value, "`terminate-grace-period-seconds`", graceBounds)) ?? 0,
    toolCache: readToolCache(started),
    retry,
    docker: readDocker(started),
    backgroundProcesses,
  };
}

function readToolCache(started: Started): CommandTask["toolCache"] {
  const entry = entryOf(started, "tool-cache");
  if (!entry) return null;
  markNotExecuted(started, "tool-cache", "tool-cache");
  return readTemplate(started.reading, entry.value, "`tool-cache`");
}
