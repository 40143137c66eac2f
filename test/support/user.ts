// Runs programs as an ordinary user: as root by dropping everything root has, else as they are.

import { userInfo } from "node:os";
import { readFileSync } from "node:fs";

/** Someone without privileges. Root's tests prefer the user "mesh-test", who may have subordinate ids. */
interface OrdinaryUser {
  readonly uid: number;
  readonly gid: number;
}

const NOBODY_IN_PARTICULAR: OrdinaryUser = { uid: 54_321, gid: 54_321 };

/** Who `asOrdinaryUser` becomes. */
export function ordinaryUser(): OrdinaryUser {
  const { uid, gid } = userInfo();
  if (uid !== 0) return { uid, gid };
  const entry = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((line) => line.startsWith("mesh-test:"));
  const [, , testUid, testGid] = entry?.split(":") ?? [];
  if (testUid === undefined || testGid === undefined) return NOBODY_IN_PARTICULAR;
  return { uid: Number(testUid), gid: Number(testGid) };
}

/** The argv that runs `argv` as an ordinary user. Needs the ability "ordinary-user". */
export function asOrdinaryUser(argv: readonly string[]): readonly string[] {
  if (userInfo().uid !== 0) return argv;
  const { uid, gid } = ordinaryUser();
  return ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--", ...argv];
}
