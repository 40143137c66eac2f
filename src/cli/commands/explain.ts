// `mesh explain`: why a task of a run is where it is, or what a run of a definition would do.

import { printable } from "../../base/text.ts";
import { describeAnswer, type Explanation, explanationLines, namesMachines } from "../../sched/explain.ts";
import type { TaskJson } from "../../sched/summary.ts";
import { machinesToAsk } from "../mesh-capacity.ts";
import { type CommandContext, type Execute, printJson, printLines } from "../context.ts";
import type { Style } from "../text/style.ts";
import { shortRun } from "../text/words.ts";
import { findTask, runAndTask } from "../which-run.ts";
import { askedWords } from "./results.ts";

export const execute: Execute = async (context, args) => {
  const word = args.words.at(-1) ?? "";
  if (args.words.length === 1 && /\.ya?ml$|\//.test(word)) return await explainFile(context, word, args.on("json"));
  const archive = await context.archive();
  const { entry, task: key } = runAndTask(archive, args.words);
  const run = archive.run(entry);
  const task = findTask(run, key);
  const explanation = archive.explain(entry, key, await machinesToAsk(context));
  if (args.on("json")) {
    printJson(context, { run: run.id, ...explanation, asked: task.asked, cacheKey: task.cacheKey });
    return 0;
  }
  printLines(context, taskLines({ explanation, task, interrupted: entry.interrupted }, context.style));
  return 0;
};

interface Explained {
  readonly explanation: Explanation | null;
  readonly task: TaskJson;
  readonly interrupted: boolean;
}

/** Why a task is where it is, for people. A run answered from the cache alone keeps no journal, hence no explanation. */
export function taskLines({ explanation, task, interrupted }: Explained, style: Style): readonly string[] {
  const lines =
    explanation === null
      ? [`${printable(task.key)}: ${hitWords(task)}`, ...task.messages.map(({ text }) => `  ${printable(text)}`)]
      : explanationLines(explanation).map(printable);
  if (interrupted) lines.push(style.yellow("  as its journal last knew: the process that drove the run is gone"));
  const asked = askedWords(task);
  const nodes = explanation === null || namesMachines(explanation) ? [] : explanation.nodes;
  const fit = nodes.map((answer) => `${printable(answer.node)}: ${printable(describeAnswer(answer))}`);
  if (asked !== "") lines.push(style.dim(`  asked for ${[asked, ...fit].join("; ")}`));
  if (task.cacheKey !== null) lines.push(style.dim(`  cache key ${task.cacheKey}; \`mesh why\` compares it`));
  return lines;
}

function hitWords({ status, cacheHitFrom }: TaskJson): string {
  if (cacheHitFrom !== null) return `answered from the cache; the result is from the run ${shortRun(cacheHitFrom)}`;
  return status.aborted ?? status.execution;
}

async function explainFile(context: CommandContext, path: string, json: boolean): Promise<number> {
  const { explainDefinition } = await import("../explain-file.ts");
  return await explainDefinition(context, path, json);
}
