// `mesh cache ls`: cached results, most recently used first.

import { hexOf, parseDigest } from "../../base/digest.ts";
import { printable } from "../../base/text.ts";
import { formatBytes, formatDuration } from "../../base/units.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import { tableLines } from "../text/columns.ts";
import { agoWords, shortRun } from "../text/words.ts";

const USUAL_LIMIT = 50;

export const execute: Execute = async (context, args) => {
  const archive = await context.archive();
  const entries = archive.cacheEntries(args.integer("limit") ?? USUAL_LIMIT);
  if (args.on("json")) {
    const results = entries.map(({ madeAtMs, usedAtMs, ...entry }) => ({
      ...entry,
      madeAt: new Date(madeAtMs).toISOString(),
      usedAt: new Date(usedAtMs).toISOString(),
    }));
    printJson(context, { results });
    return 0;
  }
  if (entries.length === 0) {
    printLines(context, ["The cache is empty."]);
    return 0;
  }
  const nowMs = context.now.unixMs();
  const columns = [
    { title: "KEY" },
    { title: "TASK", most: 40 },
    { title: "RUN" },
    { title: "TOOK", align: "right" },
    { title: "SIZE", align: "right" },
    { title: "USED" },
  ] as const;
  const rows = entries.map((entry) => [
    hexOf(parseDigest(entry.cacheKey)).slice(0, 12),
    printable(entry.task),
    shortRun(entry.run),
    entry.durationMs === null ? "" : formatDuration(entry.durationMs),
    entry.sizeBytes === null ? "" : formatBytes(entry.sizeBytes),
    context.style.dim(agoWords(entry.usedAtMs, nowMs)),
  ]);
  printLines(context, tableLines(columns, rows, context.style.dim));
  return 0;
};
