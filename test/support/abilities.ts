// What a test may need of a machine, how to find out, and who could provide it. Probes only look; they change nothing.

import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync, statfsSync } from "node:fs";
import { availableParallelism, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { nameOfUser } from "../../src/oci/runtime/sub-ids.ts";
import { meshBinary } from "./binary.ts";
import { asOrdinaryUser } from "./user.ts";

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
  "ordinary-user": { from: "machine", lacks: lacksOrdinaryUser },
  "user-namespaces": { from: "machine", lacks: lacksUserNamespaces },
  "overlay-in-user-namespace": { from: "machine", lacks: lacksOverlay },
  /** Root that may mount: not so inside a context. */
  mount: { from: "machine", lacks: lacksMount },
  /** Overlay whiteouts can be made in the temporary folder: not so where that lies on an overlay itself, as in a context. */
  whiteouts: { from: "machine", lacks: lacksWhiteouts },
  ext4: { from: "machine", lacks: lacksExt4 },
  "two-cpus": { from: "machine", lacks: () => (availableParallelism() < 2 ? "this machine has one CPU" : null) },
  tun: { from: "machine", lacks: () => lacksWritable("/dev/net/tun", "/dev/net/tun cannot be opened") },
  /** For `makeLan`: network, PID, mount and UTS namespaces, a bridge, veth pairs; as root, or as an ordinary user. */
  lan: { from: "machine", lacks: () => lacksLan(false) },
  "lan-as-user": { from: "machine", lacks: () => lacksLan(true) },
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
  "nat-helper": { from: "package", lacks: () => lacksProgram("pasta") && lacksProgram("slirp4netns") },
  "arm64-emulator": { from: "package", lacks: () => lacksProgram("qemu-aarch64-static") },
  zsh: { from: "package", lacks: () => lacksProgram("zsh") },
  fish: { from: "package", lacks: () => lacksProgram("fish") },
  bash: { from: "package", lacks: () => lacksProgram("bash") },
  nft: { from: "package", lacks: () => lacksProgram("nft") },
  tc: { from: "package", lacks: () => lacksProgram("tc") },
  avahi: { from: "package", lacks: () => lacksProgram("avahi-daemon") },
  perl: { from: "package", lacks: () => lacksProgram("perl") },
  pasta: { from: "package", lacks: () => lacksProgram("pasta") },
  slirp4netns: { from: "package", lacks: () => lacksProgram("slirp4netns") },
  faketime: { from: "package", lacks: () => lacksProgram("faketime") },
  getfattr: { from: "package", lacks: () => lacksProgram("getfattr") },
  lsattr: { from: "package", lacks: () => lacksProgram("lsattr") },
  git: { from: "package", lacks: () => lacksProgram("git") },
  openssl: { from: "package", lacks: () => lacksProgram("openssl") },
  hyperfine: { from: "package", lacks: () => lacksProgram("hyperfine") },
  /** The compiled program. `bun run test` makes it. */
  binary: { from: "package", lacks: () => (existsSync(meshBinary) ? null : "not compiled (bun run compile)") },
} as const satisfies Record<string, Ability>;

export type AbilityName = keyof typeof ABILITIES;

/** What every test needs that starts a context. */
export const CONTEXTS = ["user-namespaces", "overlay-in-user-namespace"] as const;

function lacksExt4(): string | null {
  const EXT4_SUPER_MAGIC = 0xef53;
  return statfsSync(tmpdir()).type === EXT4_SUPER_MAGIC ? null : "the temporary folder is not on ext4";
}

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

function lacksLan(asUser: boolean): string | null {
  const isRoot = process.getuid?.() === 0;
  const lacksProgramOfIt = lacksProgram("ip") ?? lacksProgram("nsenter") ?? lacksProgram("unshare");
  if (lacksProgramOfIt !== null) return lacksProgramOfIt;
  if (asUser && isRoot && lacksOrdinaryUser() !== null) return lacksOrdinaryUser();
  const script =
    "ip link add br0 type bridge && ip link add port0 type veth peer name eth0 && ip link set port0 master br0 && hostname probe";
  const spaces = ["--net", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--uts"];
  const user = asUser || !isRoot ? ["--user", "--map-root-user"] : [];
  const argv = ["unshare", ...user, ...spaces, "sh", "-c", script];
  return succeeds(asUser ? asOrdinaryUser(argv) : argv) ? null : "the kernel makes no LAN of namespaces";
}

function lacksOrdinaryUser(): string | null {
  if (process.getuid?.() !== 0) return null;
  const script = ["setpriv", "--reuid=54321", "--clear-groups", "--", "sh", "-c", 'test "$(id -u)" = 54321'];
  return lacksProgram("setpriv") ?? (succeeds(script) ? null : "this root may not become another user");
}

function lacksMount(): string | null {
  if (process.getuid?.() !== 0) return "this is an ordinary user";
  return succeeds(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/tmp"]) ? null : "this root may not mount";
}

function lacksWhiteouts(): string | null {
  const folder = mkdtempSync(join(tmpdir(), "mesh-test-"));
  try {
    // A context with one id answers some calls with success and does nothing.
    return succeeds(["mknod", join(folder, "whiteout"), "c", "0", "0"]) && existsSync(join(folder, "whiteout"))
      ? null
      : `no whiteout can be made in ${tmpdir()}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function lacksSubordinateIds(): string | null {
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0 && lacksProgram("newuidmap") !== null) return "newuidmap is not installed";
  if (uid === 0) return null;
  const username = nameOfUser(readFileSync("/etc/passwd", "utf8"), uid) ?? userInfo().username;
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
