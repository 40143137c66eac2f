// Judges placing on workflow traces: how long each takes, beside the lower bound and beside HEFT, on equal and on unequal
// machines, with durations known exactly, learnt from earlier runs, and not known at all.

import { SeededRandom } from "../test/fake/seeded-random.ts";
import { heftMakespan } from "./heft.ts";
import { scheduledMakespan } from "./schedule.ts";
import { lowerBound, readWorkflows, type Workflow } from "./workflow.ts";

/** Speeds of the machines of each mesh, one task at a time on each. */
export const MESHES: Readonly<Record<string, readonly number[]>> = {
  "4 equal": Array.from({ length: 4 }, () => 1),
  "16 equal": Array.from({ length: 16 }, () => 1),
  "64 equal": Array.from({ length: 64 }, () => 1),
  unequal: [...repeat(2, 4), ...repeat(1, 8), ...repeat(0.5, 8)],
};

export interface Verdict {
  readonly workflow: string;
  /** HEFT's makespan over the lower bound. */
  readonly heft: number;
  /** Ours over the lower bound, durations known. */
  readonly ours: number;
  /** Ours over HEFT's. */
  readonly known: number;
  readonly learnt: number;
  readonly unknown: number;
}

/** One line per workflow. */
export function judge(workflows: readonly Workflow[], speeds: readonly number[]): readonly Verdict[] {
  return workflows.map((workflow) => {
    const bound = lowerBound(workflow, speeds);
    const heft = heftMakespan(workflow, speeds);
    const known = scheduledMakespan(workflow, speeds, knownMs(workflow));
    return {
      workflow: workflow.name,
      heft: heft / bound,
      ours: known / bound,
      known: known / heft,
      learnt: scheduledMakespan(workflow, speeds, learntMs(workflow)) / heft,
      unknown:
        scheduledMakespan(
          workflow,
          speeds,
          workflow.tasks.map(() => null),
        ) / heft,
    };
  });
}

/** Geometric mean. */
export function meanOf(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** A table per mesh, as text. */
export function judgeFolder(folder: string): string {
  const workflows = readWorkflows(folder);
  const tables = Object.entries(MESHES).map(([mesh, speeds]) => {
    const verdicts = judge(workflows, speeds);
    const mean = (of: (verdict: Verdict) => number) => meanOf(verdicts.map(of));
    const rows = [
      ...verdicts,
      {
        workflow: "geometric mean",
        heft: mean(({ heft }) => heft),
        ours: mean(({ ours }) => ours),
        known: mean(({ known }) => known),
        learnt: mean(({ learnt }) => learnt),
        unknown: mean(({ unknown }) => unknown),
      },
    ];
    const head = `${mesh.padEnd(44)} over the bound: HEFT   ours   over HEFT: known  learnt  unknown`;
    return [head, ...rows.map(rowText)].join("\n");
  });
  return `${tables.join("\n\n")}\n`;
}

function rowText({ workflow, heft, ours, known, learnt, unknown }: Verdict): string {
  const cell = (value: number, width: number) => value.toFixed(3).padStart(width);
  return `  ${workflow.padEnd(42)}${cell(heft, 21)}${cell(ours, 7)}${cell(known, 19)}${cell(learnt, 8)}${cell(unknown, 9)}`;
}

function knownMs({ tasks }: Workflow): readonly number[] {
  return tasks.map(({ seconds }) => Math.round(seconds * 1_000));
}

/** What an earlier run of the same tasks took: as long, give or take a third or so. */
function learntMs({ tasks }: Workflow): readonly number[] {
  const random = new SeededRandom(7);
  return tasks.map(({ seconds }) => {
    const noise = random.next() + random.next() + random.next() - 1.5;
    return Math.round(seconds * 1_000 * Math.exp(noise * 0.6));
  });
}

function repeat(speed: number, count: number): readonly number[] {
  return Array.from({ length: count }, () => speed);
}
