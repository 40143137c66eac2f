// The seccomp profile of a task: which system calls it may make, by name. Compiled by seccomp.ts; nothing here acts.

import { compileFilter, type Rule } from "./seccomp.ts";
import type { Architecture } from "./syscalls.ts";

/** The compiled filter of a task; with `singleId` also the answers of `FAKED_WITH_SINGLE_ID`. Compiled once per kind. */
export function taskFilter(architecture: Architecture, singleId: boolean): Uint8Array {
  const key = `${architecture} ${singleId}`;
  let filter = compiled.get(key);
  if (filter === undefined) {
    filter = compileFilter({
      architecture,
      allow: allowedSyscalls(),
      rules: singleId ? [...RULES, ...SINGLE_ID_RULES] : RULES,
    });
    compiled.set(key, filter);
  }
  return filter;
}

const compiled = new Map<string, Uint8Array>();

/**
 * Calls that are allowed without a look at their arguments.
 * The default list of containers-common (seccomp.json, as used by podman and CRI-O) for the capabilities of
 * `DEFAULT_CAPABILITIES`, less everything that makes namespaces, mounts, keys, BPF programs, or io_uring rings.
 */
export function allowedSyscalls(): readonly string[] {
  return ALLOWED.trim().split(/\s+/);
}

/**
 * Calls that an image's root expects to work and that a map of one single id can't perform: answered with success and
 * left undone (as Charliecloud's `--seccomp` does), so that package managers finish.
 */
export const FAKED_WITH_SINGLE_ID: readonly string[] = [
  "chown",
  "fchown",
  "lchown",
  "fchownat",
  "setuid",
  "setgid",
  "setreuid",
  "setregid",
  "setresuid",
  "setresgid",
  "setfsuid",
  "setfsgid",
  "setgroups",
];

/** Flags of clone(2) that would make a namespace; refused with EPERM. CLONE_NEWTIME shares its bit with the exit signal. */
export const NAMESPACE_FLAGS = 0x7e020000;

/** ioctl requests that push characters into a terminal: refused with EPERM (CVE-2017-5226). */
export const REFUSED_IOCTLS: readonly number[] = [0x5412 /* TIOCSTI */, 0x541c /* TIOCLINUX */];

const EPERM = { errno: 1 };
const ENOSYS = { errno: 38 };
/** Success, with nothing done. */
const PRETEND = { errno: 0 };
const DEVICE_BIT = 0x2000;

const RULES: readonly Rule[] = [
  { kind: "argument-has-bits", call: "clone", argument: 0, bits: NAMESPACE_FLAGS, verdict: EPERM },
  // Its flags lie in memory, where a filter can't look; a C library falls back to clone.
  { kind: "always", call: "clone3", verdict: ENOSYS },
  ...REFUSED_IOCTLS.map((value): Rule => ({ kind: "argument-is", call: "ioctl", argument: 1, value, verdict: EPERM })),
];

const SINGLE_ID_RULES: readonly Rule[] = [
  ...FAKED_WITH_SINGLE_ID.map((name): Rule => ({ kind: "always", call: name, verdict: PRETEND })),
  { kind: "argument-has-bits", call: "mknod", argument: 1, bits: DEVICE_BIT, verdict: PRETEND },
  { kind: "argument-has-bits", call: "mknodat", argument: 2, bits: DEVICE_BIT, verdict: PRETEND },
];

const ALLOWED = `
  accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown chroot
  clock_adjtime clock_getres clock_gettime clock_nanosleep clone close close_range connect copy_file_range creat
  dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
  epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate
  fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr file_getattr
  file_setattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue
  futex_wait futex_waitv futex_wake futimesat get_mempolicy get_robust_list get_thread_area getcpu getcwd getdents
  getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority
  getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid
  getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy
  io_getevents io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set kill landlock_add_rule
  landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen listxattr listxattrat
  llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack mbind membarrier memfd_create
  memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap modify_ldt mprotect mq_getsetattr
  mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock
  munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause personality pidfd_getfd
  pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv
  preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2
  read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr removexattrat
  rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
  rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
  sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity
  sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop
  sendfile sendmmsg sendmsg sendto set_mempolicy set_robust_list set_thread_area set_tid_address setfsgid setfsuid
  setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt
  setuid setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socket socketpair
  splice stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo syslog tee tgkill time
  timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime
  timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork wait4 waitid write
  writev
`;
