// `mesh retry [RUN]`: the definition of an earlier run once more, with the same options.

import { MeshError } from "../../base/errors.ts";
import { printable } from "../../base/text.ts";
import { type Execute, printLines } from "../context.ts";
import { driveRun } from "../driving.ts";
import { shortRun } from "../text/words.ts";
import { findRun } from "../which-run.ts";

export const execute: Execute = async (context, args) => {
  const archive = await context.archive();
  const entry = findRun(archive, args.words[0] ?? null);
  const wish = archive.wish(entry);
  if (wish === null) {
    throw new MeshError("run.not-found", `Cannot run ${shortRun(entry.id)} again: how it was started was not kept`, {
      hint: `\`mesh run ${printable(entry.definition)}\` runs its definition.`,
    });
  }
  const json = args.on("json");
  if (!json)
    printLines(context, [context.style.dim(`Running ${printable(entry.definition)} as in run ${shortRun(entry.id)}`)]);
  return await driveRun(context, wish, { json, plain: args.on("plain") });
};
