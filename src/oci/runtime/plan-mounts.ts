// What is mounted into a context's root: /proc, /dev, /sys, /run, /mesh, binds, and what is masked. Pure.
// All of it happens after pivot_root: absolute paths are the context's, relative ones the host's (see plan-root.ts).

import type { ContextSetup } from "./context-spec.ts";
import type { Allotment, HostPart, MachineFacts } from "./plan-input.ts";
import { MOUNT, mountOverlay, stagePath } from "./plan-root.ts";
import { ANYWAY, AT_FDCWD, bytes, call, O_CLOEXEC, type SetupOp, value, variable, words } from "./setup-op.ts";

/** Device nodes that every context has, of those the host has. */
export const DEVICE_NODES: readonly string[] = ["null", "zero", "full", "random", "urandom", "tty"];

const AT_RECURSIVE = 0x8000;
const REGULAR_FILE = 0o100644;

/** Everything between pivot_root and letting the host go. */
export function mountOperations(setup: ContextSetup, machine: MachineFacts, allotment: Allotment): readonly SetupOp[] {
  const kernelFlags = MOUNT.NO_SUID | MOUNT.NO_DEV | MOUNT.NO_EXEC;
  return [
    ...makeEmpty(machine),
    ...allotment.hostParts.flatMap((part) => mountPart(setup, part)),
    ...(setup.root.kind === "host" ? machine.hostMounts.flatMap(bindReadOnly) : []),
    call("mount /proc", "mount", ["proc", "/proc", "proc", kernelFlags, 0]),
    ...limitPidNumbers(machine, allotment),
    ...mountSys(setup, machine, allotment, kernelFlags),
    ...deviceOperations(machine),
    ...mountPts(allotment),
    bind("mount /run", stagePath(machine, "run"), "/run"),
    bind("mount /mesh", stagePath(machine, "mesh"), "/mesh"),
    ...(setup.tmpfsTmp ? temporaryDirectories(machine) : []),
    ...allotment.hidden.flatMap((path) => hide(machine, path)),
    ...(setup.devices ?? []).flatMap((path) => bindDevice(path)),
    ...bindAll(setup, allotment),
    ...resolvConf(machine, allotment.resolvConf),
    ...maskOperations(machine),
  ];
}

/** Most operations of a plan depend on the machine alone; they are made once. */
const deviceOperations = perMachine(mountDev);
const maskOperations = perMachine(mask);

function perMachine(
  make: (machine: MachineFacts) => readonly SetupOp[],
): (machine: MachineFacts) => readonly SetupOp[] {
  const made = new WeakMap<MachineFacts, readonly SetupOp[]>();
  return (machine) => {
    let operations = made.get(machine);
    if (operations === undefined) made.set(machine, (operations = make(machine)));
    return operations;
  };
}

/** Host name, and the loopback device of a network namespace of its own. */
export function namespaceOperations(setup: ContextSetup): readonly SetupOp[] {
  const name = call("set the host name", "sethostname", [setup.hostname, byteLength(setup.hostname)]);
  return setup.network === "host" ? [name] : [name, ...loopbackUp()];
}

function loopbackUp(): readonly SetupOp[] {
  const AF_INET = 2;
  const SOCK_DGRAM_CLOEXEC = 0x80002;
  const SIOCSIFFLAGS = 0x8914;
  const request = new Uint8Array(40); // struct ifreq
  request.set([0x6c, 0x6f]); // lo
  request[16] = 0x41; // IFF_UP | IFF_RUNNING
  return [
    call("open a socket", "socket", [AF_INET, SOCK_DGRAM_CLOEXEC, 0], { result: variable("descriptor") }),
    call("start the loopback device", "ioctl", [value("descriptor"), SIOCSIFFLAGS, bytes(request)]),
    call("close the socket", "close", [value("descriptor")]),
  ];
}

function bind(name: string, source: string, target: string): SetupOp {
  return call(name, "mount", [source, target, 0, MOUNT.BIND | MOUNT.RECURSIVE, 0]);
}

/** `struct mount_attr` (mount_setattr(2)) that adds flags. Recursive: a bind may bring mounts along. */
function restrict(name: string, target: string, flags: number): SetupOp {
  return call(name, "mount_setattr", [AT_FDCWD, target, AT_RECURSIVE, bytes(words(flags, 0, 0, 0)), 32]);
}

/**
 * A directory of the host's root by itself: an overlay whose changes go to the same place of the layer as they would with the
 * whole root below, or a read-only bind.
 */
function mountPart(setup: ContextSetup, { path, lowers }: HostPart): readonly SetupOp[] {
  if (lowers === null) return bindReadOnly(path);
  const upper = `${setup.root.upper}${path}`.slice(1);
  const work = `${setup.root.work}/part-${path.slice(1).replaceAll("/", "-")}`.slice(1);
  const host = path.slice(1);
  return [
    ...ancestorsOf(path).map((parent) => makeDirectory(`${setup.root.upper}${parent}`.slice(1))),
    makeDirectory(upper),
    makeDirectory(work),
    ...mountOverlay({
      name: `mount overlay of ${path}`,
      lowers: [...lowers.map((lower) => lower.slice(1)), host],
      upper,
      work,
      target: path,
    }),
  ];
}

/** A filesystem of its own under the host's root (/usr, /nix): the overlay shows only its mount point, so it comes as it is, read-only. */
function bindReadOnly(path: string): readonly SetupOp[] {
  return [
    bind(`bind the host's ${path}`, path.slice(1), path),
    restrict(`make the host's ${path} read-only`, path, MOUNT.READ_ONLY | MOUNT.NO_SUID),
  ];
}

/**
 * RLIMIT_NPROC does not bind root, and counts each user apart; the range of process ids binds everybody. Once the numbers have
 * wrapped around, those below 300 are not given again, so that the range is larger by as many.
 */
function limitPidNumbers(machine: MachineFacts, { processLimit }: Allotment): readonly SetupOp[] {
  if (processLimit === null || !machine.hasOwnPidMax) return [];
  const RESERVED_PIDS = 300;
  const text = String(RESERVED_PIDS + 2 + processLimit);
  const name = "limit process ids";
  return [
    call(name, "openat", [AT_FDCWD, "/proc/sys/kernel/pid_max", O_CLOEXEC | 1, 0], {
      result: variable("descriptor"),
      ...ANYWAY,
    }),
    call(name, "write", [value("descriptor"), text, text.length], ANYWAY),
    call(name, "close", [value("descriptor")], ANYWAY),
  ];
}

/**
 * A new network namespace may have its own /sys; with the host's network the host's is bound, without debugfs and the like.
 * Never writable.
 */
function mountSys(
  setup: ContextSetup,
  machine: MachineFacts,
  allotment: Allotment,
  kernelFlags: number,
): readonly SetupOp[] {
  if (setup.network === "host") {
    return [
      bind("bind /sys", "sys", "/sys"),
      restrict("make /sys read-only", "/sys", kernelFlags | MOUNT.READ_ONLY),
      ...machine.sysMounts.flatMap((path) => hide(machine, path)),
    ];
  }
  const mountSysfs = call("mount /sys", "mount", ["sysfs", "/sys", "sysfs", kernelFlags | MOUNT.READ_ONLY, 0]);
  if (allotment.cgroupDirectory === null) return [mountSysfs];
  const cgroup = ["cgroup2", "/sys/fs/cgroup", "cgroup2", kernelFlags | MOUNT.READ_ONLY, 0] as const;
  return [mountSysfs, call("mount /sys/fs/cgroup", "mount", cgroup, ANYWAY)];
}

/** The nodes are the host's, bound: a user namespace may make none. */
function mountDev(machine: MachineFacts): readonly SetupOp[] {
  const links = [
    ["pts/ptmx", "/dev/ptmx"],
    ["/proc/self/fd", "/dev/fd"],
    ["/proc/self/fd/0", "/dev/stdin"],
    ["/proc/self/fd/1", "/dev/stdout"],
    ["/proc/self/fd/2", "/dev/stderr"],
  ] as const;
  return [
    bind("mount /dev", stagePath(machine, "dev"), "/dev"),
    ...machine.deviceNodes.flatMap((node) => bindDevice(`/dev/${node}`)),
    call("make /dev/shm", "mkdirat", [AT_FDCWD, "/dev/shm", 0o1777]),
    bind("mount /dev/shm", stagePath(machine, "shm"), "/dev/shm"),
    ...links.map(([target, path]) => call(`link ${path}`, "symlinkat", [target, AT_FDCWD, path])),
  ];
}

function mountPts({ idMap }: Allotment): readonly SetupOp[] {
  const options = `newinstance,ptmxmode=0666,mode=0620${idMap.hasTtyGroup ? ",gid=5" : ""}`;
  return [
    call("make /dev/pts", "mkdirat", [AT_FDCWD, "/dev/pts", 0o755]),
    call("mount /dev/pts", "mount", ["devpts", "/dev/pts", "devpts", MOUNT.NO_SUID | MOUNT.NO_EXEC, options]),
  ];
}

function bindDevice(path: string): readonly SetupOp[] {
  return [...makeParents(path), makeFile(path), call(`bind ${path}`, "mount", [path.slice(1), path, 0, MOUNT.BIND, 0])];
}

function temporaryDirectories(machine: MachineFacts): readonly SetupOp[] {
  return ["/tmp", "/var/tmp"].map((path) => bind(`mount ${path}`, stagePath(machine, "tmp"), path));
}

function makeEmpty(machine: MachineFacts): readonly SetupOp[] {
  const empty = stagePath(machine, "empty");
  return [
    bind("bind the empty directory", empty, empty),
    restrict("make the empty directory read-only", empty, MOUNT.READ_ONLY),
  ];
}

/** The empty directory's mount is read-only, and so is each bind of it. */
function hide(machine: MachineFacts, path: string): readonly SetupOp[] {
  return [bind(`hide ${path}`, stagePath(machine, "empty"), path)];
}

function bindAll(setup: ContextSetup, allotment: Allotment): readonly SetupOp[] {
  return setup.binds.flatMap(({ source, target, readonly }, index) => [
    ...makeParents(target),
    allotment.bindKinds[index] === "file" ? makeFile(target) : makeDirectory(target),
    bind(`bind ${target}`, source.slice(1), target),
    restrict(`restrict ${target}`, target, MOUNT.NO_SUID | MOUNT.NO_DEV | (readonly ? MOUNT.READ_ONLY : 0)),
  ]);
}

/** The text is written to the scratch filesystem and bound over the file, also where that is a symlink into /run. */
function resolvConf(machine: MachineFacts, text: string | null): readonly SetupOp[] {
  if (text === null) return [];
  const WRITE_CREATE_CLOEXEC = O_CLOEXEC | 0o101;
  const path = `${machine.stage.slice(1)}/resolv.conf`;
  const name = "write /etc/resolv.conf";
  return [
    call(name, "openat", [AT_FDCWD, path, WRITE_CREATE_CLOEXEC, 0o644], { result: variable("descriptor") }),
    call(name, "write", [value("descriptor"), text, byteLength(text)]),
    call(name, "close", [value("descriptor")]),
    // A symlink's target is looked up inside; systemd-resolved's is the usual one.
    call("make /run/systemd", "mkdirat", [AT_FDCWD, "/run/systemd", 0o755], ANYWAY),
    call("make /run/systemd/resolve", "mkdirat", [AT_FDCWD, "/run/systemd/resolve", 0o755], ANYWAY),
    { ...makeFile("/run/systemd/resolve/stub-resolv.conf"), onError: "next" },
    { ...makeFile("/run/systemd/resolve/resolv.conf"), onError: "next" },
    call("bind /etc/resolv.conf", "mount", [path, "/etc/resolv.conf", 0, MOUNT.BIND, 0], ANYWAY),
  ];
}

/**
 * What tells about, or changes, the whole machine. Needed although capabilities are gone: with "identity" ids the task owns
 * root's files. Read-only paths are binds out of one read-only bind of /proc, which costs one call each instead of two.
 */
function mask(machine: MachineFacts): readonly SetupOp[] {
  const readOnlyProc = stagePath(machine, "proc");
  return [
    ...machine.maskedFiles.map((path) => call(`mask ${path}`, "mount", ["dev/null", path, 0, MOUNT.BIND, 0])),
    ...machine.maskedDirectories.flatMap((path) => hide(machine, path)),
    call("bind /proc to be read-only", "mount", ["/proc", readOnlyProc, 0, MOUNT.BIND, 0]),
    restrict("make the bind of /proc read-only", readOnlyProc, MOUNT.READ_ONLY),
    ...machine.readOnlyPaths.map((path) =>
      call(`make /proc/${path} read-only`, "mount", [`${readOnlyProc}/${path}`, `/proc/${path}`, 0, MOUNT.BIND, 0]),
    ),
  ];
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

function makeDirectory(path: string): SetupOp {
  return call(`make ${path}`, "mkdirat", [AT_FDCWD, path, 0o755], ANYWAY);
}

function makeFile(path: string): SetupOp & { readonly kind: "call" } {
  return {
    kind: "call",
    name: `make ${path}`,
    call: "mknodat",
    arguments: [AT_FDCWD, path, REGULAR_FILE, 0],
    onError: "next",
  };
}

/** Directories above a mount point; those that exist are left alone. */
function makeParents(path: string): readonly SetupOp[] {
  return ancestorsOf(path)
    .filter((parent) => parent !== "/dev" && parent !== "/mesh")
    .map(makeDirectory);
}

/** "/a" and "/a/b" of "/a/b/c". */
function ancestorsOf(path: string): readonly string[] {
  const parts = path.split("/").slice(1, -1);
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("/")}`);
}
