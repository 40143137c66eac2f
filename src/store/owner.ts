// Who holds something in the store: a process, named so that another process can tell whether it still lives.

export interface Owner {
  readonly pid: number;
  /** Start time in clock ticks since boot, as text; "" where the system does not say. With the pid it names one process. */
  readonly startTicks: string;
  /** Changes with every boot of the machine. */
  readonly bootId: string;
  /** Identity of the pid namespace; pids of another one mean nothing here. */
  readonly pidNamespace: string;
}

/** Whether two owners are the same process. */
export function sameOwner(a: Owner, b: Owner): boolean {
  return a.pid === b.pid && a.startTicks === b.startTicks && a.bootId === b.bootId && a.pidNamespace === b.pidNamespace;
}
