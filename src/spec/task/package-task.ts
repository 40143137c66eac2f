// A package task: one with `call`, and none of the keys that only embedded runs have.

import { printable } from "../../base/text.ts";
import type { PackageTask, Template } from "../definition.ts";
import { BUILT_IN_PACKAGES, type PackageSignature, parameterList, parseCall } from "../packages.ts";
import {
  define,
  entriesOf,
  fault,
  isNull,
  placeOf,
  readBoolean,
  readTemplate,
  startsWithExpression,
} from "../reading.ts";
import { didYouMean, slipOf } from "../suggest.ts";
import type { Entry } from "../yaml.ts";
import { readCache } from "./cache.ts";
import { entryOf, markNotExecuted, readEnvironment, readUse, type Started, type TaskOptions } from "./draft.ts";
import { readFilter } from "./filter.ts";

export function readPackageTask(started: Started, { packages }: TaskOptions): PackageTask {
  const { reading, fields } = started;
  return {
    ...started.common,
    kind: "package",
    ...readCall(started, packages),
    with: readParameters(started),
    use: readUse(started),
    ...readEnvironment(started),
    filter: readFilter(reading, entryOf(started, "filter"), "package"),
    cache: readCache(reading, fields.get("cache"), { ttl: false }),
  };
}

function readParameters(started: Started): PackageTask["with"] {
  const given = entryOf(started, "with");
  const parameters: Record<string, { readonly value: Template; readonly at: PackageTask["at"] }> = {};
  for (const { key, keySpan, value } of given ? entriesOf(started.reading, given.value, "`with`") : []) {
    const template = isNull(value) ? "" : readTemplate(started.reading, value, `the parameter ${key}`);
    if (template !== null) define(parameters, key, { value: template, at: placeOf(started.reading, keySpan) });
  }
  return parameters;
}

function readCall(
  started: Started,
  packages: ReadonlyMap<string, PackageSignature>,
): Pick<PackageTask, "call" | "name" | "version"> {
  const call = entryOf(started, "call");
  const template = call ? readTemplate(started.reading, call.value, "`call`") : null;
  if (template === null || !call) return unnamed("");
  if (typeof template !== "string") {
    markNotExecuted(started, isRunDirPath(template) ? "local-package" : "dynamic-call", "call");
    return unnamed(template);
  }
  const parsed = parseCall(template, packages);
  switch (parsed.kind) {
    case "invalid":
      fault(started.reading, "package-name", call.value, parsed.message, parsed.advice);
      return unnamed(template);
    case "digest":
      markNotExecuted(started, "package", "call");
      return unnamed(template);
    case "named": {
      const signature = packages.get(parsed.name);
      if (signature) checkParameters(started, parsed.name, signature);
      if (!BUILT_IN_PACKAGES.has(parsed.name)) markNotExecuted(started, "package", "call");
      return { call: template, name: parsed.name, version: parsed.version };
    }
  }
}

function unnamed(call: Template): Pick<PackageTask, "call" | "name" | "version"> {
  return { call, name: null, version: null };
}

function checkParameters(started: Started, name: string, signature: PackageSignature): void {
  const entry = started.fields.get("with");
  const given = entry?.value.kind === "map" ? entry.value.entries : [];
  for (const parameter of given) checkParameter(started, parameter, { name, signature });
  for (const [key, { required }] of Object.entries(signature.parameters)) {
    if (!required || given.some((parameter) => parameter.key === key)) continue;
    const at = entry?.keySpan ?? started.fields.get("call")?.value ?? started.node;
    fault(
      started.reading,
      "package-parameter",
      at,
      `${name} needs the parameter ${JSON.stringify(key)}`,
      `${name} takes ${parameterList(signature)}.`,
    );
  }
}

function checkParameter(
  { reading }: Started,
  { key, keySpan, value }: Entry,
  { name, signature }: { readonly name: string; readonly signature: PackageSignature },
): void {
  const parameter = Object.hasOwn(signature.parameters, key) ? signature.parameters[key] : undefined;
  if (!parameter) {
    const names = Object.keys(signature.parameters);
    const takes = `${name} takes ${parameterList(signature)}.`;
    const rule = signature.open && slipOf(key, names) === null ? "doubtful-parameter" : "package-parameter";
    const message = `${name} takes no parameter ${JSON.stringify(printable(key))}`;
    fault(reading, rule, keySpan, message, didYouMean(key, names, takes));
  } else if (parameter.kind === "boolean" && !startsWithExpression(value) && !isNull(value)) {
    readBoolean(reading, value, `the parameter ${key}`);
  }
}

/** True for `${{ run.dir }}/...`: a file beside this definition. */
function isRunDirPath(template: Exclude<Template, string>): boolean {
  const [first] = template.pieces;
  return typeof first === "object" && first.kind === "member" && first.of.kind === "name" && first.of.name === "run";
}
