// `mesh artifacts list`: what tasks of a run put out.

import { printable } from "../../base/text.ts";
import { formatBytes } from "../../base/units.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import { tableLines } from "../text/columns.ts";
import { shortRun } from "../text/words.ts";
import { artifactsOf } from "../artifacts.ts";

export const execute: Execute = async (context, args) => {
  const archive = await context.archive();
  const { entry, found } = artifactsOf(archive, args.words);
  if (args.on("json")) {
    printJson(context, { run: entry.id, artifacts: found.map(({ task, artifact }) => ({ task, ...artifact })) });
    return 0;
  }
  if (found.length === 0) {
    printLines(context, [`No artifacts in run ${shortRun(entry.id)}.`]);
    return 0;
  }
  const columns = [
    { title: "TASK", most: 40 },
    { title: "KEY", most: 30 },
    { title: "NAME", most: 40 },
    { title: "SIZE", align: "right" },
  ] as const;
  const rows = found.map(({ task, artifact }) => [
    printable(task),
    printable(artifact.key),
    printable(artifact.name) + (artifact.kind === "directory" ? "/" : ""),
    formatBytes(artifact.sizeBytes),
  ]);
  printLines(context, tableLines(columns, rows, context.style.dim));
  return 0;
};
