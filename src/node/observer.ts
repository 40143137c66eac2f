// What a run tells those who watch it while it goes: the terminal's view, the plain lines, a stream of JSON.

import type { RunEvent } from "../sched/run-event.ts";

export interface RunObserver {
  /** Every event, after the run's state has taken it. */
  event?(event: RunEvent): void;
  /** Every event of before, of a run that is taken up again: it was told to those who watched then. */
  replayed?(event: RunEvent): void;
  /** Bytes a task has just written, as they came. */
  output?(task: string, stream: "stdout" | "stderr", bytes: Uint8Array): void;
  /** Something a person should know that is no event of a task. */
  notice?(level: "warning" | "info", text: string): void;
}
