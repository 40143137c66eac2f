// `mesh cache stats`: what the cache holds and how much room it takes.

import { groupDigits, printable } from "../../base/text.ts";
import { formatBytes } from "../../base/units.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import { tableLines } from "../text/columns.ts";

export const execute: Execute = async (context, args) => {
  const stats = (await context.archive()).cacheStats();
  if (args.on("json")) {
    printJson(context, stats);
    return 0;
  }
  const columns = [{ title: "" }, { title: "COUNT", align: "right" }, { title: "SIZE", align: "right" }] as const;
  const rows = [
    ["results", groupDigits(stats.results), ""],
    ["runs", groupDigits(stats.runs), ""],
    ["layers", groupDigits(stats.layers.count), formatBytes(stats.layers.sizeBytes)],
    ["blobs", groupDigits(stats.blobs.count), formatBytes(stats.blobs.sizeBytes)],
    ["index", "", formatBytes(stats.indexBytes)],
    ["in all", "", formatBytes(stats.totalBytes)],
    ["limit", "", stats.limitBytes === null ? "none" : formatBytes(stats.limitBytes)],
  ];
  printLines(context, [
    ...tableLines(columns, rows, context.style.dim),
    "",
    context.style.dim(`in ${printable(stats.home)}`),
  ]);
  return 0;
};
