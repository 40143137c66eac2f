// Files that only their owner may see: made 0600 in a folder of 0700, written whole or not at all, and refused when others can
// get at them. It never knows what is in them.

import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { errnoOf, fail } from "../../base/errors.ts";

/** Makes the folder when it is not there. Throws `mesh.state-exposed` when it is another user's or open to others. */
export function ensurePrivateFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error; // Something else has the name: said below.
  }
  const stat = lstatSync(folder);
  if (!stat.isDirectory()) fail("mesh.state-exposed", `Cannot use ${folder}: it is no folder`);
  refuseExposed(folder, stat);
}

/** A file's bytes; null when it is not there. Throws `mesh.state-exposed` when others can get at it, `mesh.state-corrupt` when it is too large. */
export function readPrivateFile(path: string, maxBytes: number): Uint8Array | null {
  const fd = openOrNull(path);
  if (fd === null) return null;
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) fail("mesh.state-exposed", `Cannot use ${path}: it is no plain file`);
    refuseExposed(path, stat);
    if (stat.size > maxBytes) fail("mesh.state-corrupt", `Cannot read ${path}: ${stat.size} bytes are too many`);
    const bytes = new Uint8Array(stat.size);
    let done = 0;
    while (done < bytes.length) {
      const count = readSync(fd, bytes, done, bytes.length - done, done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  } finally {
    closeSync(fd);
  }
}

/** Puts a file in the place of whatever was there, at once and on disk. */
export function replacePrivateFile(path: string, bytes: Uint8Array): void {
  withTemporary(path, bytes, (temporary) => renameSync(temporary, path));
}

/** Puts a file where none is. False, and nothing is changed, when there is one. */
export function createPrivateFile(path: string, bytes: Uint8Array): boolean {
  return withTemporary(path, bytes, (temporary) => {
    try {
      linkSync(temporary, path);
      return true;
    } catch (error) {
      if (errnoOf(error) === "EEXIST") return false;
      throw error;
    }
  });
}

/** Removes a file, and says so on disk. */
export function removePrivateFile(path: string): void {
  rmSync(path, { force: true });
  syncFolder(dirname(path));
}

function withTemporary<T>(path: string, bytes: Uint8Array, place: (temporary: string) => T): T {
  sweepTemporaries(path);
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.${crypto.randomUUID()}`);
  try {
    writeTemporary(temporary, bytes);
    const placed = place(temporary);
    syncFolder(dirname(path));
    return placed;
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Removes what a writer that was killed left beside a file: it may hold a key. */
function sweepTemporaries(path: string): void {
  const prefix = `.${basename(path)}.`;
  for (const name of readdirSync(dirname(path))) {
    if (!name.startsWith(prefix)) continue;
    const pid = Number(name.slice(prefix.length).split(".")[0]);
    if (pid !== process.pid && !lives(pid)) rmSync(join(dirname(path), name), { force: true });
  }
}

function lives(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === "EPERM";
  }
}

function writeTemporary(path: string, bytes: Uint8Array): void {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    fchmodSync(fd, 0o600);
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function openOrNull(path: string): number | null {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    if (errnoOf(error) === "ELOOP") fail("mesh.state-exposed", `Cannot use ${path}: it is a link`);
    throw error;
  }
}

function refuseExposed(path: string, stat: { readonly mode: number; readonly uid: number }): void {
  const mode = (stat.mode & 0o777).toString(8).padStart(3, "0");
  if ((stat.mode & 0o077) !== 0) {
    fail("mesh.state-exposed", `Cannot use ${path}: others can get at it (mode ${mode})`, {
      hint: `Close it to others: \`chmod go= ${path}\`. If someone may have read it: \`mesh leave --new-identity\`.`,
    });
  }
  const uid = process.getuid?.() ?? stat.uid;
  if (stat.uid !== uid) fail("mesh.state-exposed", `Cannot use ${path}: it belongs to user ${stat.uid}, not to ${uid}`);
}
