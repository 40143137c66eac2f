// This process as an owner, and whether another owner still lives (proc_pid_stat(5), random(4) boot_id).

import { readFileSync, readlinkSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import { type Owner, sameOwner } from "../owner.ts";

let self: Owner | null = null;

/** This process. */
export function currentOwner(): Owner {
  self ??= {
    pid: process.pid,
    startTicks: startTicksOf(process.pid) ?? "",
    bootId: bootId(),
    pidNamespace: textOf(() => readlinkSync("/proc/self/ns/pid")),
  };
  return self;
}

/** Identity of this boot of the machine; "" where the system does not say. */
export function bootId(): string {
  return textOf(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
}

/** Whether the process lives. One of another pid namespace of this boot can't be seen and counts as living. */
export function isAlive(owner: Owner): boolean {
  const here = currentOwner();
  if (sameOwner(owner, here)) return true;
  if (owner.bootId !== here.bootId) return false;
  if (owner.pidNamespace !== here.pidNamespace) return true;
  const started = startTicksOf(owner.pid);
  if (started !== null) return started === owner.startTicks;
  if (owner.startTicks !== "") return false;
  try {
    process.kill(owner.pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === "EPERM";
  }
}

/** Field 22 of /proc/<pid>/stat; null when there is no such process, or it is a zombie. */
function startTicksOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The command's name may hold spaces and parentheses: fields are counted from the last one.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

function textOf(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}
