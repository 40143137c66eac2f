// The work directory of an overlay, made ready to serve another mount.

import { chmod, readdir, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "../../base/errors.ts";

/**
 * The kernel leaves work/work, closed to all, and in it work/incompat/volatile/dirty, by which a volatile mount refuses to be
 * mounted again. Only that mark goes. Removing directories waits for the disk, so it is done beside the event loop. False when
 * something else was found.
 */
export async function resetWorkDirectory(work: string): Promise<boolean> {
  try {
    // where the host's root is shown in parts, each has a work directory of its own below
    const parts = (await readdir(work)).filter((name) => name !== INNER).map((name) => join(work, name));
    for (const directory of [work, ...parts]) await removeMark(join(directory, INNER));
    return true;
  } catch {
    return false;
  }
}

const INNER = "work";

async function removeMark(inner: string): Promise<void> {
  const incompat = join(inner, "incompat");
  const mark = join(incompat, "volatile");
  try {
    if (process.getuid?.() !== 0) for (const folder of [inner, incompat, mark]) await chmod(folder, 0o700);
    await unlink(join(mark, "dirty"));
    await rmdir(mark);
    await rmdir(incompat);
  } catch (error) {
    // nothing was mounted over it, so there is nothing to reset
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
