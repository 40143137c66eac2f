// Problems that a tool wrote into a JSON file: SARIF, GitHub's annotations, or a plain list. Read with care: a task wrote it.

import type { Problem } from "../store/result.ts";
import { severityOf } from "./problem-severity.ts";

/** Longest message or path that is kept. */
const LONGEST_TEXT = 4_000;

type Json = Readonly<Record<string, unknown>>;

/** Up to `most` problems of a report; none when it is not one of those formats. */
export function problemsInReport(text: string, most: number): readonly Problem[] {
  const document = parse(text);
  const list: readonly unknown[] = Array.isArray(document) ? document : isObject(document) ? listIn(document) : [];
  return list.slice(0, most).flatMap((item) => (isObject(item) ? [problemOf(item)] : []));
}

function listIn(document: Json): readonly unknown[] {
  const runs = arrayAt(document, "runs");
  if (runs !== null) return runs.flatMap((run) => arrayAt(run, "results") ?? []);
  return arrayAt(document, "problems") ?? arrayAt(document, "annotations") ?? [];
}

function problemOf(item: Json): Problem {
  const place = objectAt(arrayAt(item, "locations")?.[0], "physicalLocation");
  const region = objectAt(place, "region");
  return {
    severity: severityOf(textAt(item, "severity", "annotation_level", "level") ?? "error"),
    message: textAt(item, "message", "title") ?? textAt(objectAt(item, "message"), "text") ?? "",
    file: textAt(item, "file", "path", "filename") ?? textAt(objectAt(place, "artifactLocation"), "uri"),
    line: numberAt(item, "line", "start_line", "startLine") ?? numberAt(region, "startLine"),
    column: numberAt(item, "column", "start_column", "startColumn") ?? numberAt(region, "startColumn"),
    code: textAt(item, "code", "ruleId", "rule"),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function arrayAt(value: unknown, name: string): readonly unknown[] | null {
  const inner = isObject(value) ? value[name] : null;
  return Array.isArray(inner) ? inner : null;
}

function objectAt(value: unknown, name: string): Json | null {
  const inner = isObject(value) ? value[name] : null;
  return isObject(inner) ? inner : null;
}

function textAt(value: Json | null, ...names: readonly string[]): string | null {
  const found = names.map((name) => value?.[name]).find((text) => typeof text === "string");
  return found?.slice(0, LONGEST_TEXT) ?? null;
}

function numberAt(value: Json | null, ...names: readonly string[]): number | null {
  return names.map((name) => value?.[name]).find((number): number is number => Number.isSafeInteger(number)) ?? null;
}
