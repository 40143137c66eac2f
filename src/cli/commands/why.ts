// `mesh why [RUN] TASK`: what differs between a task's cache key and that of the nearest earlier result.

import { printable } from "../../base/text.ts";
import { describeDifference } from "../../sched/why.ts";
import type { WhyJson } from "../archive.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import type { Style } from "../text/style.ts";
import { agoWords, shortRun } from "../text/words.ts";
import { findTask, runAndTask } from "../which-run.ts";

export const execute: Execute = async (context, args) => {
  const archive = await context.archive();
  const { entry, task } = runAndTask(archive, args.words);
  findTask(archive.run(entry), task);
  const why = archive.why(entry, task);
  if (args.on("json")) printJson(context, why);
  else printLines(context, whyLines(why, context.now.unixMs(), context.style));
  return 0;
};

/** The answer for people. */
export function whyLines(why: WhyJson, nowMs: number, style: Style): readonly string[] {
  const key = style.bold(printable(why.task));
  if (why.status.finished === "cacheHit") {
    const lines = [`${key} came from the cache: run ${shortRun(why.cacheHitFrom ?? "")} made the same key.`];
    if (why.cacheKey !== null) lines.push(style.dim(`  cache key ${why.cacheKey}`));
    return lines;
  }
  if (why.cacheKey === null)
    return [`${key} has no cache key: it was ${why.status.aborted ?? why.status.execution} before one was made.`];
  if (!why.partsKept)
    return [`${key} left no result, so what its key was made of is not known. The next run compares again.`];
  if (why.nearest === null) return [`${key} ran because there was no earlier result of it.`];
  const when = agoWords(Date.parse(why.nearest.at), nowMs);
  const earlier = `run ${shortRun(why.nearest.run)}, ${when}`;
  if (why.differences.length === 0) {
    return [
      `${key} ran although ${earlier}, has the same key: it was told not to use the cache, or that result came later or was lost.`,
    ];
  }
  return [
    `${key} ran because its key differs from the nearest earlier result (${earlier}):`,
    ...why.differences.map((difference) => `  ${differenceSign(difference, style)} ${describeDifference(difference)}`),
  ];
}

function differenceSign(difference: WhyJson["differences"][number], style: Style): string {
  if (!("change" in difference)) return style.yellow("~");
  if (difference.change === "added") return style.green("+");
  return difference.change === "removed" ? style.red("-") : style.yellow("~");
}
