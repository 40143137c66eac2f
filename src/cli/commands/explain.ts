// `mesh explain`: why a task of a run is where it is, or what a run of a definition would do.

import { printable } from "../../base/text.ts";
import { explanationLines } from "../../sched/explain.ts";
import { describeReason } from "../../sched/fit.ts";
import { type CommandContext, type Execute, printJson, printLines } from "../context.ts";
import { findTask, runAndTask } from "../which-run.ts";

export const execute: Execute = async (context, args) => {
  const word = args.words.at(-1) ?? "";
  if (args.words.length === 1 && /\.ya?ml$|\//.test(word)) return await explainFile(context, word, args.on("json"));
  const archive = await context.archive();
  const { entry, task: key } = runAndTask(archive, args.words);
  const run = archive.run(entry);
  const task = findTask(run, key);
  const explanation = archive.explain(entry, key);
  if (args.on("json")) {
    printJson(context, { run: run.id, ...explanation, asked: task.asked, cacheKey: task.cacheKey });
    return 0;
  }
  const { style } = context;
  const lines = explanation === null ? [] : [...explanationLines(explanation)];
  for (const answer of explanation?.nodes ?? []) {
    const reasons = answer.reasons.map(describeReason).join("; ");
    const line = answer.fits ? `  fits ${printable(answer.node)}` : `  ${printable(answer.node)}: ${reasons}`;
    if (!lines.some((said) => said.includes(printable(answer.node)))) lines.push(style.dim(line));
  }
  if (task.cacheKey !== null) lines.push(style.dim(`  cache key ${task.cacheKey}; \`mesh why\` compares it`));
  printLines(context, lines);
  return 0;
};

async function explainFile(context: CommandContext, path: string, json: boolean): Promise<number> {
  const { explainDefinition } = await import("../explain-file.ts");
  return await explainDefinition(context, path, json);
}
