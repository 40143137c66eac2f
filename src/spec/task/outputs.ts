// `outputs`: what a task leaves besides its files: artifacts, test results, problems, its exit status.

import { nearest, printable } from "../../base/text.ts";
import type { Outputs, ProblemSpec } from "../definition.ts";
import {
  fault,
  isEmptyEntry,
  isNull,
  itemsOf,
  itemsOrOne,
  missing,
  placeOf,
  readBoolean,
  readFields,
  type Reading,
  readOneOf,
  readTemplate,
  readText,
} from "../reading.ts";
import { isProblemMatcher, PROBLEM_MATCHER_NAMES } from "../problem-matchers.ts";
import type { Entry, Node } from "../yaml.ts";
import { readOutputFilter } from "./filter.ts";

const KEYS = ["artifacts", "execution-status", "filesystem", "logs", "problems", "test-results", "values"];
const FORMATS = ["auto", "problem-json", "github-annotation-json", "github-annotations-action-json"] as const;
const KEPT: Outputs["filesystem"] = { enabled: true, deduplicate: false, workspaceFilter: null, systemFilter: null };

export const NO_OUTPUTS: Outputs = {
  artifacts: [],
  values: [],
  testResults: [],
  problems: [],
  successExitCodes: [0],
  filesystem: KEPT,
};

export function readOutputs(reading: Reading, entry: Entry | undefined): Outputs {
  if (!entry) return NO_OUTPUTS;
  const fields = readFields(reading, entry.value, KEYS, "`outputs`");
  checkLogs(reading, fields.get("logs"));
  return {
    artifacts: readArtifacts(reading, fields.get("artifacts")),
    values: readValues(reading, fields.get("values")),
    testResults: items(reading, fields.get("test-results")).flatMap((item) => readTestResult(reading, item) ?? []),
    problems: items(reading, fields.get("problems")).flatMap((item) => readProblem(reading, item) ?? []),
    successExitCodes: readExitCodes(reading, fields.get("execution-status")),
    filesystem: readFilesystem(reading, fields.get("filesystem")),
  };
}

/** Checks `outputs.logs` of a task or of the defaults: how long a server keeps logs has no meaning here. */
export function checkLogs(reading: Reading, entry: Entry | undefined): void {
  if (!entry) return;
  const retention = readFields(reading, entry.value, ["retention"], "`logs`").get("retention");
  if (retention) readTemplate(reading, retention.value, "`retention`");
}

function items(reading: Reading, entry: Entry | undefined): readonly Node[] {
  return entry ? itemsOf(reading, entry.value, `\`${entry.key}\``) : [];
}

function readArtifacts(reading: Reading, entry: Entry | undefined): Outputs["artifacts"] {
  const seen = new Set<string>();
  return items(reading, entry).flatMap((item) => {
    const fields = readFields(reading, item, ["key", "path"], "an artifact");
    const [key, path] = [fields.get("key"), fields.get("path")];
    if (!key) missing(reading, item, "key", "An artifact");
    if (!path) missing(reading, item, "path", "An artifact");
    const name = key ? readText(reading, key.value, "an artifact's key") : null;
    const template = path ? readTemplate(reading, path.value, "an artifact's path") : null;
    if (name === null || template === null || !key) return [];
    if (name === "" || name.includes("/") || name === "." || name === "..") {
      fault(
        reading,
        "invalid-value",
        key.value,
        `${JSON.stringify(printable(name))} cannot be an artifact's key`,
        "A key is a file name: not empty, and without /.",
      );
      return [];
    }
    if (seen.has(name))
      fault(reading, "duplicate-key", key.value, `The artifact ${JSON.stringify(name)} is declared twice`);
    seen.add(name);
    return [{ key: name, path: template, at: placeOf(reading, key.value) }];
  });
}

function readValues(reading: Reading, entry: Entry | undefined): readonly string[] {
  if (!entry) return [];
  fault(
    reading,
    "deprecated",
    entry.keySpan,
    '"outputs.values" is old',
    "A task writes its values to $MESH_VALUES/NAME without declaring them.",
  );
  return itemsOrOne(reading, entry.value).flatMap((item) => readText(reading, item, "a value's name") ?? []);
}

function readTestResult(reading: Reading, node: Node): Outputs["testResults"][number] | null {
  const fields = readFields(reading, node, ["options", "path"], "a test result");
  const [path, options] = [fields.get("path"), fields.get("options")];
  if (!path) missing(reading, node, "path", "A test result");
  const named = options ? readFields(reading, options.value, ["framework", "language"], "`options`") : null;
  const text = (key: string): string | null => {
    const found = named?.get(key);
    if (options && !found) missing(reading, options.value, key, "The options of a test result");
    return found ? readText(reading, found.value, `\`${key}\``) : null;
  };
  const [framework, language] = [text("framework"), text("language")];
  const template = path ? readTemplate(reading, path.value, "a test result's path") : null;
  return template === null ? null : { path: template, framework, language };
}

function readProblem(reading: Reading, node: Node): ProblemSpec | null {
  const fields = readFields(reading, node, ["format", "matcher", "path"], "a problem");
  const [matcher, path, format] = [fields.get("matcher"), fields.get("path"), fields.get("format")];
  const at = placeOf(reading, node);
  if (matcher && path) fault(reading, "mutually-exclusive", path.keySpan, 'Give "matcher" or "path", not both');
  if (matcher) {
    if (format) fault(reading, "mutually-exclusive", format.keySpan, '"format" belongs to "path", not to "matcher"');
    const name = readText(reading, matcher.value, "`matcher`");
    if (name !== null && !isProblemMatcher(name)) {
      const meant = nearest(name, PROBLEM_MATCHER_NAMES);
      fault(
        reading,
        "unknown-matcher",
        matcher.value,
        `There is no problem matcher "${printable(name)}": its problems are not found`,
        meant === null ? "See the list in docs/tasks-yml.md." : `Did you mean "${meant}"?`,
      );
    }
    return name === null ? null : { kind: "matcher", matcher: name, at };
  }
  if (!path) {
    if (node.kind === "map") missing(reading, node, "matcher", 'A problem without "path"');
    return null;
  }
  const template = readTemplate(reading, path.value, "a problem's path");
  const said = format ? readOneOf(reading, format.value, "`format`", FORMATS) : "auto";
  return template === null ? null : { kind: "file", path: template, format: said ?? "auto", at };
}

function readExitCodes(reading: Reading, entry: Entry | undefined): readonly number[] {
  if (!entry) return NO_OUTPUTS.successExitCodes;
  const codes = readFields(reading, entry.value, ["success-exit-codes"], "`execution-status`").get(
    "success-exit-codes",
  );
  if (!codes || isEmptyEntry(reading, codes)) return NO_OUTPUTS.successExitCodes;
  const read = itemsOf(reading, codes.value, "`success-exit-codes`").flatMap((item) => {
    const given = item.kind === "scalar" ? item.value : null;
    const code = typeof given === "string" && /^\d{1,3}$/.test(given) ? Number(given) : given;
    if (typeof code === "number" && Number.isInteger(code) && code >= 0 && code <= 255) return [code];
    fault(reading, "exit-code", item, "An exit code is a whole number from 0 to 255");
    return [];
  });
  return read.length > 0 ? [...new Set(read)] : NO_OUTPUTS.successExitCodes;
}

function readFilesystem(reading: Reading, entry: Entry | undefined): Outputs["filesystem"] {
  if (!entry || isNull(entry.value)) return KEPT;
  if (entry.value.kind === "scalar")
    return { ...KEPT, enabled: readBoolean(reading, entry.value, "`filesystem`") ?? true };
  const fields = readFields(reading, entry.value, ["deduplicate", "filter"], "`filesystem`");
  const [deduplicate, filter] = [fields.get("deduplicate"), fields.get("filter")];
  const said = deduplicate ? readTemplate(reading, deduplicate.value, "`deduplicate`") : null;
  return { ...KEPT, deduplicate: said === "true", ...readFilesystemFilter(reading, filter) };
}

function readFilesystemFilter(
  reading: Reading,
  entry: Entry | undefined,
): Pick<Outputs["filesystem"], "workspaceFilter" | "systemFilter"> {
  if (!entry || isNull(entry.value)) return { workspaceFilter: null, systemFilter: null };
  if (entry.value.kind === "list")
    return { workspaceFilter: readOutputFilter(reading, entry.value, "workspace"), systemFilter: null };
  const fields = readFields(reading, entry.value, ["system", "workspace"], "the filesystem's `filter`");
  const [workspace, system] = [fields.get("workspace"), fields.get("system")];
  return {
    workspaceFilter: workspace ? readOutputFilter(reading, workspace.value, "workspace") : null,
    systemFilter: system ? readOutputFilter(reading, system.value, "system") : null,
  };
}
