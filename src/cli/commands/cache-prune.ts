// `mesh cache prune`: down to a size, or rid of what is damaged.

import { MeshError } from "../../base/errors.ts";
import { countOf } from "../../base/text.ts";
import { formatBytes, parseBytes } from "../../base/units.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import { damageLine } from "./cache-verify.ts";

export const execute: Execute = async (context, args) => {
  const json = args.on("json");
  const dryRun = args.on("dry-run");
  const toBytes = sizeOf(args.text("to"));
  const archive = await context.archive();
  const dropped = args.on("corrupt") ? await archive.verify({ drop: !dryRun }) : [];
  if (args.on("corrupt") && args.text("to") === null) {
    if (json) printJson(context, { dropped, dryRun });
    else printLines(context, [...dropped.map((damage) => damageLine(damage, context.style)), `${dryRun ? "Would drop" : "Dropped"} ${countOf(dropped.length, "damaged thing")}.`]);
    return 0;
  }
  const pruned = await archive.prune({ toBytes, dryRun });
  if (json) printJson(context, { ...pruned, dropped, dryRun });
  else {
    const what = `${countOf(pruned.results, "result")}, ${countOf(pruned.layers, "layer")} and ${countOf(pruned.blobs, "blob")}`;
    printLines(context, [`${dryRun ? "Would remove" : "Removed"} ${what}: ${formatBytes(pruned.freedBytes)}.`]);
  }
  return 0;
};

function sizeOf(text: string | null): number | null {
  if (text === null) return null;
  const bytes = parseBytes(text);
  if (bytes === null) throw new MeshError("usage.invalid", `Cannot read --to ${JSON.stringify(text)}: a size is expected`, { hint: "For example 0, 500mb or 20gb." });
  return bytes;
}
