// `base`, `concurrency-pools`, `tool-cache` and `defaults`: what holds for all tasks of a definition.

import type { Agent, Base, ConcurrencyPool, NotExecuted, Template } from "./definition.ts";
import {
  fault,
  isEmptyEntry,
  isNull,
  itemsOf,
  missing,
  placeOf,
  readExpression,
  readFields,
  type Reading,
  readInteger,
  readOneOf,
  readTemplate,
  readTemplates,
  readText,
  within,
} from "./reading.ts";
import { agentEntry, ARCHITECTURES, emptyAgent, readAgent } from "./task/agent.ts";
import { readTaskKeys } from "./task/keys.ts";
import { checkLogs } from "./task/outputs.ts";
import type { Entry, Node } from "./yaml.ts";

const BASE_KEYS = ["arch", "call", "config", "image", "init", "os", "tag", "target"];

/** The base of a definition that names none: this machine's own root filesystem. */
export const HOST_BASE: Base = { kind: "image", image: "host", config: null, arch: null, at: { line: 1, column: 1 } };

export function readBase(reading: Reading, entry: Entry | undefined, notExecuted: NotExecuted[]): Base {
  if (!entry || isEmptyEntry(reading, entry)) return HOST_BASE;
  return within(reading, "base", () => {
    const fields = readFields(reading, entry.value, BASE_KEYS, "`base`");
    if (fields.has("call")) return readBaseCall(reading, entry, fields, notExecuted);
    return readBaseImage(reading, entry, fields);
  });
}

function readBaseImage(reading: Reading, entry: Entry, fields: ReadonlyMap<string, Entry>): Base {
  const [image, os, tag, config, arch] = ["image", "os", "tag", "config", "arch"].map((key) => fields.get(key));
  checkImageKeys(reading, entry, fields);
  const legacyOs = os ? readTemplate(reading, os.value, "`base.os`") : null;
  const legacyTag = tag ? readTag(reading, tag.value) : null;
  const named = image ? readTemplate(reading, image.value, "`base.image`") : null;
  const said = config && !isNull(config.value) ? readText(reading, config.value, "`base.config`") : null;
  if (named === "")
    fault(
      reading,
      "invalid-value",
      image?.value ?? entry.keySpan,
      "`base.image` is empty",
      "Name an image, or `host`.",
    );
  if (config && said === "release" && named !== "host") {
    fault(reading, "invalid-value", config.value, 'The config "release" belongs to the image "host"');
  }
  return {
    kind: "image",
    image: named ?? imageOfOs(legacyOs) ?? "host",
    config: said ?? (legacyTag === null ? null : `tag ${legacyTag}`),
    arch: arch ? readArch(reading, arch) : null,
    at: placeOf(reading, entry.keySpan),
  };
}

/** Which keys may stand together in a base that names an image. */
function checkImageKeys(reading: Reading, entry: Entry, fields: ReadonlyMap<string, Entry>): void {
  const [image, os] = [fields.get("image"), fields.get("os")];
  for (const key of ["init", "target"]) {
    const extra = fields.get(key);
    if (extra) fault(reading, "mutually-exclusive", extra.keySpan, `"${key}" belongs to a base with "call"`);
  }
  if (image && os) fault(reading, "mutually-exclusive", os.keySpan, 'Give "image" or the old "os", not both');
  if (!image && !os && entry.value.kind === "map") missing(reading, entry.value, "image", "`base`");
  if (os) fault(reading, "deprecated", os.keySpan, '"os" and "tag" are old', 'Use "image" and "config".');
}

/** A tag such as 1.0, which YAML reads as the number 1. */
function readTag(reading: Reading, node: Node): string | null {
  if (node.kind !== "scalar" || typeof node.value !== "number") return readText(reading, node, "`base.tag`");
  return Number.isInteger(node.value) ? `${node.value}.0` : String(node.value);
}

/** "ubuntu 24.04", as `base.os` says it, is the image ubuntu:24.04. */
function imageOfOs(os: Template | null): Template | null {
  return typeof os === "string" ? os.trim().replace(/\s+/, ":") : os;
}

function readBaseCall(
  reading: Reading,
  entry: Entry,
  fields: ReadonlyMap<string, Entry>,
  notExecuted: NotExecuted[],
): Base {
  const [call, target, init, config, arch] = ["call", "target", "init", "config", "arch"].map((key) => fields.get(key));
  for (const key of ["image", "os", "tag"]) {
    const extra = fields.get(key);
    if (extra) fault(reading, "mutually-exclusive", extra.keySpan, `Give "call" or "${key}", not both`);
  }
  const at = placeOf(reading, entry.keySpan);
  notExecuted.push({ feature: "base-call", at });
  return {
    kind: "call",
    call: (call && readTemplate(reading, call.value, "`base.call`")) ?? "",
    target: target ? (readTaskKeys(reading, target.value, "target")[0]?.key ?? null) : null,
    init: init ? readTemplates(reading, init.value, "`base.init`") : {},
    config: config && !isNull(config.value) ? readText(reading, config.value, "`base.config`") : null,
    arch: arch ? readArch(reading, arch) : null,
    at,
  };
}

function readArch(reading: Reading, entry: Entry): string | null {
  if (isEmptyEntry(reading, entry)) return null;
  const text = readText(reading, entry.value, "`base.arch`");
  if (text?.includes("${{")) {
    readTemplate(reading, entry.value, "`base.arch`");
    return text;
  }
  return text === null ? null : readOneOf(reading, entry.value, "`base.arch`", ARCHITECTURES);
}

/** Reads `concurrency-pools`. */
export function readPools(
  reading: Reading,
  entry: Entry | undefined,
  notExecuted: NotExecuted[],
): readonly ConcurrencyPool[] {
  if (!entry || isEmptyEntry(reading, entry)) return [];
  const pools = within(reading, "pool", () =>
    itemsOf(reading, entry.value, "`concurrency-pools`").flatMap((item) => readPool(reading, item) ?? []),
  );
  if (pools.length > 0) notExecuted.push({ feature: "concurrency-pools", at: placeOf(reading, entry.keySpan) });
  return pools;
}

function readPool(reading: Reading, node: Node): ConcurrencyPool | null {
  const fields = readFields(reading, node, ["capacity", "id", "if", "on-overflow"], "a concurrency pool");
  const [id, condition, capacity, overflow] = ["id", "if", "capacity", "on-overflow"].map((key) => fields.get(key));
  if (!id) missing(reading, node, "id", "A concurrency pool");
  if (!overflow) missing(reading, node, "on-overflow", "A concurrency pool");
  const template = id ? readTemplate(reading, id.value, "`id`") : null;
  const allowed = ["cancel-waiting", "cancel-running", "queue"] as const;
  const onOverflow = overflow ? readOneOf(reading, overflow.value, "`on-overflow`", allowed) : null;
  const size = capacity ? readInteger(reading, capacity.value, "`capacity`", { least: 1 }) : null;
  const expression = condition ? readExpression(reading, condition.value, "the pool's `if`") : null;
  if (template === null || onOverflow === null) return null;
  return { id: template, if: expression, capacity: size ?? 1, onOverflow, at: placeOf(reading, node) };
}

/** Reads `tool-cache` of the definition: the vault that holds the caches. */
export function readVault(reading: Reading, entry: Entry | undefined): string | null {
  if (!entry || isEmptyEntry(reading, entry)) return null;
  const vault = readFields(reading, entry.value, ["vault"], "`tool-cache`").get("vault");
  if (vault) return readText(reading, vault.value, "`vault`");
  missing(reading, entry.value, "vault", "`tool-cache`");
  return null;
}

/** Reads `defaults`: what every task's agent asks for when the task says nothing else. */
export function readDefaults(reading: Reading, entry: Entry | undefined, notExecuted: NotExecuted[]): Agent {
  const nothing = emptyAgent({ line: 1, column: 1 });
  if (!entry || isEmptyEntry(reading, entry)) return nothing;
  const fields = readFields(reading, entry.value, ["agent", "outputs", "runner"], "`defaults`");
  const outputs = fields.get("outputs");
  if (outputs) checkLogs(reading, readFields(reading, outputs.value, ["logs"], "`defaults.outputs`").get("logs"));
  const agent = agentEntry(reading, fields);
  return agent ? readAgent(reading, agent.value, nothing, notExecuted) : nothing;
}
