// A run's journal: its events checked when they are read back, and the run rebuilt from them. It stores and fetches nothing.
// A shell writes an event down after step() took it without an error, and before it performs the effects.

import { fail, MeshError } from "../base/errors.ts";
import type { AfterEvaluator } from "./after.ts";
import { checkEvent } from "./event-check.ts";
import type { RunEvent } from "./run-event.ts";
import { RunMachine } from "./run-machine.ts";

/** Takes what was kept of an event. Throws `store.corrupt` when it is no event that this version knows. */
export function checkedEvent(value: unknown): RunEvent {
  const fault = checkEvent(value, "event");
  if (fault !== null)
    fail("store.corrupt", `Cannot read the journal entry ${JSON.stringify(value).slice(0, 80)}: ${fault}`);
  return value as RunEvent;
}

/**
 * Rebuilds a run from its events; `outstanding()` of the result says what has to be set going again.
 * Throws `store.corrupt`, with the number of the entry, when the events cannot be those of one run.
 */
export function replay(events: Iterable<RunEvent>, evaluateAfter: AfterEvaluator): RunMachine {
  const machine = new RunMachine(evaluateAfter);
  let entry = 0;
  for (const event of events) {
    entry++;
    if ((event.kind === "run-started") !== (entry === 1)) {
      fail("store.corrupt", `Cannot replay the journal: entry ${entry} is ${JSON.stringify(event.kind)}`);
    }
    try {
      machine.step(event);
    } catch (cause) {
      if (!(cause instanceof MeshError)) throw cause;
      fail("store.corrupt", `Cannot replay entry ${entry} of the journal (${event.kind})`, { cause });
    }
  }
  return machine;
}
