// An app task: one with `app`, a service that is kept running. It is checked; nothing executes it.

import type { AppTask, Template } from "../definition.ts";
import {
  fault,
  isEmptyEntry,
  missing,
  readFields,
  readInteger,
  readTemplate,
  startsWithExpression,
} from "../reading.ts";
import type { Entry, Node } from "../yaml.ts";
import { agentEntry, readAgent } from "./agent.ts";
import { readBackgroundProcesses } from "./background.ts";
import { readTimeout } from "./cache.ts";
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
import { readScript } from "./script.ts";

const PORTS = { least: 1024, most: 49_151 };

export function readApp(started: Started, { agent: defaults }: TaskOptions): AppTask {
  const { reading, fields } = started;
  markNotExecuted(started, "app-task", "app");
  const [run, app, agent] = [fields.get("run"), entryOf(started, "app"), agentEntry(reading, fields)];
  if (!run) missing(reading, started.node, "run", "An app task");
  if (agent && !isEmptyEntry(reading, agent)) readAgent(reading, agent.value, defaults, started.notExecuted);
  readEnvironment(started);
  readFilter(reading, entryOf(started, "filter"), "command");
  readBackgroundProcesses(reading, entryOf(started, "background-processes"));
  readDocker(started);
  return {
    ...started.common,
    kind: "app",
    run: (run && readScript(reading, run.value, "`run`")) ?? UNREAD_SCRIPT,
    use: readUse(started),
    ...readSettings(started, app?.value),
  };
}

function readSettings(started: Started, node: Node | undefined): Pick<AppTask, "endpoint" | "port"> {
  if (!node) return { endpoint: "", port: "" };
  const { reading } = started;
  const fields = readFields(reading, node, ["endpoint", "idle-timeout", "port", "start-timeout", "timeout"], "`app`");
  for (const name of ["idle-timeout", "start-timeout", "timeout"]) readTimeout(reading, fields.get(name), undefined);
  const [endpoint, port] = [fields.get("endpoint"), fields.get("port")];
  if (!endpoint) missing(reading, node, "endpoint", "`app`");
  if (!port) missing(reading, node, "port", "`app`");
  return { endpoint: endpoint ? readEndpoint(started, endpoint) : "", port: port ? readPort(started, port) : "" };
}

function readEndpoint({ reading }: Started, entry: Entry): Template {
  const endpoint = readTemplate(reading, entry.value, "`endpoint`") ?? "";
  if (typeof endpoint === "string" && !/^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$/.test(endpoint)) {
    fault(
      reading,
      "invalid-value",
      entry.value,
      `${JSON.stringify(endpoint)} cannot be an endpoint`,
      "Use letters, digits, and hyphens inside.",
    );
  }
  return endpoint;
}

function readPort({ reading }: Started, entry: Entry): Template {
  if (startsWithExpression(entry.value)) return readTemplate(reading, entry.value, "`port`") ?? "";
  return String(readInteger(reading, entry.value, "`port`", PORTS) ?? "");
}
