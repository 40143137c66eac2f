// A context as a value: every system call from spawn to exec, in order. `plan` decides all; what performs it makes no choice.

import { CAPABILITIES, capsetArguments, DEFAULT_CAPABILITIES, droppedCapabilities } from "./capabilities.ts";
import type { ContextSpec } from "./context-spec.ts";
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
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The program of one context. Throws nothing: paths and limits were checked by whoever made the spec. */
export function plan(spec: ContextSpec, machine: MachineFacts, allotment: Allotment): SetupProgram {
  return {
    variables:
      allotment.cgroupDirectory === null
        ? PROCESS_VARIABLES
        : { ...PROCESS_VARIABLES, cloneArguments: cloneArguments(spec) },
    operations: [
      ...monitorOperations(spec, machine, allotment),
      ...initOperations(),
      ...rootOperations(spec, machine, allotment),
      ...mountOperations(spec, machine, allotment),
      ...namespaceOperations(spec),
      ...leaveHostRoot(),
      ...(spec.network === "nat" ? waitForNetwork() : []),
      ...reaperOperations(),
      ...taskOperations(spec, allotment),
    ],
  };
}

/** The task's process up to its exec: nothing after it can undo what is given up here. */
function taskOperations(spec: ContextSpec, allotment: Allotment): readonly SetupOp[] {
  return [
    call("start a session", "setsid", []),
    call("set the file mode mask", "umask", [0o022]),
    ...limitResource("forbid core dumps", RLIMIT_CORE, 0),
    ...(allotment.processLimit === null ? [] : limitResource("limit processes", RLIMIT_NPROC, allotment.processLimit)),
    ...(allotment.cpuMask === null
      ? []
      : [call("choose CPUs", "sched_setaffinity", [0, allotment.cpuMask.length, bytes(allotment.cpuMask)])]),
    call(`chdir ${spec.cwd}`, "chdir", [spec.cwd]),
    ...(capabilityOperations ??= dropCapabilities()),
    call("give up new privileges", "prctl", [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0]),
    call("keep no descriptor beyond the exec", "close_range", [3, 0xffffffff, CLOSE_RANGE_CLOEXEC]),
    call("unblock signals", "rt_sigprocmask", [SIG_SETMASK, bytes(words(0)), 0, 8]),
    call("filter system calls", "seccomp", [1, 0, { kind: "filter", instructions: allotment.filter }]),
    ...execute(spec),
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

/** A bare command name is looked for along the context's own PATH; the last place's error is the one reported. */
function execute(spec: ContextSpec): readonly SetupOp[] {
  const command = spec.argv[0] ?? "";
  const environment = Object.entries(spec.env).map(([name, text]) => `${name}=${text}`);
  const places = command.includes("/")
    ? [command]
    : (spec.env["PATH"] ?? DEFAULT_PATH)
        .split(":")
        .map((directory) => `${directory === "" ? "." : directory}/${command}`);
  return places.map((path, index) =>
    call(
      `exec ${path}`,
      "execve",
      [path, { kind: "strings", strings: spec.argv }, { kind: "strings", strings: environment }],
      index < places.length - 1 ? ANYWAY : {},
    ),
  );
}
