// Problems of a task: complaints found in its log by a matcher, or read from a report that it wrote. They are recorded
// beside the result and never decide whether the task succeeded.

import { closeSync, openSync, readSync, statSync } from "node:fs";
import { isProblemMatcher } from "../spec/problem-matchers.ts";
import type { Problem } from "../store/result.ts";
import { findFile } from "./artifacts.ts";
import { PROBLEM_MATCHERS, type ProblemForm, type ProblemMatcher } from "./problem-matchers.ts";
import { problemsInReport } from "./problem-reports.ts";
import { severityOf } from "./problem-severity.ts";
import type { CommandWork } from "./work.ts";

/** Most problems of one task, longest line that is matched, and most bytes that are read of a report. */
const MOST_PROBLEMS = 1_000;
const LONGEST_LINE = 2_000;
const REPORT_BYTES = 16 * 1024 * 1024;

const NONE: readonly Problem[] = [];

/** Finds what the task's `outputs.problems` ask for. */
export function findProblems(work: CommandWork, roots: readonly string[], log: () => string): readonly Problem[] {
  if (work.problemMatchers.length + work.problemFiles.length === 0) return NONE;
  const problems: Problem[] = [];
  const names = new Set(work.problemMatchers);
  const matchers = [...names].flatMap((name) => (isProblemMatcher(name) ? [PROBLEM_MATCHERS[name]] : []));
  if (matchers.length > 0) {
    const text = log();
    for (const matcher of matchers) problems.push(...matchProblems(text, matcher));
  }
  for (const { path } of work.problemFiles) {
    const report = findFile(path, roots);
    if (report !== null) problems.push(...problemsInReport(readHead(report), MOST_PROBLEMS));
  }
  return problems.slice(0, MOST_PROBLEMS);
}

/** Applies a matcher to a log, line by line. */
export function matchProblems(text: string, matcher: ProblemMatcher): readonly Problem[] {
  const problems: Problem[] = [];
  const trackers = matcher.map((form) => new FormTracker(form));
  for (let start = 0; start <= text.length && problems.length < MOST_PROBLEMS;) {
    const next = text.indexOf("\n", start);
    const end = next === -1 ? text.length : next;
    const line = cleanLine(text.slice(start, Math.min(end, start + LONGEST_LINE)));
    start = end + 1;
    // every form sees every line, but a line is the end of one problem only
    const found = trackers.flatMap((tracker) => tracker.take(line) ?? []);
    if (found[0] !== undefined) problems.push(found[0]);
  }
  return problems;
}

/** Follows one form through the lines of a log. */
class FormTracker {
  readonly #form: ProblemForm;
  /** What the lines so far have said, one entry a line. */
  #parts: Partial<Problem>[] = [];

  constructor(form: ProblemForm) {
    this.#form = form;
  }

  /** The problem that this line completes; null when it completes none. */
  take(line: string): Problem | null {
    const { lines, loopFrom, severity, only } = this.#form;
    const part = this.#match(line);
    if (part === null) return null;
    this.#parts.push(part);
    if (this.#parts.length < lines.length) return null;
    const problem = Object.assign({ ...EMPTY, severity }, ...this.#parts) as Problem;
    this.#parts = loopFrom === undefined ? [] : this.#parts.slice(0, loopFrom);
    return only === undefined || problem.severity === only ? problem : null;
  }

  /** A line that does not go on with what was begun may begin anew. */
  #match(line: string): Partial<Problem> | null {
    const going = this.#form.lines[this.#parts.length]?.exec(line);
    if (going) return partOf(going);
    if (this.#parts.length === 0) return null;
    this.#parts = [];
    const anew = this.#form.lines[0]?.exec(line);
    return anew ? partOf(anew) : null;
  }
}

const EMPTY = { message: "", code: null, file: null, line: null, column: null };

function partOf({ groups = {} }: RegExpExecArray): Partial<Problem> {
  const { file, message, severity } = groups;
  const code = groups["code"]?.replace(/:$/, "");
  const [line, column] = [groups["line"] ?? groups["atLine"], groups["column"] ?? groups["atColumn"]];
  return {
    ...(file === undefined ? {} : { file }),
    ...(message === undefined ? {} : { message }),
    ...(code === undefined ? {} : { code }),
    ...(severity === undefined ? {} : { severity: severityOf(severity) }),
    ...(line === undefined ? {} : { line: Number(line) }),
    ...(column === undefined ? {} : { column: Number(column) }),
  };
}

function cleanLine(raw: string): string {
  return (raw.includes("\u001b") ? Bun.stripANSI(raw) : raw).trimEnd();
}

function readHead(path: string): string {
  const file = openSync(path, "r");
  try {
    const buffer = Buffer.allocUnsafe(Math.min(REPORT_BYTES, statSync(path).size));
    return buffer.toString("utf8", 0, readSync(file, buffer, 0, buffer.length, 0));
  } finally {
    closeSync(file);
  }
}
