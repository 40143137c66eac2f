// The language a context is described in: a flat list of named system calls with jumps. Plain data, performed elsewhere.

/** What one argument of a system call is. Text and bytes stand for the address where the program keeps them. */
export type Argument =
  | number
  | bigint
  | string
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** Address of a vector of texts that ends in a null pointer, as execve(2) wants it. */
  | { readonly kind: "strings"; readonly strings: readonly string[] }
  /** Address of a `struct sock_fprog` over these instructions. */
  | { readonly kind: "filter"; readonly instructions: Uint8Array }
  /** What the 8 bytes at this place hold when the operation is performed. */
  | { readonly kind: "value"; readonly at: Place }
  | { readonly kind: "address"; readonly at: Place };

/** A place in the program's memory: `offset` bytes into a variable, or a fixed address (shared memory). */
export type Place = { readonly variable: string; readonly offset?: number } | { readonly fixed: number };

/** Where the program goes on. */
export type Target = "next" | { readonly label: string };

interface Flow {
  /** What the operation does, for people: "mount overlay". It is named when the operation fails. */
  readonly name: string;
  /** Where the result is kept (8 bytes). */
  readonly result?: Place;
  /** When the kernel answers with an error: "fail" reports it and ends the context. Default "fail". */
  readonly onError?: "fail" | Target;
  /** Where to go when the result is this number, or what this place holds. */
  readonly onResult?: { readonly is: number | Place; readonly goTo: Target };
}

export type SetupOp =
  | (Flow & { readonly kind: "call"; readonly call: SetupCall; readonly arguments: readonly Argument[] })
  /** Result is the value at `of` and-ed with `mask`. */
  | (Flow & { readonly kind: "bits"; readonly of: Place; readonly mask: number })
  /** Result is the address of the value at `of` as decimal text. */
  | (Flow & { readonly kind: "decimal"; readonly of: Place })
  | { readonly kind: "label"; readonly label: string }
  | { readonly kind: "goto"; readonly label: string };

/** A program: where variables start, and what is done. A variable that is not listed is 8 zero bytes. */
export interface SetupProgram {
  readonly variables: Readonly<Record<string, Uint8Array>>;
  readonly operations: readonly SetupOp[];
}

/** Calls that a program may make. */
export type SetupCall =
  | "capset"
  | "chdir"
  | "clone"
  | "clone3"
  | "close"
  | "close_range"
  | "execve"
  | "exit_group"
  | "fchdir"
  | "fsconfig"
  | "fsmount"
  | "fsopen"
  | "getpid"
  | "getppid"
  | "getrusage"
  | "ioctl"
  | "kill"
  | "mkdirat"
  | "mknodat"
  | "mmap"
  | "mount"
  | "mount_setattr"
  | "move_mount"
  | "openat"
  | "pipe2"
  | "pivot_root"
  | "ppoll"
  | "prctl"
  | "prlimit64"
  | "read"
  | "recvfrom"
  | "rt_sigprocmask"
  | "sched_setaffinity"
  | "seccomp"
  | "sethostname"
  | "setgroups"
  | "setns"
  | "setresgid"
  | "setresuid"
  | "setsid"
  | "socket"
  | "symlinkat"
  | "umask"
  | "umount2"
  | "unlinkat"
  | "unshare"
  | "wait4"
  | "write";

/** Paths are relative to the working directory. */
export const AT_FDCWD = -100;
export const O_CLOEXEC = 0x80000;
/** O_PATH, close on exec; O_DIRECTORY is left out because its bit differs between the architectures. */
export const O_PATH_CLOEXEC = 0x280000;

type CallFlow = Omit<Flow, "name">;

/** One system call. */
export function call(name: string, setupCall: SetupCall, args: readonly Argument[], flow: CallFlow = {}): SetupOp {
  return { kind: "call", name, call: setupCall, arguments: args, ...flow };
}

/** A flow that ignores errors. */
export const ANYWAY: CallFlow = { onError: "next" };

export function variable(name: string, offset = 0): Place {
  return { variable: name, offset };
}

export function value(of: string): Argument {
  return { kind: "value", at: variable(of) };
}

export function address(of: string, offset = 0): Argument {
  return { kind: "address", at: variable(of, offset) };
}

export function bytes(content: Uint8Array): Argument {
  return { kind: "bytes", bytes: content };
}

/** Bytes of 64-bit words, little endian. */
export function words(...values: readonly (number | bigint)[]): Uint8Array {
  return new Uint8Array(new BigUint64Array(values.map((word) => BigInt.asUintN(64, BigInt(word)))).buffer);
}
