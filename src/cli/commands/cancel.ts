// `mesh cancel RUN`: asks whoever drives a run to stop it: another process of this machine, or another machine.

import { MeshError } from "../../base/errors.ts";
import { type CommandContext, type Execute, printJson, printLines } from "../context.ts";
import { shortRun } from "../text/words.ts";
import { findRun } from "../which-run.ts";

export const execute: Execute = async (context, args) => {
  const named = args.words[0] ?? "";
  const id = (await cancelHere(context, named)) ?? (await cancelInMesh(context, named));
  if (args.on("json")) printJson(context, { run: id, cancelling: true });
  else printLines(context, [`Asked run ${shortRun(id)} to stop. Its tasks have their grace period to end.`]);
  return 0;
};

/** The run's id; null when this machine does not know such a run. */
async function cancelHere(context: CommandContext, named: string): Promise<string | null> {
  const archive = await context.archive();
  const found = archive.startingWith(named);
  if (found.length === 0 && (await (await context.seat()).membership()) !== null) return null;
  const entry = findRun(archive, named);
  const over = entry.status.execution === "finished" || entry.status.execution === "aborted";
  if (!over && archive.cancel(entry)) return entry.id;
  throw new MeshError("run.not-found", `Cannot cancel run ${shortRun(entry.id)}: no process drives it any more`, {
    hint: "`mesh runs list` shows which runs go on.",
  });
}

async function cancelInMesh(context: CommandContext, named: string): Promise<string> {
  const service = await context.service();
  return (await service.cancelRun(named, false)).id;
}
