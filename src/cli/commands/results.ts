// `mesh results`: a run and its tasks, or everything about one task.

import { countOf, printable } from "../../base/text.ts";
import { formatBytes, formatCpus, formatDuration } from "../../base/units.ts";
import type { RunJson, TaskJson } from "../../sched/summary.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import { exitCodeOf } from "../driving.ts";
import { pad, tableLines } from "../text/columns.ts";
import { showLine } from "../text/log-text.ts";
import type { Style } from "../text/style.ts";
import { shortRun } from "../text/words.ts";
import { resultSign, wholeLine } from "../view/summary.ts";
import { endingWords } from "../view/words.ts";
import { findRun, findTask } from "../which-run.ts";

export const execute: Execute = async (context, args) => {
  const archive = await context.archive();
  const entry = findRun(archive, args.words[0] ?? null);
  const run = archive.run(entry);
  const key = args.text("task");
  if (key !== null) {
    const task = findTask(run, key);
    if (args.on("json")) printJson(context, task);
    else printLines(context, taskLines({ run, task, interrupted: entry.interrupted }, context.style));
    return task.status.result === "failed" ? 1 : 0;
  }
  if (args.on("json")) printJson(context, run);
  else printLines(context, runLines(run, entry.interrupted, context.style));
  return exitCodeOf(run);
};

/** The tasks of a run as a table, then the line for the whole. */
export function runLines(run: RunJson, interrupted: boolean, style: Style): readonly string[] {
  const columns = [
    { title: " " },
    { title: "TASK", most: 48 },
    { title: "RESULT", most: 40 },
    { title: "TOOK", align: "right" },
    { title: "OUTPUTS" },
  ] as const;
  const rows = run.tasks.map((task) => [
    resultSign(task.status, style),
    printable(task.key),
    resultWords(task, interrupted, style),
    task.durationMs === null ? "" : formatDuration(task.durationMs),
    style.dim(leftWords(task)),
  ]);
  const lines = run.tasks.length === 0 ? [] : [...tableLines(columns, rows, style.dim), ""];
  const interruption = `${style.yellow("!")} The process that drove this run is gone. \`mesh retry ${shortRun(run.id)}\` takes up what was finished.`;
  return [...lines, ...(interrupted ? [interruption] : []), wholeLine(run, style)];
}

/** Everything about a task. */
export function taskLines(
  { run, task, interrupted }: { readonly run: RunJson; readonly task: TaskJson; readonly interrupted: boolean },
  style: Style,
): readonly string[] {
  const { outputs } = task;
  const facts: (readonly [string, string])[] = [
    ["run", run.id],
    ["type", task.type],
    ["took", task.durationMs === null ? "" : formatDuration(task.durationMs)],
    ["started", task.startedAt ?? ""],
    ["on", task.node === null ? "" : `${printable(task.node)}${task.attempt > 1 ? `, attempt ${task.attempt}` : ""}`],
    ["asked", askedWords(task)],
    ["used", usedWords(task)],
    ["cache key", task.cacheKey ?? ""],
    ["made by", task.cacheHitFrom === null ? "" : `run ${printable(task.cacheHitFrom)}`],
  ];
  const lines = [
    `${resultSign(task.status, style)} ${style.bold(printable(task.key))}  ${resultWords(task, interrupted, style)}`,
    ...factLines(facts, style),
  ];
  for (const { text } of task.messages)
    lines.push("", ...text.split("\n").map((line) => `  ${showLine(line, style.colour)}`));
  section(lines, "Values", Object.entries(outputs.values), style);
  section(
    lines,
    "Artifacts",
    outputs.artifacts.map(({ key, path, sizeBytes }) => [key, `${path}  ${formatBytes(sizeBytes)}`] as const),
    style,
  );
  section(lines, "Links", Object.entries(outputs.links), style);
  if (outputs.problems.length > 0)
    lines.push("", `${countOf(outputs.problems.length, "problem")}; \`--json\` lists them.`);
  return lines;
}

function resultWords(task: TaskJson, isInterrupted: boolean, style: Style): string {
  const { status } = task;
  if (status.result === "failed") {
    const words =
      status.aborted === "timed-out"
        ? "timed out"
        : status.aborted === "refused"
          ? "could not start"
          : status.aborted === "lost"
            ? "lost"
            : endingWords({ ...task, reason: null });
    return style.red(words);
  }
  if (status.finished === "cacheHit") return "from cache";
  if (status.finished === "executed") return "executed";
  if (isInterrupted && status.execution === "running") return style.yellow("interrupted");
  return status.aborted ?? status.execution;
}

function leftWords({ outputs }: TaskJson): string {
  const parts = [
    outputs.artifacts.length > 0 ? countOf(outputs.artifacts.length, "artifact") : "",
    outputs.testResults.length > 0 ? "test results" : "",
    outputs.problems.length > 0 ? countOf(outputs.problems.length, "problem") : "",
  ];
  return parts.filter((part) => part !== "").join(", ");
}

/** "0.5 CPU, 2 GiB" */
export function askedWords({ asked }: TaskJson): string {
  if (asked === null) return "";
  return [
    `${formatCpus(asked.cpuMilli)} CPU`,
    asked.memoryBytes > 0 ? formatBytes(asked.memoryBytes) : "",
    asked.gpus > 0 ? countOf(asked.gpus, "GPU") : "",
  ]
    .filter((part) => part !== "")
    .join(", ");
}

function usedWords({ used }: TaskJson): string {
  if (used === null) return "";
  const cpu = used.cpuMs === null ? "" : `${formatDuration(used.cpuMs)} of CPU`;
  const memory = used.memoryBytesMax === null ? "" : `${formatBytes(used.memoryBytesMax)} at most`;
  return [cpu, memory].filter((part) => part !== "").join(", ");
}

function factLines(facts: readonly (readonly [string, string])[], style: Style): readonly string[] {
  const known = facts.filter(([, value]) => value !== "");
  return known.map(([name, value]) => `  ${style.dim(pad(name, 9))}  ${value}`);
}

function section(lines: string[], title: string, entries: readonly (readonly [string, string])[], style: Style): void {
  if (entries.length === 0) return;
  const width = Math.max(...entries.map(([name]) => name.length));
  lines.push(
    "",
    style.bold(title),
    ...entries.map(([name, value]) => `  ${pad(printable(name), width)}  ${printable(value)}`),
  );
}
