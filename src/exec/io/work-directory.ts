// The work directory of an overlay, made ready to serve another mount.

import { chmod, readdir, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "../../base/errors.ts";

/**
 * Makes the work directories of one context ready: its root's, `work` itself, and one below it for each part of the host that
 * had an overlay of its own (`part-etc`). False when something else was found.
 */
export async function resetWorkDirectory(work: string): Promise<boolean> {
  if (!(await resetOverlay(work))) return false;
  for (const name of await readdir(work)) {
    if (name.startsWith("part-") && !(await resetOverlay(join(work, name)))) return false;
  }
  return true;
}

/**
 * The kernel leaves work/work, closed to all, and in it work/incompat/volatile/dirty, by which a volatile mount refuses to be
 * mounted again. Only that mark goes. Removing directories waits for the disk, so it is done beside the event loop.
 */
async function resetOverlay(work: string): Promise<boolean> {
  const inner = join(work, "work");
  const incompat = join(inner, "incompat");
  const mark = join(incompat, "volatile");
  try {
    if (process.getuid?.() !== 0) for (const folder of [inner, incompat, mark]) await chmod(folder, 0o700);
    await unlink(join(mark, "dirty"));
    await rmdir(mark);
    await rmdir(incompat);
    return true;
  } catch (error) {
    // nothing was mounted over it, so there is nothing to reset
    return errnoOf(error) === "ENOENT";
  }
}
