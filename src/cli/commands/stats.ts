// `mesh stats`: the mesh as a whole.

import { formatBytes, formatCpus } from "../../base/units.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import { type MeshTotals, meshTotals } from "../view/node-table.ts";

export const execute: Execute = async (context, args) => {
  const service = await context.service();
  const [peers, runs] = await Promise.all([service.peers(), service.activeRuns()]);
  const totals = meshTotals(peers);
  if (args.on("json")) printJson(context, { ...totals, activeRuns: runs.length });
  else printLines(context, statsLines(totals, runs.length));
  return 0;
};

export function statsLines(totals: MeshTotals, activeRuns: number): readonly string[] {
  const { members, up, cpuMilli, memoryBytes, gpus, runningTasks, blobs } = totals;
  return [
    `Machines  ${up} of ${members} up`,
    `CPUs      ${formatCpus(cpuMilli.free)} of ${formatCpus(cpuMilli.total)} free`,
    `Memory    ${formatBytes(memoryBytes.free)} of ${formatBytes(memoryBytes.total)} free`,
    ...(gpus.total === 0 ? [] : [`GPUs      ${gpus.free} of ${gpus.total} free`]),
    `Tasks     ${runningTasks} running, of ${activeRuns} run${activeRuns === 1 ? "" : "s"}`,
    `Blobs     ${blobs.count}, ${formatBytes(blobs.bytes)}`,
  ];
}
