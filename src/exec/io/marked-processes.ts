// Processes found by a variable in their environment: those that left their group and session carry it all the same.
// A process that empties its environment is not found.

import { readFileSync, readdirSync } from "node:fs";

/** Rounds of looking and killing, so that what forks meanwhile is met in the next one. */
const MOST_ROUNDS = 20;

/** Sends SIGKILL to a process group and to every process marked by `name=value`, until none is left. */
export function killMarked(group: number, name: string, value: string): void {
  sendSignal(-group, "SIGKILL");
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const pids = markedProcesses(`${name}=${value}`);
    if (pids.length === 0) return;
    for (const pid of pids) sendSignal(pid, "SIGKILL");
  }
}

/** Sends a signal; one that has ended already is no error. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it has ended already
  }
}

function markedProcesses(mark: string): readonly number[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && hasMark(name, mark))
    .map(Number);
}

/** A zombie's environment is empty, so what was killed is not found again. */
function hasMark(pid: string, mark: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(mark);
  } catch {
    return false;
  }
}
