// The lock by which one process at a time is a machine of its mesh: two with one identity would take each other's connections. The
// kernel lets go of it when the process ends, however that ends.

import { closeSync, constants, existsSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fail } from "../../base/errors.ts";
import { tryLock } from "../../base/io/libc.ts";
import { ensurePrivateFolder } from "./private-files.ts";

/** Takes the lock of `$MESH_HOME/mesh`. Throws `node.already-running`, which names the process that has it. */
export function lockMesh(folder: string): Disposable {
  ensurePrivateFolder(folder);
  const path = join(folder, "lock");
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  if (!tryLock(fd)) {
    closeSync(fd);
    fail("node.already-running", `A node runs for ${folder} already: process ${lastHolder(folder) ?? "unknown"}`);
  }
  ftruncateSync(fd);
  writeSync(fd, `${process.pid}\n`, 0);
  return { [Symbol.dispose]: () => closeSync(fd) };
}

/** The process that took the lock last: it may have ended since. null: none ever did. */
export function lastHolder(folder: string): number | null {
  const path = join(folder, "lock");
  const pid = existsSync(path) ? /^\d+/.exec(readFileSync(path, "latin1"))?.[0] : undefined;
  return pid === undefined ? null : Number(pid);
}
