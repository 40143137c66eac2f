// Linux capabilities: numbers, and the set a task keeps. Pure data; see capabilities(7).

/** In the order of their numbers in linux/capability.h. */
export const CAPABILITIES = [
  "CHOWN",
  "DAC_OVERRIDE",
  "DAC_READ_SEARCH",
  "FOWNER",
  "FSETID",
  "KILL",
  "SETGID",
  "SETUID",
  "SETPCAP",
  "LINUX_IMMUTABLE",
  "NET_BIND_SERVICE",
  "NET_BROADCAST",
  "NET_ADMIN",
  "NET_RAW",
  "IPC_LOCK",
  "IPC_OWNER",
  "SYS_MODULE",
  "SYS_RAWIO",
  "SYS_CHROOT",
  "SYS_PTRACE",
  "SYS_PACCT",
  "SYS_ADMIN",
  "SYS_BOOT",
  "SYS_NICE",
  "SYS_RESOURCE",
  "SYS_TIME",
  "SYS_TTY_CONFIG",
  "MKNOD",
  "LEASE",
  "AUDIT_WRITE",
  "AUDIT_CONTROL",
  "SETFCAP",
  "MAC_OVERRIDE",
  "MAC_ADMIN",
  "SYSLOG",
  "WAKE_ALARM",
  "BLOCK_SUSPEND",
  "AUDIT_READ",
  "PERFMON",
  "BPF",
  "CHECKPOINT_RESTORE",
] as const;

export type Capability = (typeof CAPABILITIES)[number];

/** What a task keeps inside its own user namespace: the default list of the container engines. */
export const DEFAULT_CAPABILITIES: readonly Capability[] = [
  "CHOWN",
  "DAC_OVERRIDE",
  "FSETID",
  "FOWNER",
  "MKNOD",
  "SETGID",
  "SETUID",
  "SETFCAP",
  "SETPCAP",
  "NET_BIND_SERVICE",
  "SYS_CHROOT",
  "KILL",
  "AUDIT_WRITE",
];

/** Numbers of the capabilities that are not in `kept`, ascending: the ones to take out of the bounding set. */
export function droppedCapabilities(kept: readonly Capability[]): readonly number[] {
  return CAPABILITIES.flatMap((name, number) => (kept.includes(name) ? [] : [number]));
}

/** The two structures of capset(2), version 3: permitted and effective are `kept`, inheritable is empty. */
export function capsetArguments(kept: readonly Capability[]): {
  readonly header: Uint8Array;
  readonly data: Uint8Array;
} {
  const words = [0, 0];
  for (const name of kept) {
    const number = CAPABILITIES.indexOf(name);
    words[number >> 5] = ((words[number >> 5] ?? 0) | (1 << (number & 31))) >>> 0;
  }
  const [low = 0, high = 0] = words;
  return {
    header: new Uint8Array(new Uint32Array([0x20080522, 0]).buffer),
    data: new Uint8Array(new Uint32Array([low, low, 0, high, high, 0]).buffer),
  };
}
