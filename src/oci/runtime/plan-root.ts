// The root filesystem of a context: overlay mounts below a scratch filesystem, then pivot_root. Pure.
//
// With the host's root below the layers, two rules of the kernel decide how:
//   - A mount that a user namespace inherits is locked to what is mounted on it, and a directory with such mounts below it can be
//     no overlay layer (clone_private_mount, EINVAL). "/" always has some. So mesh, where it is privileged, binds "/"
//     without them first; where it is not, every directory of "/" is shown by an overlay or a read-only bind of its own ("parts").
//   - A lower directory may not lie inside another one of the same filesystem (ELOOP), and layers usually lie inside "/". So the
//     bound root is wrapped in a read-only overlay, which is a filesystem of its own ("stacked"), unless mesh's directory is on
//     another filesystem anyway ("direct").

import type { ContextSetup } from "./context-spec.ts";
import { PID_RECORD, REPORT_FD } from "./emit.ts";
import { type Allotment, HOST_MOUNTS_FD, type MachineFacts } from "./plan-input.ts";
import {
  address,
  ANYWAY,
  AT_FDCWD,
  bytes,
  call,
  O_PATH_CLOEXEC,
  type SetupOp,
  type SetupProgram,
  value,
  variable,
  words,
} from "./setup-op.ts";

export const MOUNT = {
  READ_ONLY: 0x1,
  NO_SUID: 0x2,
  NO_DEV: 0x4,
  NO_EXEC: 0x8,
  BIND: 0x1000,
  RECURSIVE: 0x4000,
  PRIVATE: 0x40000,
} as const;

const CLONE_NEWNS = 0x20000;
const DETACH = 2;
const AT_REMOVEDIR = 0x200;
/** mount(2) copies its options into one page. */
const MOUNT_OPTIONS_BYTES = 4000;

/** Directories of the scratch filesystem, by purpose. It is in memory and dies with the context. */
export const STAGE = {
  empty: "empty",
  host: "host",
  root: "root",
  proc: "proc",
  dev: "dev",
  shm: "shm",
  run: "run",
  mesh: "mesh",
  tmp: "tmp",
} as const;

/**
 * Makes the mount namespace that all contexts of one mesh process are made from: "/" without the mounts on it lies ready there.
 * It lives while mesh holds a descriptor of it, since making one costs a tenth of a context.
 */
export function hostMountsProgram(hostBind: string): SetupProgram {
  return {
    variables: {},
    operations: [
      call("die with the parent", "prctl", [1, 9, 0, 0, 0]),
      call("make a mount namespace", "unshare", [CLONE_NEWNS]),
      cutPropagation(),
      call("bind the host's root", "mount", ["/", hostBind, 0, MOUNT.BIND, 0]),
      call("report that it is made", "write", [REPORT_FD, bytes(words(PID_RECORD, 0)), 16]),
      call("wait", "read", [REPORT_FD, address("byte"), 1]),
      call("end", "exit_group", [0]),
    ],
  };
}

/** Whether contexts with this root are made from that namespace. */
export function needsHostMounts(setup: ContextSetup, machine: MachineFacts): boolean {
  return setup.root.kind === "host" && machine.hostRoot !== "parts";
}

/** The monitor's part. */
export function enterHostMounts(setup: ContextSetup, machine: MachineFacts): readonly SetupOp[] {
  if (!needsHostMounts(setup, machine)) return [];
  return [call("enter the namespace of the host's mounts", "setns", [HOST_MOUNTS_FD, CLONE_NEWNS])];
}

/**
 * Afterwards "/" is the context's root and the working directory is the host's root: relative paths name host files, absolute
 * ones the context's. So a hostile symlink in a layer can't lead a later mount to a host path.
 */
export function rootOperations(setup: ContextSetup, machine: MachineFacts, allotment: Allotment): readonly SetupOp[] {
  const stage = (directory: keyof typeof STAGE) => `${machine.stage}/${STAGE[directory]}`;
  return [
    cutPropagation(),
    call("mount the scratch filesystem", "mount", [
      "tmpfs",
      machine.stage,
      "tmpfs",
      MOUNT.NO_SUID | MOUNT.NO_DEV,
      stageOptions(setup),
    ]),
    call("enter the scratch filesystem", "chdir", [machine.stage]),
    ...Object.values(STAGE).map((directory) =>
      call(`make ${directory}`, "mkdirat", [
        AT_FDCWD,
        directory,
        directory === "tmp" || directory === "shm" ? 0o1777 : 0o755,
      ]),
    ),
    ...(setup.root.kind === "host" && machine.hostRoot === "stacked"
      ? [mountHostRoot(stage("empty"), machine.hostBind, stage("host"))]
      : []),
    ...mountRoot(setup, machine, allotment, stage("root")),
    call("open the host's root", "openat", [AT_FDCWD, "/", O_PATH_CLOEXEC, 0], { result: variable("hostRoot") }),
    call("enter the root", "chdir", [stage("root")]),
    call("pivot_root", "pivot_root", [".", "."]),
    call("return to the host's root", "fchdir", [value("hostRoot")]),
    call("close the host's root", "close", [value("hostRoot")]),
  ];
}

/** Lets the host's root go: nothing of it is reachable afterwards. */
export function leaveHostRoot(): readonly SetupOp[] {
  return [call("unmount the host's root", "umount2", [".", DETACH]), call("enter the context's root", "chdir", ["/"])];
}

/** Path of a scratch directory, relative to the host's root. */
export function stagePath(machine: MachineFacts, directory: keyof typeof STAGE): string {
  return `${machine.stage.slice(1)}/${STAGE[directory]}`;
}

function stageOptions(setup: ContextSetup): string {
  return setup.limits.memoryBytes === null ? "mode=755" : `mode=755,size=${setup.limits.memoryBytes}`;
}

function cutPropagation(): SetupOp {
  return call("cut mount propagation", "mount", ["none", "/", 0, MOUNT.RECURSIVE | MOUNT.PRIVATE, 0]);
}

/** A read-only overlay needs two lowers; the second one is empty. */
function mountHostRoot(empty: string, hostBind: string, target: string): SetupOp {
  const options = `userxattr,lowerdir=${escapeLower(empty)}:${escapeLower(hostBind)}`;
  return call("mount overlay of the host's root", "mount", ["overlay", target, "overlay", MOUNT.READ_ONLY, options]);
}

function mountRoot(
  setup: ContextSetup,
  machine: MachineFacts,
  allotment: Allotment,
  target: string,
): readonly SetupOp[] {
  const bottom = { stacked: [`${machine.stage}/${STAGE.host}`], direct: [machine.hostBind], parts: [] }[
    machine.hostRoot
  ];
  const lowers = [...setup.root.lowers, allotment.skeleton, ...(setup.root.kind === "host" ? bottom : [])];
  return mountOverlay({ name: "mount overlay", lowers, upper: setup.root.upper, work: setup.root.work, target });
}

export interface Overlay {
  readonly name: string;
  readonly lowers: readonly string[];
  readonly upper: string;
  readonly work: string;
  readonly target: string;
}

/**
 * `volatile` leaves out the syncs of an unmount (3.6 ms against 0.03); what a crash tore is found by its hash. It leaves a mark
 * in the work directory, by which a second mount would be refused: nothing of it is wanted again, so the mark is removed.
 */
export function mountOverlay(overlay: Overlay): readonly SetupOp[] {
  return [...forgetLastMount(overlay), ...mountFresh(overlay)];
}

function forgetLastMount({ name, work }: Overlay): readonly SetupOp[] {
  const mark = `${work}/work/incompat/volatile`;
  const unlink = (path: string, flags: number) =>
    call(`${name}: forget the last one`, "unlinkat", [AT_FDCWD, path, flags], ANYWAY);
  return [unlink(`${mark}/dirty`, 0), unlink(mark, AT_REMOVEDIR)];
}

function mountFresh(overlay: Overlay): readonly SetupOp[] {
  const options =
    `userxattr,volatile,lowerdir=${overlay.lowers.map(escapeLower).join(":")}` +
    `,upperdir=${escapeOption(overlay.upper)},workdir=${escapeOption(overlay.work)}`;
  if (options.length > MOUNT_OPTIONS_BYTES) return mountLongOverlay(overlay);
  return [call(overlay.name, "mount", ["overlay", overlay.target, "overlay", 0, options])];
}

/** Many lowers: one at a time through fsconfig(2); `lowerdir+` takes paths as they are, up to 500 (Linux 6.8). */
function mountLongOverlay({ name, lowers, upper, work, target }: Overlay): readonly SetupOp[] {
  const SET_FLAG = 0;
  const SET_STRING = 1;
  const CREATE = 6;
  const filesystem = value("filesystem");
  const set = (key: string, text: string) =>
    call(`${name}: ${key}`, "fsconfig", [filesystem, SET_STRING, key, text, 0]);
  return [
    call(`${name}: open`, "fsopen", ["overlay", 1], { result: variable("filesystem") }),
    ...["userxattr", "volatile"].map((flag) =>
      call(`${name}: ${flag}`, "fsconfig", [filesystem, SET_FLAG, flag, 0, 0]),
    ),
    ...lowers.map((lower) => set("lowerdir+", lower)),
    set("upperdir", upper),
    set("workdir", work),
    call(name, "fsconfig", [filesystem, CREATE, 0, 0, 0]),
    call(`${name}: make the mount`, "fsmount", [filesystem, 1, 0], { result: variable("overlay") }),
    call(`${name}: attach`, "move_mount", [value("overlay"), "", AT_FDCWD, target, 4]),
    call(`${name}: close`, "close", [filesystem]),
    call(`${name}: close`, "close", [value("overlay")]),
  ];
}

/** Overlayfs splits its options at commas and lowerdir at colons; a backslash escapes both. */
function escapeOption(path: string): string {
  return path.replace(/[\\,]/g, "\\$&");
}

function escapeLower(path: string): string {
  return path.replace(/[\\:,]/g, "\\$&");
}
