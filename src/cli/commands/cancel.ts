// `mesh cancel RUN`: asks the process that drives a run to stop it.

import { MeshError } from "../../base/errors.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import { shortRun } from "../text/words.ts";
import { findRun } from "../which-run.ts";

export const execute: Execute = async (context, args) => {
  const archive = await context.archive();
  const entry = findRun(archive, args.words[0] ?? null);
  const over = entry.status.execution === "finished" || entry.status.execution === "aborted";
  if (over || !archive.cancel(entry)) {
    throw new MeshError("run.not-found", `Cannot cancel run ${shortRun(entry.id)}: no process drives it any more`, {
      hint: "`mesh runs list` shows which runs go on.",
    });
  }
  if (args.on("json")) printJson(context, { run: entry.id, cancelling: true });
  else printLines(context, [`Asked run ${shortRun(entry.id)} to stop. Its tasks have their grace period to end.`]);
  return 0;
};
