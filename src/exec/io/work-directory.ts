// The work directory of an overlay, made ready to serve another mount.

import { chmod, readdir, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "../../base/errors.ts";

/**
 * Makes a context's work directory ready: its own, and those of directories of the host that are overlays of their own, which lie
 * in it. Done beside the event loop, since removing directories waits for the disk. False when something else was found.
 */
export async function resetWorkDirectory(work: string): Promise<boolean> {
  const parts = (await readdir(work)).filter((name) => name.startsWith("part-"));
  const resets = await Promise.all([work, ...parts.map((name) => join(work, name))].map(resetOne));
  return resets.every(Boolean);
}

// The kernel leaves work/work, closed to all, and in it work/incompat/volatile/dirty, by which a volatile mount refuses to be
// mounted again. Only that mark goes.
async function resetOne(work: string): Promise<boolean> {
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
