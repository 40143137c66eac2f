// `mesh top`: machines and runs, again each second.

import { printable } from "../../base/text.ts";
import { formatDuration } from "../../base/units.ts";
import type { PeerView } from "../../mesh/peer-view.ts";
import type { ActiveRun } from "../../node/node-service.ts";
import { type CommandContext, type Execute, printJson, printLines } from "../context.ts";
import { tableLines } from "../text/columns.ts";
import { nodeJson } from "../text/mesh-words.ts";
import type { Style } from "../text/style.ts";
import { shortRun } from "../text/words.ts";
import { meshTotals, nodeTable } from "../view/node-table.ts";
import { Screen } from "../view/screen.ts";
import { statsLines } from "./stats.ts";

const REFRESH_MS = 1_000;

export const execute: Execute = async (context, args) => {
  const service = await context.service();
  const times = args.integer("count") ?? Number.POSITIVE_INFINITY;
  const stop = Promise.withResolvers<true>();
  context.onInterrupt(() => stop.resolve(true));
  context.onReaderGone(() => stop.resolve(true));
  const screen =
    args.on("json") || !context.stdout.isTerminal
      ? null
      : new Screen({ write: (text) => context.stdout.write(text), size: context.terminalSize });
  try {
    for (let shown = 1; ; shown++) {
      const [peers, runs] = await Promise.all([service.peers(), service.activeRuns()]);
      if (args.on("json"))
        printJson(context, { at: new Date(context.now.unixMs()).toISOString(), nodes: peers.map(nodeJson), runs });
      else if (screen === null) printLines(context, [lineOf(peers, runs)]);
      else screen.update([], picture(context, peers, runs));
      context.stdout.flush();
      if (shown >= times || (await Promise.race([stop.promise, Bun.sleep(REFRESH_MS)])) === true) return 0;
    }
  } finally {
    screen?.close([]);
  }
};

function picture(context: CommandContext, peers: readonly PeerView[], runs: readonly ActiveRun[]): readonly string[] {
  const { style, now } = context;
  return [
    ...nodeTable(peers, { style, wide: false }),
    "",
    ...(runs.length === 0 ? [style.dim("No run goes on.")] : runLines(runs, now.unixMs(), style)),
  ];
}

function runLines(runs: readonly ActiveRun[], nowMs: number, style: Style): readonly string[] {
  const columns = [
    { title: "RUN" },
    { title: "TITLE", most: 40 },
    { title: "FROM" },
    { title: "TASKS", align: "right" },
    { title: "SINCE", align: "right" },
  ] as const;
  return tableLines(
    columns,
    runs.map(({ id, title, coordinator, finished, tasks, startedAtMs }) => [
      shortRun(id),
      printable(title),
      printable(coordinator),
      `${finished}/${tasks}`,
      formatDuration(Math.max(0, nowMs - startedAtMs)),
    ]),
    style.dim,
  );
}

/** One line, for a log. */
function lineOf(peers: readonly PeerView[], runs: readonly ActiveRun[]): string {
  return statsLines(meshTotals(peers), runs.length)
    .map((line) => line.replace(/ {2,}/, " "))
    .join("; ");
}
