// The last words of a run: each failed task with why, the end of its log and what to do next; then one line for the whole.

import { countOf, groupDigits, printable } from "../../base/text.ts";
import { formatDuration } from "../../base/units.ts";
import type { RunJson, TaskJson } from "../../sched/summary.ts";
import { showLine } from "../text/log-text.ts";
import type { Style } from "../text/style.ts";
import { shortRun } from "../text/words.ts";
import type { RunProgress } from "./progress.ts";
import type { RerunWords } from "./reporter.ts";
import { endingWords } from "./words.ts";

/** Lines of output shown of a failed task. */
const TAIL_LINES = 10;

/** Failed tasks shown in full; the others are named. */
const FAILURES_SHOWN = 5;

export interface SummaryInput {
  readonly summary: RunJson;
  /** What was seen while it ran: the ends of logs, and why executions failed. */
  readonly progress: RunProgress;
  readonly rerun: RerunWords;
  readonly style: Style;
}

/** All lines of the summary. */
export function summaryLines(input: SummaryInput): readonly string[] {
  const failed = input.summary.tasks.filter((task) => task.status.result === "failed");
  const lines = failed.slice(0, FAILURES_SHOWN).flatMap((task) => failureLines(task, input));
  if (failed.length > FAILURES_SHOWN) {
    const others = failed.slice(FAILURES_SHOWN).map((task) => printable(task.key));
    const named = others.slice(0, 20).join(", ");
    lines.push(
      "",
      `${input.style.red("✗")} ${countOf(others.length, "more task")} failed: ${named}${others.length > 20 ? ", …" : ""}`,
    );
  }
  if (lines.length > 0) lines.push("");
  return [...lines, wholeLine(input.summary, input.style)];
}

/** "✓ 12 tasks: 9 from cache, 3 executed in 1.2 s" */
export function wholeLine(summary: RunJson, style: Style): string {
  const counts = { hit: 0, executed: 0, failed: 0, skipped: 0, cancelled: 0, open: 0 };
  for (const task of summary.tasks) counts[kindOf(task)]++;
  const total = summary.tasks.length;
  const parts = [
    counts.failed > 0 ? style.red(`${groupDigits(counts.failed)} failed`) : "",
    counts.cancelled > 0 ? `${groupDigits(counts.cancelled)} cancelled` : "",
    counts.skipped > 0 ? `${groupDigits(counts.skipped)} skipped` : "",
    counts.open > 0 ? `${groupDigits(counts.open)} not finished` : "",
    counts.hit > 0 ? (counts.hit === total ? "all from cache" : `${groupDigits(counts.hit)} from cache`) : "",
    counts.executed > 0 ? `${groupDigits(counts.executed)} executed` : "",
  ].filter((part) => part !== "");
  const took = summary.durationMs === null ? "" : ` in ${formatDuration(summary.durationMs)}`;
  const what = parts.length === 0 ? "nothing to do" : parts.join(", ");
  return `${resultSign(summary.status, style)} ${countOf(total, "task")}: ${what}${took}  ${style.dim(`run ${shortRun(summary.id)}`)}`;
}

/** ✓, ✗, ■ or ● for a run or a task. */
export function resultSign(status: { readonly execution: string; readonly result: string }, style: Style): string {
  if (status.result === "failed") return style.red("✗");
  if (status.execution === "aborted") return style.yellow("■");
  if (status.result === "succeeded") return style.green("✓");
  if (status.execution === "skipped") return style.dim("-");
  return style.cyan(status.execution === "running" ? "●" : "○");
}

function kindOf({ status }: TaskJson): "hit" | "executed" | "failed" | "skipped" | "cancelled" | "open" {
  if (status.result === "failed") return "failed";
  if (status.execution === "aborted") return "cancelled";
  if (status.execution === "skipped") return "skipped";
  if (status.execution !== "finished") return "open";
  return status.finished === "cacheHit" ? "hit" : "executed";
}

function failureLines(task: TaskJson, { summary, progress, rerun, style }: SummaryInput): string[] {
  const seen = progress.task(task.key);
  const after = task.durationMs === null ? "" : style.dim(` after ${formatDuration(task.durationMs)}`);
  const words = seen === null ? endingWords({ ...task, reason: null }) : endingWords(seen);
  const started = task.startedAt !== null;
  const lines = [
    "",
    `${style.red("✗")} ${style.bold(printable(task.key))}  ${style.red(started ? words : "could not start")}${after}`,
  ];
  for (const { text } of task.messages) {
    lines.push(...text.split("\n").map((line) => `  ${showLine(line, style.colour)}`));
  }
  const tail = seen?.tail?.last(TAIL_LINES) ?? [];
  lines.push(...tail.map((line) => `  ${style.dim("│")} ${showLine(line, style.colour)}`));
  const target = printable(task.key);
  if (started) lines.push(style.dim(`  whole log  mesh logs ${shortRun(summary.id)} ${target}`));
  lines.push(style.dim(`  run again  ${printable(rerun.command)} --target ${target}`));
  return lines;
}
