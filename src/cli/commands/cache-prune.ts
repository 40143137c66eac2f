// `mesh cache prune`: down to a size or an age, or rid of what is damaged.

import { MeshError } from "../../base/errors.ts";
import { countOf } from "../../base/text.ts";
import { formatBytes, parseBytes, parseDuration } from "../../base/units.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import type { Arguments } from "../grammar/arguments.ts";
import { printDamages } from "./cache-verify.ts";

export const execute: Execute = async (context, args) => {
  const json = args.on("json");
  const dryRun = args.on("dry-run");
  const toBytes = amount(args, "to", parseBytes, "0, 500mb or 20gb");
  const olderThanMs = amount(args, "older-than", parseDuration, "12h or 30d");
  const corrupt = args.on("corrupt");
  if (corrupt && dryRun)
    throw new MeshError("usage.invalid", "Cannot give --corrupt and --dry-run together", {
      hint: "What is damaged is dropped as it is found.",
    });
  const archive = await context.archive();
  const dropped = corrupt ? await archive.verify() : [];
  const pruned = await archive.prune({ toBytes, olderThanMs, dryRun });
  if (json) {
    printJson(context, { ...pruned, dropped, dryRun });
    return 0;
  }
  if (corrupt) printDamages(context, dropped);
  const what = `${countOf(pruned.results, "result")}, ${countOf(pruned.layers, "layer")} and ${countOf(pruned.blobs, "blob")}`;
  const left = context.style.dim(`${formatBytes(pruned.remainingBytes)} ${dryRun ? "would remain" : "remain"}.`);
  printLines(context, [`${dryRun ? "Would remove" : "Removed"} ${what}: ${formatBytes(pruned.freedBytes)}. ${left}`]);
  return 0;
};

function amount(
  args: Arguments,
  flag: string,
  parse: (text: string) => number | null,
  examples: string,
): number | null {
  const text = args.text(flag);
  if (text === null) return null;
  const value = parse(text);
  if (value === null)
    throw new MeshError("usage.invalid", `Cannot read --${flag} ${JSON.stringify(text)}`, {
      hint: `Write it like ${examples}.`,
    });
  return value;
}
