// `filter` of a task and of its output filesystem: lists of patterns, read and checked. Matching is the store's matter.

import { printable } from "../../base/text.ts";
import type { FilterEntry, FilterSpec, Template } from "../definition.ts";
import {
  fault,
  itemsOf,
  missing,
  placeOf,
  readFields,
  type Reading,
  readOneOf,
  readTemplate,
  soleExpression,
  startsWithExpression,
  templateOf,
} from "../reading.ts";
import type { Entry, Node } from "../yaml.ts";

/** Reads a task's `filter`: a list, an expression, or (for commands) a map of lists by `workspace` or an artifact's expression. */
export function readFilter(
  reading: Reading,
  entry: Entry | undefined,
  kind: "command" | "package",
): readonly FilterSpec[] {
  if (!entry) return [];
  if (entry.value.kind !== "map" || kind === "package") return [readSpec(reading, entry.value, null)];
  return entry.value.entries.flatMap((part) => {
    if (part.key === "workspace") return [readSpec(reading, part.value, null)];
    if (part.key.trimStart().startsWith("${{")) {
      const artifact = templateOf(
        reading,
        part.keySpan.end > part.keySpan.start ? part.keySpan : entry.value,
        part.key,
      );
      return [readSpec(reading, part.value, artifact)];
    }
    const message = `${JSON.stringify(printable(part.key))} is neither "workspace" nor an expression that names an artifact`;
    fault(reading, "unknown-key", part.keySpan, message, "Write `workspace:` or `${{ tasks.T.artifacts.K }}:`.");
    return [];
  });
}

function readSpec(reading: Reading, node: Node, artifact: Template | null): FilterSpec {
  const at = placeOf(reading, node);
  if (startsWithExpression(node)) {
    const template = readTemplate(reading, node, "`filter`");
    const expression = template === null ? null : soleExpression(template);
    if (expression) return { artifact, entries: expression, at };
    if (template !== null) return { artifact, entries: [{ path: template, cacheKey: "included" }], at };
  }
  const entries = itemsOf(reading, node, "`filter`").flatMap((item) => readEntry(reading, item) ?? []);
  return { artifact, entries, at };
}

function readEntry(reading: Reading, node: Node): FilterEntry | null {
  if (node.kind !== "map") return entryOf(reading, node, "included");
  const fields = readFields(reading, node, ["cache-key", "path"], "a filter entry");
  const path = fields.get("path");
  const cacheKey = fields.get("cache-key");
  const said = cacheKey
    ? readOneOf(reading, cacheKey.value, "`cache-key`", ["included", "excluded"] as const)
    : "included";
  if (path) return entryOf(reading, path.value, said ?? "included");
  missing(reading, node, "path", "A filter entry");
  return null;
}

function entryOf(reading: Reading, node: Node, cacheKey: FilterEntry["cacheKey"]): FilterEntry | null {
  const path = readTemplate(reading, node, "a filter pattern");
  if (path === null) return null;
  if (typeof path === "string") checkPattern(reading, node, path);
  return { path, cacheKey };
}

/** Reads `outputs.filesystem.filter`'s lists: `workspace` patterns are relative, `system` ones absolute. */
export function readOutputFilter(reading: Reading, node: Node, side: "workspace" | "system"): readonly FilterEntry[] {
  return itemsOf(reading, node, `the ${side} filter`).flatMap((item) => {
    const path = readTemplate(reading, item, "a filter pattern");
    if (path === null) return [];
    if (typeof path === "string") {
      const bare = path.replace(/^!/, "");
      if (side === "system" && !/^[/*]/.test(bare)) {
        fault(
          reading,
          "filter-pattern",
          item,
          `The system pattern ${JSON.stringify(path)} starts with neither / nor *`,
          `Try ${JSON.stringify(`${path.startsWith("!") ? "!" : ""}/${bare}`)}.`,
        );
      } else {
        checkPattern(reading, item, side === "system" ? path.replace("/", "") : path);
      }
    }
    return [{ path, cacheKey: "included" }];
  });
}

function checkPattern(reading: Reading, node: Node, pattern: string): void {
  const bare = pattern.replace(/^!/, "");
  const shown = JSON.stringify(printable(pattern.slice(0, 80)));
  if (bare.trim() === "") return fault(reading, "filter-pattern", node, `The filter pattern ${shown} names nothing`);
  if (bare.startsWith("/"))
    fault(
      reading,
      "absolute-filter",
      node,
      `The filter pattern ${shown} starts with /`,
      `Write ${JSON.stringify(bare.replace(/^\/+/, ""))}.`,
    );
  if (bare.split("/").includes("..")) {
    fault(
      reading,
      "filter-pattern",
      node,
      `The filter pattern ${shown} leaves the workspace`,
      "Patterns cannot climb with `..`.",
    );
  }
  const unclosed = unclosedBrace(bare);
  if (unclosed)
    fault(reading, "filter-pattern", node, `The filter pattern ${shown} has a ${unclosed} without its partner`);
}

function unclosedBrace(pattern: string): string | null {
  let open = 0;
  for (const char of pattern) {
    if (char === "{") open++;
    if (char === "}" && --open < 0) return "}";
  }
  return open > 0 ? "{" : null;
}
