// `mesh runs list`: a line for each run, newest first.

import { groupDigits, printable } from "../../base/text.ts";
import { formatDuration } from "../../base/units.ts";
import type { RunEntry } from "../archive.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import { tableLines } from "../text/columns.ts";
import type { Style } from "../text/style.ts";
import { agoWords, shortRun } from "../text/words.ts";
import { resultSign } from "../view/summary.ts";

const USUAL_LIMIT = 20;

export const execute: Execute = async (context, args) => {
  const archive = await context.archive();
  const entries = archive.runs(args.integer("limit") ?? USUAL_LIMIT);
  if (args.on("json")) {
    printJson(context, { runs: entries.map(entryJson) });
    return 0;
  }
  if (entries.length === 0) printLines(context, ["No runs yet. Start one with `mesh run tasks.yml`."]);
  else printLines(context, runLines(entries, context.now.unixMs(), context.style));
  return 0;
};

/** The table of runs. */
export function runLines(entries: readonly RunEntry[], nowMs: number, style: Style): readonly string[] {
  const columns = [
    { title: " " },
    { title: "RUN" },
    { title: "TITLE", most: 40 },
    { title: "TASKS" },
    { title: "TOOK", align: "right" },
    { title: "STARTED" },
  ] as const;
  return tableLines(
    columns,
    entries.map((entry) => [
      entry.interrupted ? style.yellow("!") : resultSign(entry.status, style),
      shortRun(entry.id),
      printable(entry.title),
      entry.interrupted ? style.yellow("interrupted") : countsWords(entry),
      entry.completedAtMs === null ? "" : formatDuration(entry.completedAtMs - entry.startedAtMs),
      style.dim(agoWords(entry.startedAtMs, nowMs)),
    ]),
    style.dim,
  );
}

function countsWords({ counts, status }: RunEntry): string {
  if (counts === null) return status.execution;
  const parts = [groupDigits(counts.total)];
  if (counts.cacheHits > 0) parts.push(`${groupDigits(counts.cacheHits)} from cache`);
  if (counts.failed > 0) parts.push(`${counts.failed} failed`);
  return parts.join(", ");
}

function entryJson({ startedAtMs, completedAtMs, ...entry }: RunEntry): object {
  return {
    ...entry,
    startedAt: new Date(startedAtMs).toISOString(),
    completedAt: completedAtMs === null ? null : new Date(completedAtMs).toISOString(),
    durationMs: completedAtMs === null ? null : completedAtMs - startedAtMs,
  };
}
