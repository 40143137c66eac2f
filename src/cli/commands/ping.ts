// `mesh ping NODE`: round trips over the mesh's own connection.

import { ERROR_CODES, MeshError } from "../../base/errors.ts";
import { printable } from "../../base/text.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import { addressWords } from "../text/mesh-words.ts";

const USUAL_COUNT = 5;
const MOST = 100;

export const execute: Execute = async (context, args) => {
  const count = args.integer("count") ?? USUAL_COUNT;
  if (count < 1 || count > MOST)
    throw new MeshError("usage.invalid", `Cannot ping ${count} times: 1 to ${MOST} are possible`);
  const stop = new AbortController();
  context.onInterrupt(() => stop.abort());
  const service = await context.service();
  const report = await service.ping(args.words[0] ?? "", count, stop.signal);
  const answered = report.rttMs.filter((ms) => ms !== null);
  if (args.on("json")) printJson(context, report);
  else {
    const where = report.address === null ? "" : ` at ${addressWords(report.address)}`;
    printLines(context, [
      ...report.rttMs.map(
        (ms) => `${printable(report.name)}${where}: ${ms === null ? "no answer" : `${ms.toFixed(2)} ms`}`,
      ),
      ...(report.reason === null ? [] : [`It is missing: ${printable(report.reason)}`]),
      `${answered.length} of ${report.rttMs.length} answered${summaryOf(answered)}`,
    ]);
  }
  return answered.length > 0 ? 0 : ERROR_CODES["peer.unreachable"].exit;
};

function summaryOf(rttMs: readonly number[]): string {
  if (rttMs.length === 0) return "";
  const sorted = rttMs.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(2);
  return `; least ${at(0)} ms, median ${at(0.5)} ms, most ${at(1)} ms`;
}
