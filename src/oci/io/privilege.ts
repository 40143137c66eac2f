// What this process may do: the capabilities it has, and over what. It only reads.

import { readText } from "../../base/io/text-files.ts";
import { isInitialMap } from "../runtime/sub-ids.ts";

export const CAP_SETGID = 6;
export const CAP_SETUID = 7;
export const CAP_SYS_ADMIN = 21;

/** Whether this process has a capability in its own user namespace (capabilities(7)). */
export function hasCapability(number: number): boolean {
  const match = /^CapEff:\s*([0-9a-f]+)$/m.exec(readText("/proc/self/status"));
  return ((BigInt(`0x${match?.[1] ?? "0"}`) >> BigInt(number)) & 1n) === 1n;
}

/** Whether a program may bring privileges with it: set-user-id programs have no effect under no_new_privs (prctl(2)). */
export function mayGainPrivileges(): boolean {
  return !/^NoNewPrivs:\s*1$/m.test(readText("/proc/self/status"));
}

/** Whether capabilities of this process hold for the machine's mounts: in any other user namespace those are locked. */
export function isInInitialUserNamespace(): boolean {
  return isInitialMap(readText("/proc/self/uid_map"));
}
