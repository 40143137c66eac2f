// The few C library calls that Bun has no name for, one at a time and by path. Loaded on first use. What has to be done to
// thousands of files, by descriptor and by names that are no UTF-8, is src/store/io/raw-files.ts: it shares buffers, which
// makes a call five times cheaper and its code harder to read.
// Failures are `Error`s with a `code` ("ENOENT"), like those of node:fs.

import { closeSync, openSync } from "node:fs";
import { constants } from "node:os";
import { dlopen, type Pointer, read } from "bun:ffi";

/** Both ends of a pipe; neither is inherited by a child unless passed on. */
export interface Pipe {
  readonly readFd: number;
  readonly writeFd: number;
}

/** A pipe (pipe2(2)), close on exec. */
export function makePipe(): Pipe {
  const ends = new Int32Array(2);
  check("pipe2", library().pipe2(ends, CLOSE_ON_EXEC));
  return { readFd: ends[0] ?? -1, writeFd: ends[1] ?? -1 };
}

/** Two ends of a connected stream socket (socketpair(2)), close on exec. */
export function makeSocketPair(): readonly [number, number] {
  const ends = new Int32Array(2);
  check("socketpair", library().socketpair(AF_UNIX, SOCK_STREAM | CLOSE_ON_EXEC, 0, ends));
  return [ends[0] ?? -1, ends[1] ?? -1];
}

/** Descriptor of an empty file in memory that may be executed and sealed (memfd_create(2)), close on exec. */
export function makeMemoryFile(name: string): number {
  const MFD_CLOEXEC = 1;
  const MFD_ALLOW_SEALING = 2;
  const MFD_EXEC = 0x10;
  const { memfd_create: create } = library();
  const fd = create(cString(name), MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  // Kernels before 6.3 do not know the flag and need none.
  return fd >= 0 ? fd : check("memfd_create", create(cString(name), MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

/** Makes a file in memory what it is for good: nobody may write to it, resize it or lift that (F_ADD_SEALS, fcntl(2)). */
export function sealMemoryFile(fd: number): void {
  const F_ADD_SEALS = 1033;
  const SEAL_SHRINK_GROW_WRITE = 0xf;
  check("fcntl", library().fcntl(fd, F_ADD_SEALS, SEAL_SHRINK_GROW_WRITE));
}

/** Makes a whiteout: the character device 0:0, which overlayfs reads as "not here" and any user may make. */
export function makeWhiteout(path: string): void {
  check("mknod", library().mknod(cString(path), 0o020000, 0n), path);
}

/** Sets an extended attribute of the file itself, not of what it links to. */
export function setXattr(path: string, name: string, content: Uint8Array): void {
  const bytes = content.length === 0 ? new Uint8Array(1) : content;
  check("lsetxattr", library().lsetxattr(cString(path), cString(name), bytes, BigInt(content.length), 0), path);
}

/** An extended attribute of the file itself; null when it has none of that name. */
export function getXattr(path: string, name: string): Uint8Array | null {
  return readGrowing("lgetxattr", path, (bytes) =>
    library().lgetxattr(cString(path), cString(name), bytes, BigInt(bytes.length)),
  );
}

/** Locks an open file for this process alone, until it is closed or the process ends (flock(2)). False when another one has it. */
export function tryLock(fd: number): boolean {
  const LOCK_EX = 2;
  const LOCK_NB = 4;
  if (library().flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const code = errno();
  if (code === "EWOULDBLOCK" || code === "EAGAIN") return false;
  throw systemError("flock", code);
}

/**
 * Tells the filesystem that the folders in this one have nothing to do with each other, so that it may keep them apart (chattr(1),
 * T). Ext4 without a journal walks past every inode that was removed from a group of blocks in the last minute whenever it
 * makes one there: folders that are made and removed all the time, side by side, take ten times as long. A hint: what does not
 * know it goes without.
 */
export function spreadFolders(directory: string): void {
  if (process.platform !== "linux") return;
  const FS_IOC_GETFLAGS = 0x80086601n;
  const FS_IOC_SETFLAGS = 0x40086602n;
  const FS_TOPDIR_FL = 0x20000;
  const fd = openSync(directory, "r");
  try {
    const flags = new Int32Array(2);
    if (library().ioctl(fd, FS_IOC_GETFLAGS, flags) < 0) return;
    flags[0] = (flags[0] ?? 0) | FS_TOPDIR_FL;
    library().ioctl(fd, FS_IOC_SETFLAGS, flags);
  } finally {
    closeSync(fd);
  }
}

const CLOSE_ON_EXEC = 0o2000000;
const AF_UNIX = 1;
const SOCK_STREAM = 1;

const SYMBOLS = {
  __errno_location: { args: [], returns: "ptr" },
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
  memfd_create: { args: ["ptr", "u32"], returns: "i32" },
  flock: { args: ["i32", "i32"], returns: "i32" },
  mknod: { args: ["ptr", "u32", "u64"], returns: "i32" },
  lsetxattr: { args: ["ptr", "ptr", "ptr", "u64", "i32"], returns: "i32" },
  lgetxattr: { args: ["ptr", "ptr", "ptr", "u64"], returns: "i64" },
} as const;

type Library = ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"];

let loaded: Library | null = null;

function library(): Library {
  return (loaded ??= load());
}

/** glibc's name, then musl's. */
function load(): Library {
  try {
    return dlopen("libc.so.6", SYMBOLS).symbols;
  } catch {
    return dlopen(process.arch === "arm64" ? "libc.musl-aarch64.so.1" : "libc.musl-x86_64.so.1", SYMBOLS).symbols;
  }
}

function cString(text: string): Uint8Array {
  return Buffer.from(`${text}\0`);
}

/** The first call may find the buffer too small; then its right size is asked for. */
function readGrowing(name: string, path: string, readInto: (bytes: Uint8Array) => number | bigint): Uint8Array | null {
  for (let capacity = 1024; ; capacity *= 8) {
    const bytes = new Uint8Array(capacity);
    const length = Number(readInto(bytes));
    if (length >= 0) return bytes.slice(0, length);
    const code = errno();
    if (code === "ENODATA" || code === "EOPNOTSUPP") return null;
    if (code !== "ERANGE" || capacity > 1024 * 1024) throw systemError(name, code, path);
  }
}

function check(name: string, result: number, path?: string): number {
  if (result >= 0) return result;
  throw systemError(name, errno(), path);
}

function errno(): string {
  const location = library().__errno_location() as Pointer;
  return errnoName(read.i32(location));
}

/** "EINVAL" for 22; "errno 999" for one that has no name. */
export function errnoName(number: number): string {
  const found = Object.entries(constants.errno).find(([, value]) => value === number);
  return found?.[0] ?? `errno ${number}`;
}

function systemError(name: string, code: string, path?: string): Error {
  return Object.assign(new Error(`${code}: ${name}${path === undefined ? "" : ` '${path}'`}`), { code, syscall: name });
}
