// What a plan needs to know beside the spec: the machine's facts, which hold for all contexts, and what was allotted to this one.
// Types only; found out by io/.

import type { Architecture } from "./syscalls.ts";

/** Facts of the machine and of this mesh process. */
export interface MachineFacts {
  readonly architecture: Architecture;
  /** Process id of mesh: a context ends when this is not its parent. */
  readonly parentPid: number;
  /** Existing host directory that each context mounts its own scratch filesystem over. */
  readonly stage: string;
  /** Whether each PID namespace has a pid_max of its own (Linux 6.14); before, the file is the whole machine's. */
  readonly hasOwnPidMax: boolean;
  /** Files below /proc and directories below /proc and /sys, of those that exist, to be hidden. */
  readonly maskedFiles: readonly string[];
  readonly maskedDirectories: readonly string[];
  /** What of /proc, of that which exists, is to be read-only; relative to it. */
  readonly readOnlyPaths: readonly string[];
  /** Filesystems mounted below the host's /sys (debugfs and its like), other than cgroups. None lies in another. */
  readonly sysMounts: readonly string[];
  /** How the host's root comes below the layers; see plan-root.ts. */
  readonly hostRoot: HostRootKind;
  /** Existing host directory to bind "/" to, for the kinds "stacked" and "direct". */
  readonly hostBind: string;
  /** Other filesystems mounted at visible places of the host's root. None lies in another. */
  readonly hostMounts: readonly string[];
  /** Names of device nodes that exist in the host's /dev. */
  readonly deviceNodes: readonly string[];
}

/**
 * "stacked" and "direct" put the whole of "/" below the layers, which takes privilege; "parts" puts its directories there, one
 * by one. See plan-root.ts.
 */
export type HostRootKind = "stacked" | "direct" | "parts";

/** One directory of the host's root that is shown by itself. */
export interface HostPart {
  /** Absolute. */
  readonly path: string;
  /** Overlay directories above it that exist, topmost first; null when it is bound read-only instead. */
  readonly lowers: readonly string[] | null;
}

/** What one context was allotted. */
export interface Allotment {
  /** Lowest overlay directory: mount points and, with the host's root, what hides its private parts. */
  readonly skeleton: string;
  readonly idMap: IdMap;
  /** For the host's root as "parts": its directories, none inside another that is bound. Else empty. */
  readonly hostParts: readonly HostPart[];
  /** cgroup v1 `tasks` files to join. */
  readonly cgroupTaskFiles: readonly string[];
  /** cgroup v2 directory to be born in, or null. */
  readonly cgroupDirectory: string | null;
  /** RLIMIT_NPROC, where no cgroup counts processes. */
  readonly processLimit: number | null;
  /** CPUs the context may run on, as the bits of sched_setaffinity(2); null for all. */
  readonly cpuMask: Uint8Array | null;
  /** /etc/resolv.conf; null leaves what the root has. */
  readonly resolvConf: string | null;
  /** Same order as the spec's binds. */
  readonly bindKinds: readonly ("file" | "directory")[];
  /** Which of the spec's hidden paths exist, as real paths, and are not hidden already. */
  readonly hidden: readonly string[];
  /** Compiled seccomp program. */
  readonly filter: Uint8Array;
}

export interface IdMap {
  readonly uidMap: string;
  readonly gidMap: string;
  /** A map written without privilege needs setgroups(2) refused first (user_namespaces(7)). */
  readonly denySetgroups: boolean;
  /** Whether the program first enters the user namespace behind descriptor `USER_NAMESPACE_FD`. */
  readonly insideNamespace: boolean;
  /** Whether group 5 (tty) exists inside. */
  readonly hasTtyGroup: boolean;
}

/** Descriptor of a user namespace that holds the subordinate ids. */
export const USER_NAMESPACE_FD = 4;
/** Descriptor of the mount namespace with the host's root; see plan-root.ts. */
export const HOST_MOUNTS_FD = 5;
