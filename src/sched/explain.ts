// Why a task is where it is: what it waits for, why it was skipped or stopped, and where it could run. Data, and words.
// It reads a run machine and capacities and changes neither.

import { unreachable } from "../base/assert.ts";
import { countOf, sentenceList } from "../base/text.ts";
import type { Ask } from "./ask.ts";
import { describeReason, fits, type NodeCapacity, type Reason } from "./fit.ts";
import type { RunMachine } from "./run-machine.ts";
import type { SkipReason, TaskStatus, TaskView } from "./task-state.ts";

/** Most tasks that one explanation names. */
const NAMED = 10;

export interface Explanation {
  readonly key: string;
  readonly status: TaskStatus;
  readonly because: Because;
  /** What each machine says to what the task asks for; empty before that is known. */
  readonly nodes: readonly NodeAnswer[];
}

export type Because =
  /** The first `NAMED` tasks that are not final yet, and how many there are. */
  | { readonly kind: "waits"; readonly tasks: readonly string[]; readonly count: number }
  | { readonly kind: "resolving" }
  | { readonly kind: "same-key"; readonly task: string }
  | { readonly kind: "same-key-elsewhere"; readonly run: string }
  /** Ready: so many tasks are ready in all, and whether some machine could take it now. */
  | { readonly kind: "queued"; readonly ready: number; readonly fitsNow: boolean; readonly fitsEver: boolean }
  | { readonly kind: "runs"; readonly node: string; readonly attempt: number; readonly stopping: boolean }
  | { readonly kind: "subtasks"; readonly tasks: readonly string[]; readonly count: number }
  | { readonly kind: "hit"; readonly run: string }
  | {
      readonly kind: "executed";
      readonly node: string | null;
      readonly exitCode: number | null;
      readonly reason: string | null;
    }
  /** The reason, then the reason of the task it names, and so on to the first cause. */
  | {
      readonly kind: "skipped";
      readonly chain: readonly { readonly task: string; readonly reason: SkipReason }[];
      readonly cause: string | null;
    }
  | { readonly kind: "aborted"; readonly how: string; readonly message: string | null };

/** A machine that a task could go to, or could if it were there. */
export interface Candidate {
  readonly node: string;
  /** What it has; null when it never said. */
  readonly capacity: NodeCapacity | null;
  /** Why it takes nothing, whatever it has: "is down: no route to 10.0.0.7:7433"; null when it does. */
  readonly absence: string | null;
}

export interface NodeAnswer {
  readonly node: string;
  readonly fits: boolean;
  /** Whether it would fit when idle, and there. */
  readonly ever: boolean;
  readonly absence: string | null;
  readonly reasons: readonly Reason[];
}

/** Explains one task of a run; null when the run has no such task. */
export function explain(machine: RunMachine, key: string, nodes: readonly Candidate[]): Explanation | null {
  const task = machine.task(key);
  if (task === null) return null;
  const answers = task.ask === null ? [] : answersOf(task.ask, nodes);
  return { key, status: task.status, because: because(machine, task, answers), nodes: answers };
}

/** What machines say to an ask, by name. */
export function answersOf(ask: Ask, nodes: readonly Candidate[]): readonly NodeAnswer[] {
  const answers = nodes.map(({ node, capacity, absence }): NodeAnswer => {
    if (capacity === null) return { node, fits: false, ever: false, absence, reasons: [] };
    const fit = fits(ask, capacity);
    if (fit.fits) return { node, fits: absence === null, ever: true, absence, reasons: [] };
    // what others hold there does not matter while it is not there
    const reasons = absence === null ? fit.reasons : fit.reasons.filter(({ scope }) => scope === "total");
    return { node, fits: false, ever: fit.ever, absence, reasons };
  });
  return answers.sort((a, b) => (a.node < b.node ? -1 : a.node > b.node ? 1 : 0));
}

/** Whether some machine that is there would take it, now or when it is idle. */
export function fitsSomewhere(answers: readonly NodeAnswer[]): boolean {
  return answers.some(({ ever, absence }) => ever && absence === null);
}

/** What a machine says, for people: "fits now", "lacks the label ssd", "would fit, but is down: silent for 4.2 s". */
export function describeAnswer({ fits: fitsNow, ever, absence, reasons }: NodeAnswer): string {
  if (fitsNow) return "fits now";
  const words = sentenceList(reasons.map(describeReason));
  if (absence === null) return words;
  if (ever) return `would fit, but ${absence}`;
  return words === "" ? absence : `${absence}; ${words}`;
}

/** An explanation for people: the state first, then a line per machine that refuses. */
export function explanationLines(explanation: Explanation): readonly string[] {
  const lines = [`${explanation.key}: ${becauseWords(explanation.because)}`];
  if (!namesMachines(explanation)) return lines;
  for (const answer of explanation.nodes) lines.push(`  ${answer.node}: ${describeAnswer(answer)}`);
  return lines;
}

/** Whether its lines say what each machine says: where a task waits for one, or was refused by all. */
export function namesMachines({ because: { kind } }: Explanation): boolean {
  return kind === "queued" || kind === "aborted";
}

/** A skip reason for people: "build, which it uses, failed". */
export function describeSkip(reason: SkipReason): string {
  switch (reason.kind) {
    case "need":
      return `${reason.task}, which it needs, ${wasWords(reason.was)}`;
    case "after":
      return `${reason.task}, which it comes after, ${wasWords(reason.was)}`;
    case "after-condition":
      return `the condition of its \`after\` does not hold for ${sentenceList(reason.tasks)}`;
    case "if":
      return "its `if` is false";
    case "fail-fast":
      return `not reached: the run stopped when ${reason.task} failed`;
    default:
      return unreachable(reason);
  }
}

function because(machine: RunMachine, task: TaskView, answers: readonly NodeAnswer[]): Because {
  switch (task.phase) {
    case "waiting":
      return { kind: "waits", ...openTasks(machine, [...task.graph.needs, ...task.graph.after]) };
    case "resolving":
      return { kind: "resolving" };
    case "twin":
      return { kind: "same-key", task: machine.twinOf(task)?.key ?? task.key };
    case "deferred":
      return { kind: "same-key-elsewhere", run: task.deferredTo ?? "" };
    case "ready": {
      const fitsNow = answers.some((answer) => answer.fits);
      return { kind: "queued", ready: machine.ready.size, fitsNow, fitsEver: fitsSomewhere(answers) };
    }
    case "placed":
    case "running":
      return { kind: "runs", node: task.node ?? "", attempt: task.attempt, stopping: task.stopping !== null };
    case "settling":
      return { kind: "subtasks", ...openTasks(machine, task.children) };
    case "final":
      return endOf(machine, task);
    default:
      return unreachable(task.phase);
  }
}

function endOf(machine: RunMachine, task: TaskView): Because {
  if (task.skip !== null) return { kind: "skipped", ...causesOf(machine, task) };
  if (task.status.finished === "cacheHit") return { kind: "hit", run: task.hitFrom ?? "" };
  if (task.status.finished === "executed")
    return { kind: "executed", node: task.node, exitCode: task.exitCode, reason: task.reason };
  return { kind: "aborted", how: task.status.aborted ?? "cancelled", message: task.refusal?.message ?? task.message };
}

function openTasks(
  machine: RunMachine,
  indexes: readonly number[],
): { readonly tasks: readonly string[]; readonly count: number } {
  const open = [...new Set(indexes)]
    .map((index) => machine.tasks[index])
    .filter((task) => task !== undefined && task.phase !== "final");
  return { tasks: open.slice(0, NAMED).map((task) => task?.key ?? ""), count: open.length };
}

/** Follows skips to the task that began it: one that failed or was stopped, or whose own condition was false. */
function causesOf(machine: RunMachine, from: TaskView): Omit<Because & { readonly kind: "skipped" }, "kind"> {
  const chain: { readonly task: string; readonly reason: SkipReason }[] = [];
  let cause: string | null = null;
  for (let task: TaskView | null = from; task?.skip; task = cause === null ? null : machine.task(cause)) {
    const { skip } = task as TaskView & { readonly skip: SkipReason };
    if (chain.length < NAMED) chain.push({ task: task.key, reason: skip });
    if (!("task" in skip)) {
      cause = task.key;
      break;
    }
    cause = skip.task;
  }
  return { chain, cause };
}

function becauseWords(because: Because): string {
  switch (because.kind) {
    case "waits":
      return `waits for ${namesAndRest(because.tasks, because.count)}`;
    case "resolving":
      return "its cache key is being computed";
    case "same-key":
      return `waits for ${because.task}, which has the same cache key`;
    case "same-key-elsewhere":
      return `waits for the run ${because.run}, in which the same cache key runs`;
    case "queued":
      if (because.fitsNow) return "will be placed in the next round";
      return because.fitsEver ? `waits for room; ${countOf(because.ready, "task")} ready` : "no machine fits";
    case "runs":
      return `${because.stopping ? "is being stopped" : "runs"} on ${because.node}${because.attempt > 1 ? `, attempt ${because.attempt}` : ""}`;
    case "subtasks":
      return `is done itself; waits for tasks that it added: ${namesAndRest(because.tasks, because.count)}`;
    case "hit":
      return `answered from the cache; the result is from the run ${because.run}`;
    case "executed":
      return `executed${because.node === null ? "" : ` on ${because.node}`}, ${because.reason ?? `exit code ${because.exitCode ?? "unknown"}`}`;
    case "skipped":
      return `skipped: ${because.chain.map((link) => describeSkip(link.reason)).join("; ")}`;
    case "aborted":
      return `aborted: ${because.how}${because.message === null ? "" : ` (${because.message})`}`;
    default:
      return unreachable(because);
  }
}

function namesAndRest(names: readonly string[], count: number): string {
  return count > names.length ? `${names.join(", ")} and ${count - names.length} more` : sentenceList(names);
}

function wasWords(was: "failed" | "aborted" | "skipped"): string {
  return was === "failed" ? "failed" : `was ${was}`;
}
