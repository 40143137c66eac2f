// Copies one file's bytes the cheapest way its filesystem knows: sharing the blocks (FICLONE), copying inside the kernel, or
// neither. The target is new; modes and times are the caller's.

import { check } from "./errno.ts";
import * as raw from "./raw-files.ts";

/** Copies the regular file at `from` to the new file `to`; bytes copied. Throws system errors. */
export function copyFile(from: string, to: string): number {
  const source = check(raw.openAt(raw.HERE, from, raw.READ_FILE), "read", from);
  try {
    return copyOpenFile(source, raw.HERE, to);
  } finally {
    raw.closeFd(source);
  }
}

/** Copies an open file to the new file `name` in `directory`; bytes copied. A failed copy is removed. */
export function copyOpenFile(source: number, directory: number, name: string): number {
  const target = check(raw.openAt(directory, name, raw.CREATE_FILE, 0o600), "create", name);
  try {
    if (raw.cloneInto(source, target) === 0) return raw.statFd(target).size;
    return copyBytes(source, target, name);
  } catch (error) {
    raw.unlinkAt(directory, name);
    throw error;
  } finally {
    raw.closeFd(target);
  }
}

function copyBytes(source: number, target: number, name: string): number {
  let total = 0;
  for (;;) {
    const copied = raw.copyRange(source, target);
    if (copied === 0 && total > 0) return total;
    if (copied <= 0) break;
    total += copied;
  }
  // Some filesystems (procfs, FUSE) copy nothing that way, or report an end at once.
  const buffer = new Uint8Array(1 << 18);
  const address = raw.addressOf(buffer);
  for (;;) {
    const length = check(raw.readInto(source, address, buffer.length), "read", name);
    if (length === 0) return total;
    raw.writeAll(target, buffer.subarray(0, length), name);
    total += length;
  }
}
