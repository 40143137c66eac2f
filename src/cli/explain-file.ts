// What a run of a definition would do, told without running it: the order, the longest path, and which tasks can never fit
// a machine. Amounts that are expressions are known only when the run comes to them.

import { printable, sentenceList } from "../base/text.ts";
import { formatDuration, parseBytes, parseCpus } from "../base/units.ts";
import { loadDefinition } from "../node/definition-file.ts";
import { taskNodes } from "../node/task-nodes.ts";
import { makeAsk } from "../sched/ask.ts";
import { answersOf, type Candidate, describeAnswer, fitsSomewhere, type NodeAnswer } from "../sched/explain.ts";
import { TaskGraph } from "../sched/graph.ts";
import type { TaskNode } from "../sched/task-node.ts";
import type { Task, Template } from "../spec/definition.ts";
import { type CommandContext, printJson, printLines } from "./context.ts";
import { machinesToAsk } from "./mesh-capacity.ts";
import { refuseDefinition } from "./diagnostics.ts";
import { tableLines } from "./text/columns.ts";
import type { Style } from "./text/style.ts";

interface PlannedTask {
  readonly key: string;
  readonly type: string;
  readonly needs: readonly string[];
  readonly after: readonly string[];
  /** How many tasks must be over before it at the earliest. */
  readonly step: number;
  readonly expectedMs: number | null;
  readonly onLongestPath: boolean;
  /** Whether one machine that is there would take it, now or when it is idle. */
  readonly fits: boolean;
  /** What each machine says, by name. */
  readonly nodes: readonly NodeAnswer[];
}

export interface Plan {
  readonly definition: string;
  readonly tasks: readonly PlannedTask[];
  readonly longestPath: readonly string[];
  /** null while nothing is known of how long tasks take. */
  readonly longestPathMs: number | null;
}

/** Prints the plan of the definition at `path`. Returns 2 when it is not valid and 3 when some task fits nowhere. */
export async function explainDefinition(context: CommandContext, path: string, json: boolean): Promise<number> {
  const loaded = await loadDefinition(path, null);
  if (!loaded.ok)
    return refuseDefinition(context, { file: path, text: loaded.file.text, diagnostics: loaded.diagnostics }, json);
  const archive = await context.archive();
  const { file, definition } = loaded;
  const expected = archive.expectedMs(
    file.absolutePath,
    definition.tasks.map(({ key }) => key),
  );
  const nodes = taskNodes(definition, (key) => expected.get(key) ?? null);
  const plan = makePlan(path, nodes, definition.tasks, await machinesToAsk(context));
  if (json) printJson(context, plan);
  else printLines(context, planLines(plan, context.style));
  return plan.tasks.every((task) => task.fits) ? 0 : 3;
}

/** The plan as data. Pure. */
export function makePlan(
  definition: string,
  nodes: readonly TaskNode[],
  tasks: readonly Task[],
  machines: readonly Candidate[],
): Plan {
  const graph = new TaskGraph();
  graph.add(nodes);
  const steps = stepsOf(graph);
  const path = longestPath(graph);
  const known = nodes.some((node) => node.expectedMs !== null);
  return {
    definition,
    tasks: nodes.map((node, index): PlannedTask => {
      const answers = answersOf(askOf(tasks.find(({ key }) => key === node.key)), machines);
      return {
        key: node.key,
        type: node.type,
        needs: node.needs,
        after: node.after.tasks,
        step: steps[index] ?? 1,
        expectedMs: node.expectedMs,
        onLongestPath: path.includes(node.key),
        fits: fitsSomewhere(answers),
        nodes: answers,
      };
    }),
    longestPath: path,
    longestPathMs: known ? Math.max(0, ...graph.tasks.map((task) => task.rankMs)) : null,
  };
}

/** The plan for people. */
export function planLines(plan: Plan, style: Style): readonly string[] {
  const columns = [
    { title: "STEP", align: "right" },
    { title: "TASK", most: 40 },
    { title: "USUALLY", align: "right" },
    { title: "WAITS FOR", most: 60 },
  ] as const;
  const rows = [...plan.tasks]
    .sort((a, b) => a.step - b.step)
    .map((task) => [
      String(task.step),
      task.onLongestPath ? style.bold(printable(task.key)) : printable(task.key),
      task.expectedMs === null ? "" : formatDuration(task.expectedMs),
      style.dim(printable(sentenceList([...new Set([...task.needs, ...task.after])]))),
    ]);
  const lines = [...tableLines(columns, rows, style.dim), ""];
  const took = plan.longestPathMs === null ? "" : `, about ${formatDuration(plan.longestPathMs)}`;
  lines.push(`Longest path: ${plan.longestPath.map(printable).join(" > ")}${took}`);
  for (const task of plan.tasks) {
    if (task.fits) continue;
    lines.push(`${style.red("✗")} ${printable(task.key)} fits no machine`);
    for (const answer of task.nodes) lines.push(`    ${printable(answer.node)}: ${printable(describeAnswer(answer))}`);
  }
  return lines;
}

/** The earliest step of each task, by index, from 1. */
function stepsOf(graph: TaskGraph): readonly number[] {
  const steps = graph.tasks.map(() => 1);
  const open = graph.tasks.map((task) => new Set([...task.needs, ...task.after]).size);
  const queue = graph.tasks.filter((task) => open[task.index] === 0);
  for (let task = queue.pop(); task !== undefined; task = queue.pop()) {
    for (const index of new Set([...task.neededBy, ...task.followedBy])) {
      steps[index] = Math.max(steps[index] ?? 1, (steps[task.index] ?? 1) + 1);
      open[index] = (open[index] ?? 0) - 1;
      const next = graph.tasks[index];
      if (open[index] === 0 && next) queue.push(next);
    }
  }
  return steps;
}

function longestPath(graph: TaskGraph): readonly string[] {
  const path: string[] = [];
  let at = graph.tasks.reduce<(typeof graph.tasks)[number] | null>(
    (best, task) => (best === null || task.rankMs > best.rankMs ? task : best),
    null,
  );
  while (at !== null) {
    path.push(at.node.key);
    let next: typeof at | null = null;
    for (const index of [...at.neededBy, ...at.followedBy]) {
      const candidate = graph.tasks[index] ?? null;
      if (candidate !== null && (next === null || candidate.rankMs > next.rankMs)) next = candidate;
    }
    at = next;
  }
  return path;
}

function askOf(task: Task | undefined): ReturnType<typeof makeAsk> {
  if (task?.kind !== "command") return makeAsk({});
  const { agent } = task;
  return makeAsk({
    cpuMilli: amount(agent.cpus, parseCpus),
    memoryBytes: amount(agent.memory, parseBytes),
    diskBytes: amount(agent.disk, parseBytes),
    gpus: amount(agent.gpu, wholeNumber),
    gpuMemoryBytes: amount(agent.gpuMemory, parseBytes),
    os: agent.os,
    arch: agent.arch,
    labels: agent.labels,
    node: agent.node,
  });
}

function wholeNumber(text: string): number | null {
  return /^\d{1,6}$/.test(text) ? Number(text) : null;
}

function amount(text: Template | null, parse: (text: string) => number | null): number {
  return typeof text === "string" ? (parse(text) ?? 0) : 0;
}
