// What shows a run while it goes and when it is over. Three of them: the live view, plain lines, JSON lines.

import { printable } from "../../base/text.ts";
import type { RunObserver } from "../../node/observer.ts";
import type { RunJson } from "../../sched/summary.ts";

export interface RunReporter extends RunObserver {
  /** The first call: tasks are being stopped within their grace period; the next: they are killed. */
  interrupted(times: number): void;
  /** The run is over. The last call but `close`. */
  finished(summary: RunJson, rerun: RerunWords): void;
  /** Gives the terminal back, whatever happened. May be called twice. */
  close(): void;
}

/** How the reader would say on the command line what was done here. */
export interface RerunWords {
  /** "mesh run tasks.yml --init a=b" */
  readonly command: string;
}

/** Milliseconds that never go back. */
export type Monotonic = () => number;

export const STOPPING_WORDS = "Stopping: tasks have their grace period to end. Ctrl-C again kills them now.";
/** Who asked for a run to be stopped when it was the one who watches: the reporter has said so by then. */
export const BY_WATCHER = "the user";

/** Another process asked for it. */
export function stoppingWords(by: string): string {
  return `Stopping, asked by ${printable(by)}: tasks have their grace period to end.`;
}

export const KILLING_WORDS = "Killed.";
