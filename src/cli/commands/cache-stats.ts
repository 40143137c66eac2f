// `mesh cache stats`: what the cache holds and how much room it takes.

import { printable } from "../../base/text.ts";
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
    ["results", stats.results.toLocaleString("en"), ""],
    ["runs", stats.runs.toLocaleString("en"), ""],
    ["layers", stats.layers.count.toLocaleString("en"), formatBytes(stats.layers.sizeBytes)],
    ["blobs", stats.blobs.count.toLocaleString("en"), formatBytes(stats.blobs.sizeBytes)],
    ["index", "", formatBytes(stats.indexBytes)],
    ["in all", "", formatBytes(stats.totalBytes)],
  ];
  printLines(context, [...tableLines(columns, rows, context.style.dim), "", context.style.dim(`in ${printable(stats.home)}`)]);
  return 0;
};
