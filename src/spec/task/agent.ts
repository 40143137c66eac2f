// `agent` (once `runner`): the resources a task asks for. Amounts written as plain text are checked here; those an
// expression gives are checked when they are known.

import { parseBytes, parseCpus } from "../../base/units.ts";
import type { Agent, NotExecuted, Template } from "../definition.ts";
import {
  fault,
  isEmptyEntry,
  isNull,
  itemsOrOne,
  placeOf,
  readBoolean,
  readFields,
  type Reading,
  readOneOf,
  readTemplate,
  readText,
  startsWithExpression,
} from "../reading.ts";
import type { Entry, Node } from "../yaml.ts";

const KEYS = [
  "arch",
  "cpus",
  "disk",
  "gpu",
  "gpu-memory",
  "ipv6",
  "labels",
  "memory",
  "nested-virtualization",
  "network",
  "node",
  "os",
  "placement",
  "self-hosted",
  "spot",
  "static-ips",
  "tmpfs",
];

export const ARCHITECTURES = ["x86_64", "arm64"] as const;

/** An agent that asks for nothing. */
export function emptyAgent(at: Agent["at"]): Agent {
  return {
    cpus: null,
    memory: null,
    disk: null,
    gpu: null,
    gpuMemory: null,
    os: null,
    arch: null,
    labels: [],
    node: null,
    tmpfs: false,
    network: null,
    at,
  };
}

/** Reads `agent` over what the definition's defaults ask for. */
export function readAgent(reading: Reading, node: Node, defaults: Agent, notExecuted: NotExecuted[]): Agent {
  const fields = readFields(reading, node, KEYS, "`agent`");
  const cpus = amount(reading, fields.get("cpus"), cpuFault);
  const memory = amount(reading, fields.get("memory"), bytesFault);
  const gpuMemory = amount(reading, fields.get("gpu-memory"), bytesFault);
  const disk = readDisk(reading, fields.get("disk"));
  const gpu = readGpu(reading, fields.get("gpu"));
  const os = choice(reading, fields.get("os"), ["linux", "darwin", "windows"]);
  const arch = choice(reading, fields.get("arch"), ARCHITECTURES);
  const network = choice(reading, fields.get("network"), ["none", "host", "nat"]);
  const labels = readLabels(reading, fields.get("labels"), fields.get("self-hosted"));
  const name = fields.get("node");
  const tmpfs = fields.get("tmpfs");
  const staticIps = fields.get("static-ips");
  if (staticIps && !isOff(staticIps.value)) {
    readTemplate(reading, staticIps.value, "`agent.static-ips`");
    notExecuted.push({ feature: "static-ips", at: placeOf(reading, staticIps.keySpan) });
  }
  for (const key of ["spot", "ipv6", "nested-virtualization", "placement"]) {
    const entry = fields.get(key);
    if (entry && !isEmptyEntry(reading, entry)) readTemplate(reading, entry.value, `\`agent.${key}\``);
  }
  return {
    cpus: cpus ?? defaults.cpus,
    memory: memory ?? defaults.memory,
    disk: disk ?? defaults.disk,
    gpu: fields.has("gpu") ? gpu : defaults.gpu,
    gpuMemory: gpuMemory ?? defaults.gpuMemory,
    os: os ?? defaults.os,
    arch: arch ?? defaults.arch,
    labels: labels ?? defaults.labels,
    node: (name && readText(reading, name.value, "`agent.node`")) ?? defaults.node,
    tmpfs: (tmpfs && readTmpfs(reading, tmpfs.value)) ?? defaults.tmpfs,
    network: network ?? defaults.network,
    at: placeOf(reading, node),
  };
}

/** A wish about speed alone: where an expression says it, it is checked and not followed. */
function readTmpfs(reading: Reading, node: Node): boolean | null {
  if (!startsWithExpression(node)) return readBoolean(reading, node, "`agent.tmpfs`");
  readTemplate(reading, node, "`agent.tmpfs`");
  return false;
}

function amount(reading: Reading, entry: Entry | undefined, faultIn: (text: string) => string | null): Template | null {
  if (!entry || isEmptyEntry(reading, entry)) return null;
  const template = readTemplate(reading, entry.value, `\`agent.${entry.key}\``);
  if (typeof template !== "string") return template;
  const wrong = faultIn(template);
  if (wrong === null) return template;
  fault(reading, "amount", entry.value, `Cannot read ${JSON.stringify(template)} as \`${entry.key}\``, wrong);
  return null;
}

function cpuFault(text: string): string | null {
  return parseCpus(text) === null ? "Give a number of CPUs above zero: 2, 0.5 or 500m." : null;
}

function bytesFault(text: string): string | null {
  if (/^\s*\d+(\.\d+)?\s*$/.test(text)) return `Say the unit: "${text.trim()}gb" or "${text.trim()}mb".`;
  const bytes = parseBytes(text);
  return bytes === null || bytes <= 0 ? 'Give an amount above zero with its unit: "512mb" or "16gb".' : null;
}

function readDisk(reading: Reading, entry: Entry | undefined): Template | null {
  if (!entry || entry.value.kind !== "map") return amount(reading, entry, bytesFault);
  return amount(reading, readFields(reading, entry.value, ["size"], "`agent.disk`").get("size"), bytesFault);
}

function readGpu(reading: Reading, entry: Entry | undefined): Template | null {
  if (!entry || isOff(entry.value) || isEmptyEntry(reading, entry)) return null;
  const template = readTemplate(reading, entry.value, "`agent.gpu`");
  if (template === "true") return "1";
  if (typeof template === "string" && !/^(\d{1,3}|[A-Za-z][\w .-]*)$/.test(template)) {
    fault(
      reading,
      "amount",
      entry.value,
      `Cannot read ${JSON.stringify(template)} as \`gpu\``,
      "Give a number of GPUs, a model, or false.",
    );
    return null;
  }
  return template === "0" ? null : template;
}

function choice<T extends string>(reading: Reading, entry: Entry | undefined, allowed: readonly T[]): T | null {
  if (!entry || isEmptyEntry(reading, entry)) return null;
  return readOneOf(reading, entry.value, `\`agent.${entry.key}\``, allowed);
}

function readLabels(
  reading: Reading,
  labels: Entry | undefined,
  selfHosted: Entry | undefined,
): readonly string[] | null {
  if (!labels && !selfHosted) return null;
  const all: string[] = [];
  for (const item of labels ? itemsOrOne(reading, labels.value) : []) {
    const label = readText(reading, item, "a label");
    if (label !== null) all.push(label);
  }
  if (selfHosted && !isOff(selfHosted.value)) {
    const label = readTemplate(reading, selfHosted.value, "`agent.self-hosted`");
    if (typeof label === "string" && label !== "true") all.push(label);
  }
  return all;
}

function isOff(node: Node): boolean {
  return isNull(node) || (node.kind === "scalar" && (node.value === false || node.value === "false"));
}

/** The entry of `agent`, or of `runner`, its old name. */
export function agentEntry(reading: Reading, fields: ReadonlyMap<string, Entry>): Entry | undefined {
  const [agent, runner] = [fields.get("agent"), fields.get("runner")];
  if (runner) fault(reading, "deprecated", runner.keySpan, '"runner" is old', 'Use "agent".');
  if (agent && runner)
    fault(reading, "mutually-exclusive", runner.keySpan, 'Give "agent" or the old "runner", not both');
  return agent ?? runner;
}
