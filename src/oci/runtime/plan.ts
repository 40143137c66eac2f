// A context as a value: every system call from spawn to exec, in order. `plan` decides all; what performs it makes no choice.
// Only the command itself comes later, as a message (command.ts): all that can be done before it is done before it.

import { CAPABILITIES, capsetArguments, DEFAULT_CAPABILITIES, droppedCapabilities } from "./capabilities.ts";
import { becomeCommand, receiveCommand } from "./command.ts";
import type { ContextSetup } from "./context-spec.ts";
import type { Allotment, MachineFacts } from "./plan-input.ts";
import { mountOperations, namespaceOperations } from "./plan-mounts.ts";
import {
  cloneArguments,
  initOperations,
  monitorOperations,
  PROCESS_VARIABLES,
  reaperOperations,
  waitForNetwork,
} from "./plan-processes.ts";
import { leaveHostRoot, rootOperations } from "./plan-root.ts";
import { ANYWAY, bytes, call, type SetupOp, type SetupProgram, words } from "./setup-op.ts";

const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;
const RLIMIT_CORE = 4;
const RLIMIT_NPROC = 6;
const CLOSE_RANGE_CLOEXEC = 4;
const SIG_SETMASK = 2;

/** The program of one context. Throws nothing: paths and limits were checked by whoever made the setup. */
export function plan(setup: ContextSetup, machine: MachineFacts, allotment: Allotment): SetupProgram {
  return {
    variables:
      allotment.cgroupDirectory === null
        ? PROCESS_VARIABLES
        : { ...PROCESS_VARIABLES, cloneArguments: cloneArguments(setup) },
    operations: [
      ...monitorOperations(setup, machine, allotment),
      ...initOperations(),
      ...rootOperations(setup, machine, allotment),
      ...mountOperations(setup, machine, allotment),
      ...namespaceOperations(setup),
      ...leaveHostRoot(),
      ...(setup.network === "nat" ? waitForNetwork() : []),
      ...reaperOperations(),
      ...taskOperations(allotment),
    ],
  };
}

/** The task's process up to its exec: nothing after it can undo what is given up here. */
function taskOperations(allotment: Allotment): readonly SetupOp[] {
  return [
    call("start a session", "setsid", []),
    call("set the file mode mask", "umask", [0o022]),
    ...limitResource("forbid core dumps", RLIMIT_CORE, 0),
    ...(allotment.processLimit === null ? [] : limitResource("limit processes", RLIMIT_NPROC, allotment.processLimit)),
    ...(allotment.cpuMask === null
      ? []
      : [call("choose CPUs", "sched_setaffinity", [0, allotment.cpuMask.length, bytes(allotment.cpuMask)])]),
    ...(capabilityOperations ??= dropCapabilities()),
    call("give up new privileges", "prctl", [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0]),
    call("keep no descriptor beyond the exec", "close_range", [3, 0xffffffff, CLOSE_RANGE_CLOEXEC]),
    call("unblock signals", "rt_sigprocmask", [SIG_SETMASK, bytes(words(0)), 0, 8]),
    call("filter system calls", "seccomp", [1, 0, { kind: "filter", instructions: allotment.filter }]),
    ...receiveCommand(),
    ...becomeCommand(),
  ];
}

function limitResource(name: string, resource: number, limit: number): readonly SetupOp[] {
  return [call(name, "prlimit64", [0, resource, bytes(words(limit, limit)), 0])];
}

let capabilityOperations: readonly SetupOp[] | null = null;

/** Capabilities newer than this kernel give EINVAL, which is as good as dropped. */
function dropCapabilities(): readonly SetupOp[] {
  const { header, data } = capsetArguments(DEFAULT_CAPABILITIES);
  return [
    ...droppedCapabilities(DEFAULT_CAPABILITIES).map((number) =>
      call(`drop CAP_${CAPABILITIES[number] ?? number}`, "prctl", [PR_CAPBSET_DROP, number, 0, 0, 0], ANYWAY),
    ),
    call("clear ambient capabilities", "prctl", [PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0], ANYWAY),
    call("set capabilities", "capset", [bytes(header), bytes(data)]),
  ];
}
