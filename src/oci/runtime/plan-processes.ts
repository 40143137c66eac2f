// The three processes of a context and how they are born and die. Pure: it writes operations, it performs none.
//
//   monitor   child of mesh, in mesh's own namespaces. Writes the id map, waits, and then dies the task's death.
//   pid 1     first process of all the new namespaces. Builds the filesystem, then reaps; its death kills everything inside.
//   task      what was asked for.
//
// Each dies with the one above it (PR_SET_PDEATHSIG, and the kernel's rule for pid 1 of a PID namespace).

import { BEGUN_RECORD, END_RECORD, PID_RECORD, REPORT_FD, SETUP_FAILED_EXIT } from "./emit.ts";
import type { ContextSetup } from "./context-spec.ts";
import { type Allotment, type MachineFacts, USER_NAMESPACE_FD } from "./plan-input.ts";
import { enterHostMounts } from "./plan-root.ts";
import {
  address,
  ANYWAY,
  AT_FDCWD,
  bytes,
  call,
  O_CLOEXEC,
  O_PATH_CLOEXEC,
  type Place,
  type SetupOp,
  value,
  variable,
  words,
} from "./setup-op.ts";

const O_WRONLY_CLOEXEC = 0x80001;
const PR_SET_PDEATHSIG = 1;
const PR_SET_DUMPABLE = 4;
const PR_SET_NAME = 15;
const SIGKILL = 9;
const SIGCHLD = 17;
const EVERY_FD = 0xffffffff;

const CLONE = {
  NEWNS: 0x20000,
  NEWCGROUP: 0x2000000,
  NEWUTS: 0x4000000,
  NEWIPC: 0x8000000,
  NEWUSER: 0x10000000,
  NEWPID: 0x20000000,
  NEWNET: 0x40000000,
} as const;
const CLONE_INTO_CGROUP = 0x200000000n;
const CLONE_VM = 0x100;
const CLONE_PARENT_SETTID = 0x100000;

/** A pipe's ends: the lowest numbers, all beyond the report socket being closed when it is made. */
const PIPE = { readFd: REPORT_FD + 1, writeFd: REPORT_FD + 2 } as const;
/** A page that monitor and pid 1 share: the task's wait status. */
const SHARED_ADDRESS = 0x600000;
const TASK_STATUS: Place = { fixed: SHARED_ADDRESS };

const RUSAGE_WORDS = 18;
const RUSAGE_CHILDREN = -1;
const END_RECORD_BYTES = 48;

const OOM_SCORE = "300";

/** Variables with a content other than 8 zero bytes. */
export const PROCESS_VARIABLES: Readonly<Record<string, Uint8Array>> = {
  pidRecord: words(PID_RECORD, 0),
  begunRecord: words(BEGUN_RECORD, 0),
  // The wait status, then `struct rusage` (getrusage(2)), which begins with the two times.
  endRecord: words(END_RECORD, 0, ...Array.from({ length: RUSAGE_WORDS }, () => 0)),
  initStatus: words(0, 0),
};

/** The monitor up to the birth of pid 1; pid 1 continues behind the label "pid 1". */
export function monitorOperations(
  setup: ContextSetup,
  machine: MachineFacts,
  allotment: Allotment,
): readonly SetupOp[] {
  const { idMap } = allotment;
  return [
    call("leave the terminal's session", "setsid", [], ANYWAY),
    call("take a name that people know", "prctl", [PR_SET_NAME, "mesh-context", 0, 0, 0]),
    call("clear the file mode mask", "umask", [0]),
    ...joinCgroups(allotment.cgroupTaskFiles),
    ...writeFile(
      "make the context the kernel's first choice when memory runs out",
      "/proc/self/oom_score_adj",
      OOM_SCORE,
      true,
    ),
    ...enterHostMounts(setup, machine),
    ...(idMap.insideNamespace ? enterUserNamespace() : []),
    dieWithParent(),
    call("check that mesh is still there", "getppid", [], {
      onResult: { is: machine.parentPid, goTo: { label: "parent lives" } },
    }),
    call("end: mesh is gone", "exit_group", [SETUP_FAILED_EXIT]),
    { kind: "label", label: "parent lives" },
    call("share a page with pid 1", "mmap", [
      SHARED_ADDRESS,
      4096,
      3 /* read, write */,
      0x31 /* shared, anonymous, fixed */,
      -1,
      0,
    ]),
    // A byte says that the ids are mapped, its end that the monitor is dead: nobody else has the write end.
    ...onlyPipe("make a pipe to pid 1"),
    ...birth(setup, allotment),
    ...writeIdMap(allotment),
    call("tell pid 1 that its ids are mapped", "write", [PIPE.writeFd, address("byte"), 1]),
    call("report the process id", "write", [REPORT_FD, address("pidRecord"), 16]),
    call("close all descriptors below the pipe's end", "close_range", [0, PIPE.writeFd - 1, 0]),
    call("close all descriptors above it", "close_range", [PIPE.writeFd + 1, EVERY_FD, 0]),
    call("leave pid 1's process directory", "chdir", ["/"]),
    call("wait for pid 1 to end", "wait4", [{ kind: "value", at: PID }, address("initStatus"), 0, 0]),
    ...dieTheSameDeath(),
    { kind: "label", label: "pid 1" },
  ];
}

/** Pid 1 before it touches a mount: its descriptors and ids. */
export function initOperations(): readonly SetupOp[] {
  return [
    dieWithParent(),
    call("leave the pipe's other end to the monitor", "close_range", [PIPE.writeFd, EVERY_FD, 0]),
    call("wait for the id map", "read", [PIPE.readFd, address("byte"), 1], {
      onResult: { is: 1, goTo: { label: "the ids are mapped" } },
    }),
    call("end: the monitor is gone", "exit_group", [SETUP_FAILED_EXIT]),
    { kind: "label", label: "the ids are mapped" },
    call("become group 0", "setresgid", [0, 0, 0]),
    call("become user 0", "setresuid", [0, 0, 0]),
    call("drop supplementary groups", "setgroups", [0, 0], ANYWAY),
    call("let helpers look at it", "prctl", [PR_SET_DUMPABLE, 1, 0, 0, 0]),
    dieWithParent(),
    ...checkMonitorLives(),
  ];
}

/**
 * Pid 1 gives birth to the task, reaps until that ends, kills and reaps who is left, and tells mesh of it: what the kernel does
 * after that, undoing mounts and namespaces, nobody has to wait for. The task continues behind the label "task". Until its exec
 * it shares pid 1's memory, hidden from all others: copying that costs a tenth of a context. So the kernel writes the task's id
 * where pid 1 looks for it, and pid 1 touches nothing else that the task does.
 */
export function reaperOperations(): readonly SetupOp[] {
  const report = (name: string, record: string, length: number) =>
    call(name, "write", [REPORT_FD, address(record), length], ANYWAY);
  return [
    call("hide from the task", "prctl", [PR_SET_DUMPABLE, 0, 0, 0, 0]),
    ...onlyPipe("make a pipe that the task's exec closes"),
    call("start the task's process", "clone", [CLONE_VM | CLONE_PARENT_SETTID | SIGCHLD, 0, address("task"), 0, 0], {
      onResult: { is: 0, goTo: { label: "task" } },
    }),
    call("close the task's input and output", "close_range", [0, REPORT_FD - 1, 0]),
    call("close the task's end of the pipe", "close", [PIPE.writeFd]),
    call("wait for the task's exec", "read", [PIPE.readFd, address("byte"), 1], ANYWAY),
    report("report that it has begun", "begunRecord", 16),
    { kind: "label", label: "reap" },
    call("reap", "wait4", [-1, { kind: "address", at: TASK_STATUS }, 0, 0], {
      onResult: { is: variable("task"), goTo: { label: "task ended" } },
    }),
    { kind: "goto", label: "reap" },
    { kind: "label", label: "task ended" },
    call("kill who is left", "kill", [-1, SIGKILL], ANYWAY),
    { kind: "label", label: "reap who is left" },
    call("reap who is left", "wait4", [-1, 0, 0, 0], { onError: { label: "nobody is left" } }),
    { kind: "goto", label: "reap who is left" },
    { kind: "label", label: "nobody is left" },
    call("read the time on CPUs", "getrusage", [RUSAGE_CHILDREN, address("endRecord", 16)], ANYWAY),
    { kind: "bits", name: "take the task's status", of: TASK_STATUS, mask: 0xffff, result: variable("endRecord", 8) },
    report("report the end", "endRecord", END_RECORD_BYTES),
    call("end pid 1", "exit_group", [0]),
    { kind: "label", label: "task" },
  ];
}

/** Waits until mesh has attached the network helper: one byte on the report socket. */
export function waitForNetwork(): readonly SetupOp[] {
  return [
    call("wait for the network", "read", [REPORT_FD, address("byte"), 1], {
      onResult: { is: 1, goTo: { label: "network ready" } },
    }),
    call("end: mesh is gone", "exit_group", [SETUP_FAILED_EXIT]),
    { kind: "label", label: "network ready" },
  ];
}

/**
 * New credentials have undone `dieWithParent`, so the monitor may have died unheard. Its descriptors are closed before its
 * children are told of its death: one that says again that it dies with its parent, and finds the pipe open then, is told. What mesh
 * has open proves nothing: its threads die one by one, and the first takes the monitor along.
 */
function checkMonitorLives(): readonly SetupOp[] {
  const pollFd = new Uint8Array(8);
  new DataView(pollFd.buffer).setInt32(0, PIPE.readFd, true);
  return [
    call("look for the monitor", "ppoll", [bytes(pollFd), 1, bytes(words(0, 0)), 0, 0], {
      onResult: { is: 0, goTo: { label: "the monitor lives" } },
    }),
    call("end: the monitor is gone", "exit_group", [SETUP_FAILED_EXIT]),
    { kind: "label", label: "the monitor lives" },
  ];
}

/** Closes all descriptors beyond the report socket, and makes a pipe that closes on exec: `PIPE`. */
function onlyPipe(name: string): readonly SetupOp[] {
  return [
    call("close all other descriptors", "close_range", [REPORT_FD + 1, EVERY_FD, 0]),
    call(name, "pipe2", [address("pipe"), O_CLOEXEC]),
  ];
}

function dieWithParent(): SetupOp {
  return call("die with the parent", "prctl", [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0]);
}

/**
 * Single-threaded and writing "0" to `tasks`, the move skips the kernel's global lock, whose wait costs milliseconds
 * (cgroup_procs_write_start).
 */
function joinCgroups(taskFiles: readonly string[]): readonly SetupOp[] {
  return taskFiles.flatMap((path) => writeFile(`join the cgroup of ${path}`, path, "0", false));
}

function writeFile(name: string, path: string, text: string, optional: boolean): readonly SetupOp[] {
  const flow = optional ? ANYWAY : {};
  return [
    call(name, "openat", [AT_FDCWD, path, O_WRONLY_CLOEXEC, 0], { result: variable("descriptor"), ...flow }),
    call(name, "write", [value("descriptor"), text, text.length], flow),
    call(name, "close", [value("descriptor")], flow),
  ];
}

/** Entering a user namespace changes credentials, which makes /proc/self root's: undone, or the id map can't be opened. */
function enterUserNamespace(): readonly SetupOp[] {
  return [
    call("enter the user namespace of the subordinate ids", "setns", [USER_NAMESPACE_FD, CLONE.NEWUSER]),
    call("keep its own process files", "prctl", [PR_SET_DUMPABLE, 1, 0, 0, 0]),
  ];
}

const PID: Place = variable("pidRecord", 8);

function birth(setup: ContextSetup, allotment: Allotment): readonly SetupOp[] {
  const born = { result: PID, onResult: { is: 0, goTo: { label: "pid 1" } } } as const;
  const name = "make the namespaces";
  if (allotment.cgroupDirectory === null) {
    return [call(name, "clone", [birthFlags(setup) | SIGCHLD, 0, 0, 0, 0], born)];
  }
  return [
    call("open the cgroup", "openat", [AT_FDCWD, allotment.cgroupDirectory, O_PATH_CLOEXEC, 0], {
      result: variable("cloneArguments", 80),
    }),
    call(name, "clone3", [address("cloneArguments"), 88], born),
  ];
}

/** `struct clone_args` (clone(2)) for a birth inside a cgroup; its last word is filled with the directory's descriptor. */
export function cloneArguments(setup: ContextSetup): Uint8Array {
  return words(BigInt(birthFlags(setup)) | CLONE_INTO_CGROUP, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, 0);
}

/** All namespaces, and shared descriptors. */
function birthFlags(setup: ContextSetup): number {
  const network = setup.network === "host" ? 0 : CLONE.NEWNET;
  return CLONE.NEWUSER | CLONE.NEWNS | CLONE.NEWPID | CLONE.NEWIPC | CLONE.NEWUTS | CLONE.NEWCGROUP | network;
}

function writeIdMap({ idMap }: Allotment): readonly SetupOp[] {
  const write = (name: string, file: string, text: string): readonly SetupOp[] => [
    call(name, "openat", [AT_FDCWD, file, O_WRONLY_CLOEXEC, 0], { result: variable("descriptor") }),
    call(name, "write", [value("descriptor"), text, text.length]),
    call(name, "close", [value("descriptor")]),
  ];
  return [
    call("enter /proc", "chdir", ["/proc"]),
    { kind: "decimal", name: "write pid 1's id in digits", of: PID, result: variable("digits") },
    call("enter pid 1's process directory", "chdir", [value("digits")]),
    ...(idMap.denySetgroups ? write("refuse setgroups", "setgroups", "deny") : []),
    ...write("map user ids", "uid_map", idMap.uidMap),
    ...write("map group ids", "gid_map", idMap.gidMap),
  ];
}

/** The monitor ends as the task did: same exit code, or same signal. When pid 1 itself was killed, by that signal. */
function dieTheSameDeath(): readonly SetupOp[] {
  const bits = (name: string, of: Place, mask: number, whenZero: string): SetupOp => ({
    kind: "bits",
    name,
    of,
    mask,
    result: variable("signal"),
    onResult: { is: 0, goTo: { label: whenZero } },
  });
  return [
    bits("look whether a signal ended pid 1", variable("initStatus"), 0x7f, "pid 1 exited"),
    { kind: "goto", label: "die by the signal" },
    { kind: "label", label: "pid 1 exited" },
    bits("look whether the set-up failed", variable("initStatus"), 0xff00, "task status is there"),
    call("exit as pid 1 did", "exit_group", [{ kind: "value", at: variable("initStatus", 1) }]),
    { kind: "label", label: "task status is there" },
    bits("look whether a signal ended the task", TASK_STATUS, 0x7f, "task exited"),
    { kind: "goto", label: "die by the signal" },
    { kind: "label", label: "task exited" },
    call("exit as the task did", "exit_group", [{ kind: "value", at: { fixed: SHARED_ADDRESS + 1 } }]),
    { kind: "label", label: "die by the signal" },
    call("leave no core dump", "prctl", [PR_SET_DUMPABLE, 0, 0, 0, 0], ANYWAY),
    call("find its own id", "getpid", [], { result: variable("self") }),
    call("die by the same signal", "kill", [value("self"), value("signal")], ANYWAY),
    call("exit as if killed", "exit_group", [128 + SIGKILL]),
  ];
}
