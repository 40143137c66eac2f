// Problems of a task: complaints found in its log by a matcher, or read from a report that it wrote. They are recorded
// beside the result and never decide whether the task succeeded.

import { closeSync, openSync, readSync } from "node:fs";
import { LIMITS } from "../base/limits.ts";
import type { Problem } from "../store/result.ts";
import { findFile } from "./artifacts.ts";
import { PROBLEM_MATCHERS, type ProblemMatcher, type ProblemPattern } from "./problem-matchers.ts";
import type { CommandWork } from "./work.ts";

/** Most problems of one task, longest line that is matched, and most bytes that are read of a report. */
const MOST_PROBLEMS = 1_000;
const LONGEST_LINE = 2_000;
const REPORT_BYTES = 16 * 1024 * 1024;

/** Finds what the task's `outputs.problems` ask for. */
export function findProblems(work: CommandWork, roots: readonly string[], log: () => string): readonly Problem[] {
  const specs = work.task.outputs.problems;
  if (specs.length === 0) return NONE;
  const problems: Problem[] = [];
  for (const spec of specs) {
    if (spec.kind !== "matcher") continue;
    const matcher = PROBLEM_MATCHERS[spec.matcher];
    if (matcher !== undefined) problems.push(...matchProblems(log().split("\n"), matcher));
  }
  for (const { path, format } of work.problemFiles) {
    const report = findFile(path, roots);
    if (report === null) continue;
    const text = readHead(report);
    const matcher = PROBLEM_MATCHERS[format];
    if (format === "sarif") problems.push(...sarifProblems(text));
    else if (matcher !== undefined) problems.push(...matchProblems(text.split("\n"), matcher));
  }
  return problems.slice(0, MOST_PROBLEMS);
}

const NONE: readonly Problem[] = [];

/** Applies a matcher to lines; patterns of several lines must match one after the other. */
export function matchProblems(lines: readonly string[], matcher: ProblemMatcher): readonly Problem[] {
  const problems: Problem[] = [];
  let step = 0;
  let partial: Problem = emptyProblem(matcher);
  for (const raw of lines) {
    if (problems.length >= MOST_PROBLEMS) break;
    const line = Bun.stripANSI(raw).slice(0, LONGEST_LINE).trimEnd();
    let pattern = matcher.patterns[step];
    let match = pattern?.regexp.exec(line) ?? null;
    if (match === null && step > 0) {
      step = 0;
      partial = emptyProblem(matcher);
      pattern = matcher.patterns[0];
      match = pattern?.regexp.exec(line) ?? null;
    }
    if (match === null || pattern === undefined) continue;
    const merged = mergeMatch(partial, match, pattern);
    if (step < matcher.patterns.length - 1) {
      partial = merged;
      step++;
      continue;
    }
    problems.push(merged);
    if (pattern.loop !== true) {
      step = 0;
      partial = emptyProblem(matcher);
    }
  }
  return problems;
}

/** Problems of a SARIF 2.1.0 document; none when it is not one. */
export function sarifProblems(text: string): readonly Problem[] {
  try {
    const document = JSON.parse(text) as { runs?: { results?: SarifResult[] }[] };
    const results = (document.runs ?? []).flatMap((run) => run.results ?? []);
    return results.slice(0, MOST_PROBLEMS).map(({ level, message, ruleId, locations }) => {
      const location = locations?.[0]?.physicalLocation;
      return {
        severity: level === "warning" || level === "note" ? "warning" : "error",
        message: message?.text ?? "",
        code: ruleId ?? null,
        file: location?.artifactLocation?.uri ?? null,
        line: location?.region?.startLine ?? null,
        column: location?.region?.startColumn ?? null,
      };
    });
  } catch {
    return NONE;
  }
}

interface SarifResult {
  readonly level?: string;
  readonly ruleId?: string;
  readonly message?: { readonly text?: string };
  readonly locations?: readonly {
    readonly physicalLocation?: {
      readonly artifactLocation?: { readonly uri?: string };
      readonly region?: { readonly startLine?: number; readonly startColumn?: number };
    };
  }[];
}

function emptyProblem(matcher: ProblemMatcher): Problem {
  return { severity: matcher.severity, message: "", code: null, file: null, line: null, column: null };
}

function mergeMatch(partial: Problem, match: RegExpExecArray, pattern: ProblemPattern): Problem {
  const group = (index: number | undefined) => (index === undefined ? null : (match[index] ?? null));
  const numeric = (index: number | undefined) => {
    const text = group(index);
    return text === null ? null : Number(text);
  };
  const severity = group(pattern.severity)?.toLowerCase();
  return {
    severity: severity === undefined ? partial.severity : severity === "error" ? "error" : "warning",
    message: group(pattern.message) ?? partial.message,
    code: group(pattern.code) ?? partial.code,
    file: group(pattern.file) ?? partial.file,
    line: numeric(pattern.line) ?? partial.line,
    column: numeric(pattern.column) ?? partial.column,
  };
}

function readHead(path: string): string {
  const file = openSync(path, "r");
  try {
    const buffer = Buffer.allocUnsafe(Math.min(REPORT_BYTES, LIMITS.logHeadBytes));
    return buffer.toString("utf8", 0, readSync(file, buffer, 0, buffer.length, 0));
  } finally {
    closeSync(file);
  }
}
