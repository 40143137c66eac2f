// The words for how a task ended, the same in the live view, the plain lines, the summary and `mesh results`.

import { unreachable } from "../../base/assert.ts";
import type { FailureReason } from "../../sched/run-event.ts";

export interface Ending {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly reason: FailureReason | null;
}

/** "exit code 2", "killed by SIGSEGV", "out of memory", "timed out". */
export function endingWords({ exitCode, signal, reason }: Ending): string {
  if (reason !== null) return reasonWords(reason, exitCode);
  if (signal !== null) return `killed by ${signal}`;
  return exitCode === null ? "could not run" : `exit code ${exitCode}`;
}

function reasonWords(reason: FailureReason, exitCode: number | null): string {
  switch (reason) {
    case "timed-out":
      return "timed out";
    case "out-of-memory":
      return "out of memory";
    case "disk-full":
      return "disk full";
    case "too-many-processes":
      return "too many processes";
    case "cancelled":
      return "cancelled";
    case "context-failed":
      return "its context could not be made";
    case "output-invalid":
      return "its outputs cannot be taken";
    case "subtask-failed":
      return exitCode === null || exitCode === 0 ? "a task it added failed" : `exit code ${exitCode}`;
    default:
      return unreachable(reason);
  }
}
