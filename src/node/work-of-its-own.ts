// What this program does when it has started itself: a job on files of other owners, and what is left to do after its death.

import { ContextRuntime } from "../oci/io/launch.ts";
import { currentOwner, isAlive } from "../store/io/liveness.ts";
import { Store } from "../store/io/store.ts";
import type { Owner } from "../store/owner.ts";
import { MachineOwnership, performJob } from "./foreign-files.ts";

/** Does it; the exit code. `words`: "job FILE", or "after-death HOME PID TICKS", the last of which are the dead process's. */
export async function workOfItsOwn(words: readonly string[]): Promise<number> {
  const [what, path = "", pid = "", startTicks = ""] = words;
  switch (what) {
    case "job":
      await performJob(path);
      return 0;
    case "after-death":
      await afterDeath(path, { ...currentOwner(), pid: Number(pid), startTicks });
      return 0;
    default:
      return 2;
  }
}

/** Times that the dead process's folders are removed: it and its contexts may take a moment to die, and write until then. */
const MOST_ROUNDS = 100;
const ROUND_MS = 50;

/** Removes what a process left that was killed: folders, unfinished logs, control groups. Its contexts die by themselves. */
async function afterDeath(home: string, dead: Owner): Promise<void> {
  await using ownership = new MachineOwnership(home);
  using store = Store.open(home, ownership);
  for (let round = 1; ; round++) {
    try {
      // descriptors are closed, which starts this, before the last of its threads is gone
      const isDead = !isAlive(dead);
      if (((await store.sweep()) === 0 && isDead) || round === MOST_ROUNDS) break;
    } catch (error) {
      if (round === MOST_ROUNDS) throw error;
    }
    await Bun.sleep(ROUND_MS);
  }
  await store.settled();
  // looking for usable control groups removes those of dead processes
  await using runtime = ContextRuntime.open({ home });
  void runtime.mechanisms;
}
