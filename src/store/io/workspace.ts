// The root and the workspace of a task's upper directory, before that becomes a layer. It never looks into them.

import { WORKSPACE_IN_TREE } from "../paths.ts";
import { check } from "./errno.ts";
import * as raw from "./raw-files.ts";
import { OPAQUE } from "./scan.ts";

/** Puts an empty, opaque workspace where a task removed its own: every task finds one. Does nothing elsewhere. */
export function keepWorkspace(upper: string): void {
  const path = `${upper}/${WORKSPACE_IN_TREE}`;
  const stat = raw.statAt(raw.HERE, path);
  if (typeof stat === "number" || (stat.mode & raw.TYPE_MASK) === raw.TYPE_DIRECTORY) return;
  check(raw.unlinkAt(raw.HERE, path), "remove", path);
  check(raw.makeDirectoryAt(raw.HERE, path, 0o755), "make", path);
  const fd = check(raw.openAt(raw.HERE, path, raw.READ_DIRECTORY), "open", path);
  try {
    check(raw.setXattr(fd, OPAQUE, Buffer.from("y")), "mark", path);
  } finally {
    raw.closeFd(fd);
  }
}

/** A task may close even its root, or give it away; the root's own attributes are no part of a layer. */
export function takeRoot(upper: string): void {
  const stat = raw.statAt(raw.HERE, upper);
  const user = process.geteuid?.() ?? 0;
  if (typeof stat !== "number" && stat.uid !== user)
    check(raw.chownAt(raw.HERE, upper, user, process.getegid?.() ?? 0), "own", upper);
  check(raw.chmodAt(raw.HERE, upper, 0o755), "open", upper);
}
