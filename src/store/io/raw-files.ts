// File system calls on names as bytes and on directory descriptors: what node:fs can't do (names that are not UTF-8, calls relative
// to a directory, extended attributes, whiteout devices), in few system calls an entry. Linux only; loaded on first use.
// Every call returns a value >= 0, or minus the errno; `check` turns that into an error. Not re-entrant: buffers are shared.

import { dlopen, FFIType, type Pointer, ptr, read } from "bun:ffi";
import { constants } from "node:fs";
import { MeshError } from "../../base/errors.ts";
import { bytesOfName, textOfName } from "../names.ts";
import { check, fileError } from "./errno.ts";

const LIBC_NAMES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1", "libc.so"];

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_REMOVEDIR = 0x200;
const AT_EMPTY_PATH = 0x1000;
/** Everything up to stx_blocks, and no more (statx(2)). */
const STATX_BASIC = 0x7ff;
const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;

export const HERE = AT_FDCWD;

/** File types of st_mode and of directory entries. */
export const TYPE_MASK = 0o170000;
export const TYPE_FILE = 0o100000;
export const TYPE_DIRECTORY = 0o040000;
export const TYPE_SYMLINK = 0o120000;
export const TYPE_FIFO = 0o010000;
export const TYPE_CHARACTER = 0o020000;

export const READ_WRITE_FILE = constants.O_RDWR | constants.O_NOFOLLOW | O_CLOEXEC;
export const READ_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | O_CLOEXEC;
/** Never blocks on a fifo and never follows a link that took the file's place. */
export const READ_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
export const CREATE_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | O_CLOEXEC;

const SIGNATURES = {
  openat: { args: ["i32", "ptr", "i32", "u32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  write: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  lseek: { args: ["i32", "i64", "i32"], returns: FFIType.i64_fast },
  getdents64: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  statx: { args: ["i32", "ptr", "i32", "u32", "ptr"], returns: "i32" },
  fchmod: { args: ["i32", "u32"], returns: "i32" },
  fchmodat: { args: ["i32", "ptr", "u32", "i32"], returns: "i32" },
  fchownat: { args: ["i32", "ptr", "u32", "u32", "i32"], returns: "i32" },
  unlinkat: { args: ["i32", "ptr", "i32"], returns: "i32" },
  renameat: { args: ["i32", "ptr", "i32", "ptr"], returns: "i32" },
  linkat: { args: ["i32", "ptr", "i32", "ptr", "i32"], returns: "i32" },
  mkdirat: { args: ["i32", "ptr", "u32"], returns: "i32" },
  symlinkat: { args: ["ptr", "i32", "ptr"], returns: "i32" },
  readlinkat: { args: ["i32", "ptr", "ptr", "u64"], returns: FFIType.i64_fast },
  mknodat: { args: ["i32", "ptr", "u32", "u64"], returns: "i32" },
  futimens: { args: ["i32", "ptr"], returns: "i32" },
  utimensat: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
  flistxattr: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  fgetxattr: { args: ["i32", "ptr", "ptr", "u64"], returns: FFIType.i64_fast },
  fsetxattr: { args: ["i32", "ptr", "ptr", "u64", "i32"], returns: "i32" },
  fremovexattr: { args: ["i32", "ptr"], returns: "i32" },
  ioctl: { args: ["i32", "u64", "i32"], returns: "i32" },
  copy_file_range: { args: ["i32", "ptr", "i32", "ptr", "u64", "u32"], returns: FFIType.i64_fast },
  flock: { args: ["i32", "i32"], returns: "i32" },
  syncfs: { args: ["i32"], returns: "i32" },
  __errno_location: { args: [], returns: "ptr" },
} as const;

type Libc = ReturnType<typeof dlopen<typeof SIGNATURES>>["symbols"];

let loaded: Libc | null = null;

function libc(): Libc {
  if (loaded) return loaded;
  for (const name of LIBC_NAMES) {
    try {
      loaded = dlopen(name, SIGNATURES).symbols;
      return loaded;
    } catch {
      // The next name may be there.
    }
  }
  throw new MeshError("context.unavailable", "Cannot load the C library: layers need Linux");
}

/** Memory that C may write to, and its address, which stays while the buffer is referenced. */
class Memory {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  readonly address: Pointer;

  constructor(size: number) {
    this.bytes = new Uint8Array(new ArrayBuffer(size));
    this.view = new DataView(this.bytes.buffer);
    this.address = ptr(this.bytes);
  }
}

const PATH_MAX = 4096;
const firstPath = new Memory(PATH_MAX * 2);
const secondPath = new Memory(PATH_MAX * 2);
const attributeName = new Memory(512);
const attributeData = new Memory(65_536);
const statData = new Memory(256);
const statWords = new Uint32Array(statData.bytes.buffer, 0, 36);
const linkData = new Memory(PATH_MAX);
const entryData = new Memory(65_536);
const noPath = new Memory(8);
const timeData = new Memory(32);
/** The directory buffer as node's Buffer, which makes text of plain ASCII fastest. */
const latin1 = Buffer.from(entryData.bytes.buffer) as Buffer & { latin1Slice(from: number, to: number): string };

/** Writes a NUL-terminated name; the address to hand to C. Names with a NUL or beyond PATH_MAX are refused as ENAMETOOLONG. */
function cName(buffer: Memory, text: string): Pointer {
  const bytes = buffer.bytes;
  const length = text.length;
  let at = 0;
  if (length < bytes.length) {
    for (; at < length; at++) {
      const code = text.charCodeAt(at);
      if (code >= 0x80 || code === 0) break;
      bytes[at] = code;
    }
  }
  if (at < length) {
    const encoded = bytesOfName(text);
    if (encoded.length >= bytes.length || encoded.includes(0)) throw fileError(36, "name", text);
    bytes.set(encoded);
    at = encoded.length;
  }
  bytes[at] = 0;
  return buffer.address;
}

function answer(value: number | bigint): number {
  const result = Number(value);
  if (result >= 0) return result;
  const location = libc().__errno_location();
  return location === null ? -5 : -read.i32(location, 0);
}

/** Metadata of one file. Times in whole seconds and nanoseconds. */
export interface FileStat {
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly ino: number;
  readonly device: number;
  readonly size: number;
  readonly rdev: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  readonly ctimeSec: number;
  readonly ctimeNsec: number;
}

/** Words (32 bits) of the part of a statx buffer that holds what a `FileStat` has. */
export const STAT_WORDS = 36;

/** Reads a `FileStat` from the words of a statx buffer that begin at `at`. */
export function statFromWords(words: Uint32Array, at = 0): FileStat {
  const word = (index: number): number => words[at + index] ?? 0;
  return {
    nlink: word(4),
    uid: word(5),
    gid: word(6),
    mode: word(7) & 0xffff,
    ino: word(8) + word(9) * 0x1_0000_0000,
    size: word(10) + word(11) * 0x1_0000_0000,
    ctimeSec: word(24) + (word(25) | 0) * 0x1_0000_0000,
    ctimeNsec: word(26),
    mtimeSec: word(28) + (word(29) | 0) * 0x1_0000_0000,
    mtimeNsec: word(30),
    rdev: word(32) * 0x10_0000 + word(33),
    device: word(34) * 0x10_0000 + word(35),
  };
}

/** Puts an open file's statx words into `words`, which has room for `STAT_WORDS`. */
export function statWordsFd(fd: number, words: Uint32Array): void {
  check(answer(libc().statx(fd, noPath.address, AT_EMPTY_PATH, STATX_BASIC, statData.address)), "stat", "open file");
  words.set(statWords);
}

/** Opens relative to a directory descriptor (or `HERE`): a descriptor, or -errno. */
export function openAt(directory: number, name: string, flags: number, mode = 0): number {
  return answer(libc().openat(directory, cName(firstPath, name), flags, mode));
}

/** The same, with the name as bytes in memory that end with a NUL. */
export function openAtAddress(directory: number, address: number, flags: number): number {
  return answer(libc().openat(directory, address as Pointer, flags, 0));
}

export function closeFd(fd: number): void {
  libc().close(fd);
}

/** Metadata without following a link: the stat, or -errno. */
export function statAt(directory: number, name: string): FileStat | number {
  const code = answer(
    libc().statx(directory, cName(firstPath, name), AT_SYMLINK_NOFOLLOW, STATX_BASIC, statData.address),
  );
  return code < 0 ? code : statFromWords(statWords);
}

/** Metadata of an open file. */
export function statFd(fd: number): FileStat {
  check(answer(libc().statx(fd, noPath.address, AT_EMPTY_PATH, STATX_BASIC, statData.address)), "stat", "open file");
  return statFromWords(statWords);
}

/** Reads into a buffer whose address is `address`: bytes read, 0 at the end, or -errno. */
export function readInto(fd: number, address: Pointer, length: number): number {
  return answer(libc().read(fd, address, length));
}

/** FICLONE of linux/fs.h. */
const FICLONE = 0x40049409;
const COPY_BYTES = 1 << 26;

/** Makes the empty file `target` share all blocks of `source`: 0, or -errno where the filesystem can't. */
export function cloneInto(source: number, target: number): number {
  return answer(libc().ioctl(target, FICLONE, source));
}

/** Copies from one open file's position to another's inside the kernel: bytes copied, 0 at the end, or -errno. */
export function copyRange(source: number, target: number): number {
  return answer(libc().copy_file_range(source, null, target, null, COPY_BYTES, 0));
}

/** Address of memory to hand to `readInto`; the array must stay referenced. */
export function addressOf(bytes: Uint8Array): Pointer {
  return ptr(bytes);
}

/** Goes back to an open file's start. */
export function rewind(fd: number): void {
  libc().lseek(fd, 0, 0);
}

/** Writes all of the bytes. Throws what `check` throws. */
export function writeAll(fd: number, bytes: Uint8Array, path: string): void {
  for (let at = 0; at < bytes.length;) {
    at += check(answer(libc().write(fd, ptr(bytes, at), bytes.length - at)), "write", path);
  }
}

/**
 * Calls `visit` for each name in an open directory but "." and "..", with its type (`TYPE_*`, 0 when the filesystem does not
 * say) and its bytes including the NUL at their end, which are only valid during the call.
 */
export function readDirectory(
  fd: number,
  path: string,
  visit: (name: string, type: number, bytes: Uint8Array) => void,
): void {
  const { bytes, view } = entryData;
  for (;;) {
    const filled = check(answer(libc().getdents64(fd, entryData.address, bytes.length)), "list", path);
    if (filled === 0) return;
    for (let at = 0; at < filled; at += view.getUint16(at + 16, true)) {
      const start = at + 19;
      let end = start;
      let high = 0;
      for (let byte = bytes[end] ?? 0; byte !== 0; byte = bytes[++end] ?? 0) high |= byte;
      if (bytes[start] === 46 && (end === start + 1 || (end === start + 2 && bytes[start + 1] === 46))) continue;
      const text = high < 0x80 ? latin1.latin1Slice(start, end) : textOfName(bytes.subarray(start, end));
      // d_type is the file type shifted down (readdir(3)).
      visit(text, (bytes[at + 18] ?? 0) << 12, bytes.subarray(start, end + 1));
    }
  }
}

/** Target of a symlink, or -errno. */
export function readLinkAt(directory: number, name: string): string | number {
  const length = answer(libc().readlinkat(directory, cName(firstPath, name), linkData.address, PATH_MAX));
  return length < 0 ? length : textOfName(linkData.bytes.subarray(0, length));
}

/** Whether an open file has extended attributes. */
export function hasXattrs(fd: number): boolean {
  return answer(libc().flistxattr(fd, attributeData.address, 0)) > 0;
}

/** Names of extended attributes of an open file; none where the filesystem knows none. */
export function listXattrs(fd: number): readonly string[] {
  const length = answer(libc().flistxattr(fd, attributeData.address, attributeData.bytes.length));
  if (length <= 0) return [];
  return textOfName(attributeData.bytes.subarray(0, length - 1)).split("\0");
}

/** Value of an extended attribute, a fresh copy; null when it is not there. */
export function getXattr(fd: number, name: string): Uint8Array | null {
  const address = cName(attributeName, name);
  const length = answer(libc().fgetxattr(fd, address, attributeData.address, attributeData.bytes.length));
  return length < 0 ? null : attributeData.bytes.slice(0, length);
}

export function setXattr(fd: number, name: string, value: Uint8Array): number {
  attributeData.bytes.set(value);
  return answer(libc().fsetxattr(fd, cName(attributeName, name), attributeData.address, value.length, 0));
}

export function removeXattr(fd: number, name: string): number {
  return answer(libc().fremovexattr(fd, cName(attributeName, name)));
}

export function chmodAt(directory: number, name: string, mode: number): number {
  return answer(libc().fchmodat(directory, cName(firstPath, name), mode, 0));
}

export function chmodFd(fd: number, mode: number): number {
  return answer(libc().fchmod(fd, mode));
}

/** Changes the owner of the entry itself, never of a link's target. */
export function chownAt(directory: number, name: string, uid: number, gid: number): number {
  return answer(libc().fchownat(directory, cName(firstPath, name), uid, gid, AT_SYMLINK_NOFOLLOW));
}

export function unlinkAt(directory: number, name: string): number {
  return answer(libc().unlinkat(directory, cName(firstPath, name), 0));
}

export function removeDirectoryAt(directory: number, name: string): number {
  return answer(libc().unlinkat(directory, cName(firstPath, name), AT_REMOVEDIR));
}

export function renameAt(from: number, fromName: string, to: number, toName: string): number {
  return answer(libc().renameat(from, cName(firstPath, fromName), to, cName(secondPath, toName)));
}

/** Makes a hardlink; a symlink is linked itself. */
export function linkAt(from: number, fromName: string, to: number, toName: string): number {
  return answer(libc().linkat(from, cName(firstPath, fromName), to, cName(secondPath, toName), 0));
}

export function makeDirectoryAt(directory: number, name: string, mode: number): number {
  return answer(libc().mkdirat(directory, cName(firstPath, name), mode));
}

export function makeSymlinkAt(target: string, directory: number, name: string): number {
  return answer(libc().symlinkat(cName(secondPath, target), directory, cName(firstPath, name)));
}

/** Makes an overlay whiteout: a character device 0:0, which needs no privilege. */
export function makeWhiteoutAt(directory: number, name: string): number {
  return answer(libc().mknodat(directory, cName(firstPath, name), TYPE_CHARACTER, 0));
}

export function makeFifoAt(directory: number, name: string, mode: number): number {
  return answer(libc().mknodat(directory, cName(firstPath, name), TYPE_FIFO | mode, 0));
}

/** Sets access and modification time of the entry itself. */
export function setTimesAt(directory: number, name: string, seconds: number, nanoseconds: number): number {
  putTimes(seconds, nanoseconds);
  return answer(libc().utimensat(directory, cName(firstPath, name), timeData.address, AT_SYMLINK_NOFOLLOW));
}

/** Sets access and modification time of an open file. */
export function setTimesFd(fd: number, seconds: number, nanoseconds: number): number {
  putTimes(seconds, nanoseconds);
  return answer(libc().futimens(fd, timeData.address));
}

function putTimes(seconds: number, nanoseconds: number): void {
  for (const offset of [0, 16]) {
    timeData.view.setBigInt64(offset, BigInt(seconds), true);
    timeData.view.setBigInt64(offset + 8, BigInt(nanoseconds), true);
  }
}

/** LOCK_EX | LOCK_NB of sys/file.h. */
const LOCK_NOW = 6;

/** Takes the lock of an open file, which goes with its last descriptor: 0, or -EAGAIN when somebody has it. */
export function lockNow(fd: number): number {
  return answer(libc().flock(fd, LOCK_NOW));
}

/** Writes all of the filesystem that holds `fd` to its disk. */
export function syncFilesystem(fd: number): number {
  return answer(libc().syncfs(fd));
}
