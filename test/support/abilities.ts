// What a test may need of a machine, how to find out, and who could provide it. Probes only look; they change nothing.

import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { meshBinary } from "./binary.ts";

export interface Ability {
  /** Says why this machine has it not; null when it has. */
  readonly lacks: () => string | null;
  /**
   * Who could change that. "package": somebody who installs one, so that a strict run calls its absence a failure.
   * "machine": only another kernel, hardware, policy or user, so that even a strict run may skip.
   */
  readonly from: "package" | "machine";
}

export const ABILITIES = {
  linux: { from: "machine", lacks: () => (process.platform === "linux" ? null : `this is ${process.platform}`) },
  root: { from: "machine", lacks: () => (process.getuid?.() === 0 ? null : "this is an ordinary user") },
  "not-root": { from: "machine", lacks: () => (process.getuid?.() === 0 ? "this is root" : null) },
  /** For `asOrdinaryUser`: root can become one by setpriv. */
  "ordinary-user": { from: "package", lacks: () => (process.getuid?.() === 0 ? lacksProgram("setpriv") : null) },
  "user-namespaces": { from: "machine", lacks: lacksUserNamespaces },
  "overlay-in-user-namespace": { from: "machine", lacks: lacksOverlay },
  "cgroup-v2": {
    from: "machine",
    lacks: () => lacksWritable("/sys/fs/cgroup/cgroup.subtree_control", "no writable cgroup v2 hierarchy"),
  },
  "cgroup-v1": {
    from: "machine",
    lacks: () => lacksWritable("/sys/fs/cgroup/memory/cgroup.procs", "no writable cgroup v1 memory hierarchy"),
  },
  "nvidia-gpu": { from: "machine", lacks: () => (existsSync("/dev/nvidiactl") ? null : "no NVIDIA GPU") },
  "subordinate-ids": { from: "package", lacks: lacksSubordinateIds },
  bwrap: { from: "package", lacks: () => lacksProgram("bwrap") },
  crun: { from: "package", lacks: () => lacksProgram("crun") },
  runc: { from: "package", lacks: () => lacksProgram("runc") },
  pasta: { from: "package", lacks: () => lacksProgram("pasta") },
  slirp4netns: { from: "package", lacks: () => lacksProgram("slirp4netns") },
  getfattr: { from: "package", lacks: () => lacksProgram("getfattr") },
  git: { from: "package", lacks: () => lacksProgram("git") },
  hyperfine: { from: "package", lacks: () => lacksProgram("hyperfine") },
  /** The compiled program. `bun run test` makes it. */
  binary: { from: "package", lacks: () => (existsSync(meshBinary) ? null : "not compiled (bun run compile)") },
} as const satisfies Record<string, Ability>;

export type AbilityName = keyof typeof ABILITIES;

function lacksProgram(name: string): string | null {
  return Bun.which(name) === null ? `${name} is not installed` : null;
}

function lacksWritable(path: string, reason: string): string | null {
  try {
    accessSync(path, constants.W_OK);
    return null;
  } catch {
    return reason;
  }
}

function lacksUserNamespaces(): string | null {
  return succeeds(["unshare", "--user", "--map-root-user", "true"]) ? null : "the kernel grants no user namespaces";
}

function lacksOverlay(): string | null {
  // /tmp as upper and work would have to be on one filesystem: a tmpfs of the namespace's own serves.
  const script =
    "mount -t tmpfs none /tmp && mkdir /tmp/a /tmp/b /tmp/u /tmp/w && " +
    "mount -t overlay -o userxattr,lowerdir=/tmp/a,upperdir=/tmp/u,workdir=/tmp/w none /tmp/b";
  return succeeds(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script])
    ? null
    : "the kernel mounts no overlay in a user namespace";
}

function lacksSubordinateIds(): string | null {
  const { username, uid } = userInfo();
  if (uid !== 0 && lacksProgram("newuidmap") !== null) return "newuidmap is not installed";
  if (uid === 0) return null;
  const owners = existsSync("/etc/subuid") ? readFileSync("/etc/subuid", "utf8") : "";
  const hasRange = owners.split("\n").some((line) => line.startsWith(`${username}:`) || line.startsWith(`${uid}:`));
  return hasRange ? null : `/etc/subuid gives ${username} no range`;
}

function succeeds(argv: readonly string[]): boolean {
  try {
    return Bun.spawnSync([...argv], { stdin: "ignore", stdout: "ignore", stderr: "ignore" }).exitCode === 0;
  } catch {
    return false; // The probing program is not there.
  }
}
