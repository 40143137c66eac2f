// Runs inside a private mount namespace: mounts each stack that is named on stdin with the kernel's overlayfs and prints the digest of
// what it shows. Lines in: JSON lists of lower directories, bottom first. Lines out: digests.

import { errnoOf } from "../../../src/base/errors.ts";
import { HashPool } from "../../../src/store/io/hash-pool.ts";
import { scanDirectory } from "../../../src/store/io/scan.ts";
import { IDENTITY_IDS } from "../../../src/store/ids.ts";
import { treeDigest } from "../../../src/store/tree-codec.ts";

const [target = ""] = process.argv.slice(2);
const pool = new HashPool();
for (const line of (await Bun.stdin.text()).split("\n").filter((each) => each !== "")) {
  const lowers = (JSON.parse(line) as string[]).toReversed();
  const mounted = Bun.spawnSync([
    "mount",
    "-t",
    "overlay",
    "overlay",
    "-o",
    `ro,userxattr,lowerdir=${lowers.join(":")}`,
    target,
  ]);
  if (mounted.exitCode !== 0) {
    console.log(`mount failed: ${mounted.stderr.toString().trim()}`);
    continue;
  }
  try {
    const scan = await scanDirectory(target, { ids: IDENTITY_IDS, maskedDirectories: new Set(), removeForeign: false });
    await pool.hash(scan, Date.now());
    console.log(treeDigest(scan.tree()));
  } catch (error) {
    // A whiteout that is listed can't be looked up.
    console.log(errnoOf(error) === "ENOENT" ? "shows whiteouts" : String(error));
  }
  Bun.spawnSync(["umount", target]);
}
pool[Symbol.dispose]();
