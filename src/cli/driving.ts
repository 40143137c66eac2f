// Driving one run from the terminal: which reporter shows it, what Ctrl-C does, which exit code it ends with.
// Shared by `mesh run` and `mesh retry`.

import { resolve } from "node:path";
import { ERROR_CODES, type ErrorCode } from "../base/errors.ts";
import type { RunOutcome } from "../node/node.ts";
import type { NodeService } from "../node/node-service.ts";
import type { RunObserver } from "../node/observer.ts";
import type { RunOptions } from "../node/run-options.ts";
import type { RunJson } from "../sched/summary.ts";
import { type CommandContext, printJson, printLines } from "./context.ts";
import type { Checked } from "./diagnostics.ts";
import { shellLine, shortRun } from "./text/words.ts";
import type { RunReporter } from "./view/reporter.ts";

/** What the user asked for, without the wires. */
export type RunWish = RunOptions;

export interface RunShow {
  readonly json: boolean;
  /** Lines also on a terminal. */
  readonly plain: boolean;
}

/** How long a kill may take before the process ends all the same; contexts die with it. */
const KILL_WAIT_MS = 2_000;

const EXIT_INTERRUPTED = ERROR_CODES["run.interrupted"].exit;

/** Runs and shows. Returns the exit code. Throws what stops a run as a whole. */
export async function driveRun(context: CommandContext, wish: RunWish, show: RunShow): Promise<number> {
  const node = await context.node();
  const reporter = await makeReporter(context, show);
  const cancel = new AbortController();
  const kill = new AbortController();
  const interrupt = (times: number) => {
    if (times > 2) return context.exitNow(EXIT_INTERRUPTED);
    reporter.interrupted(times);
    if (times === 1) return cancel.abort();
    kill.abort();
    setTimeout(() => {
      reporter.close();
      context.exitNow(EXIT_INTERRUPTED);
    }, KILL_WAIT_MS).unref();
  };
  context.onInterrupt(interrupt);
  // nobody sees the run any more: what a signal would do to a program that does not care
  context.onReaderGone(() => cancel.abort());
  if (wish.backend === "process") {
    reporter.notice?.(
      "warning",
      "--isolation process: tasks run as you, on your files and network. Nothing is isolated.",
    );
  }
  return await showToEnd(context, { reporter, show, rerun: rerunCommand(wish) }, (observer) =>
    node.run({ ...wish, observer, signal: cancel.signal, killSignal: kill.signal }),
  );
}

/** Watches a run that goes on somewhere in the mesh. Ctrl-C ends the watching alone. Returns the run's exit code. */
export async function watchAndShow(
  context: CommandContext,
  service: Pick<NodeService, "watchRun">,
  { run, show }: { readonly run: string; readonly show: RunShow },
): Promise<number> {
  const reporter = await makeReporter(context, show);
  const stop = new AbortController();
  context.onInterrupt(() => stop.abort());
  context.onReaderGone(() => stop.abort());
  try {
    const rerun = shellLine(["mesh", "retry", run]);
    return await showToEnd(context, { reporter, show, rerun }, (observer) =>
      service.watchRun(run, observer, stop.signal),
    );
  } catch (error) {
    if (stop.signal.aborted) return EXIT_INTERRUPTED;
    throw error;
  }
}

/** Leaves a run to the node in the background. Returns the exit code: 0 when it has started. */
export async function submitRun(
  context: CommandContext,
  service: Pick<NodeService, "submit">,
  { wish, json }: { readonly wish: RunWish; readonly json: boolean },
): Promise<number> {
  const submitted = await service.submit({ ...wish, path: resolve(context.cwd, wish.path) });
  if (submitted.kind === "invalid") {
    const { refuseDefinition } = await import("./diagnostics.ts");
    return refuseDefinition(context, checkedOf(submitted), json);
  }
  if (json) printJson(context, { run: submitted.id, title: submitted.title });
  else
    printLines(context, [
      submitted.id,
      ...(context.stdout.isTerminal
        ? [context.style.dim(`\`mesh attach ${shortRun(submitted.id)}\` watches it.`)]
        : []),
    ]);
  return 0;
}

interface Showing {
  readonly reporter: RunReporter;
  readonly show: RunShow;
  /** The command line that does this again. */
  readonly rerun: string;
}

/** Shows a run until it has ended. Returns its exit code. */
async function showToEnd(
  context: CommandContext,
  { reporter, show, rerun }: Showing,
  drive: (observer: RunObserver) => Promise<RunOutcome>,
): Promise<number> {
  try {
    const refusals = new Set<ErrorCode>();
    const outcome = await drive(watching(reporter, refusals));
    if (outcome.kind === "invalid") {
      reporter.close();
      const { refuseDefinition } = await import("./diagnostics.ts");
      return refuseDefinition(context, checkedOf(outcome), show.json);
    }
    if (outcome.diagnostics.length > 0 && !show.json) {
      const { showRemarks } = await import("./diagnostics.ts");
      showRemarks(context, checkedOf(outcome));
    }
    reporter.finished(outcome.summary, { command: rerun });
    return exitCodeOf(outcome.summary, refusals);
  } finally {
    reporter.close();
  }
}

/**
 * 0 succeeded, 1 failed, 130 when it was stopped. A run whose only failures are tasks that were refused, all for one
 * reason (`refusals`), ends with the exit code of that: 3 when no machine fits.
 */
export function exitCodeOf(summary: RunJson, refusals: ReadonlySet<ErrorCode> = new Set()): number {
  if (summary.status.result === "failed") {
    const failed = summary.tasks.filter((task) => task.status.result === "failed");
    const [code] = refusals;
    const refusedAlone = refusals.size === 1 && failed.every((task) => task.status.aborted === "refused");
    return refusedAlone && code !== undefined ? ERROR_CODES[code].exit : ERROR_CODES["run.failed"].exit;
  }
  return summary.status.execution === "aborted" ? EXIT_INTERRUPTED : 0;
}

/** The reporter, and a note of why tasks were refused. */
function watching(reporter: RunReporter, refusals: Set<ErrorCode>): RunObserver {
  return {
    event(event) {
      if (event.kind === "task-refused") refusals.add(event.refusal.code);
      reporter.event?.(event);
    },
    output: (task, stream, bytes) => reporter.output?.(task, stream, bytes),
    notice: (level, text) => reporter.notice?.(level, text),
  };
}

function checkedOf({ file, diagnostics }: Pick<RunOutcome, "file" | "diagnostics">): Checked {
  return { file: file.path, text: file.text, diagnostics };
}

async function makeReporter(context: CommandContext, { json, plain }: RunShow): Promise<RunReporter> {
  if (json) {
    const { JsonReporter } = await import("./view/json-reporter.ts");
    return new JsonReporter(context.stdout, context.now.unixMs);
  }
  if (plain || !context.stdout.isTerminal || context.env["TERM"] === "dumb") {
    const { PlainReporter } = await import("./view/plain-reporter.ts");
    return new PlainReporter(context.stdout, context.style, context.now.monotonicMs);
  }
  const { LiveReporter } = await import("./view/live-reporter.ts");
  return new LiveReporter({
    terminal: { write: (text) => context.stdout.write(text), size: context.terminalSize },
    style: context.style,
    now: context.now.monotonicMs,
    ticker: (everyMs, tick) => {
      const timer = setInterval(tick, everyMs);
      timer.unref();
      return () => clearInterval(timer);
    },
  });
}

/** The command line that does this again, without targets. */
function rerunCommand({ path, init, base, cache, backend }: RunWish): string {
  return shellLine([
    "mesh",
    "run",
    path,
    ...Object.entries(init).flatMap(([name, value]) => ["--init", `${name}=${value}`]),
    ...(base === null ? [] : ["--base", base]),
    ...(cache ? [] : ["--no-cache"]),
    ...(backend === "process" ? ["--isolation", "process"] : []),
  ]);
}
