// `bun run bench`: measures everything the README claims, each beside its peer or its limit in the same run, prints the table
// and renews it in README.md. Names of parts ("runs", "context", "mesh", ...) measure only those and leave the README alone.

import { resolve } from "node:path";
import { contextRows } from "./context.ts";
import { contentRows } from "./content.ts";
import { layerRows } from "./layer.ts";
import { meshRows } from "./mesh.ts";
import { type Row, markdownTable } from "./row.ts";
import { runRows } from "./runs.ts";
import { scheduleRows } from "./schedule.ts";
import { transportRows } from "./transport.ts";

const PARTS: Readonly<Record<string, () => Promise<readonly Row[]>>> = {
  runs: () => runRows(),
  context: contextRows,
  layer: layerRows,
  schedule: scheduleRows,
  transport: transportRows,
  content: () => contentRows(),
  mesh: meshRows,
};
const README = resolve(import.meta.dir, "../README.md");

async function main(): Promise<void> {
  const asked = process.argv.slice(2);
  const unknown = asked.find((name) => !(name in PARTS));
  if (unknown !== undefined) throw new Error(`There is no part ${unknown}; there are ${Object.keys(PARTS).join(", ")}`);
  const rows: Row[] = [];
  for (const [name, measureRows] of Object.entries(PARTS)) {
    if (asked.length > 0 && !asked.includes(name)) continue;
    process.stderr.write(`measuring ${name} ...\n`);
    rows.push(...(await measureRows()));
  }
  const table = markdownTable(rows);
  process.stdout.write(table);
  if (asked.length === 0) await renewReadme(table);
}

async function renewReadme(table: string): Promise<void> {
  const text = await Bun.file(README).text();
  const renewed = text.replace(/(<!-- bench:begin -->\n)[\s\S]*?(<!-- bench:end -->)/, `$1\n${table}\n$2`);
  if (renewed !== text) await Bun.write(README, renewed);
}

await main();
