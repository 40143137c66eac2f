// Finds what a path names in a stack of overlay layers, as a process inside would: links are followed, but their targets are
// taken from the stack's own root, so that no link leads out to the machine's files.

import { MeshError } from "../../base/errors.ts";
import { ERRNO, fileError } from "./errno.ts";
import * as raw from "./raw-files.ts";

/** As many links in one path as Linux follows (path_resolution(7)). */
const MOST_LINKS = 40;
const OPAQUE = "user.overlay.opaque";

export type Resolved =
  | { readonly kind: "file"; readonly path: string; readonly stat: raw.FileStat }
  /** Directories that merge into one, top first. */
  | { readonly kind: "directory"; readonly paths: readonly string[]; readonly stat: raw.FileStat };

/**
 * Resolves an absolute path over layer directories, top first. null when there is nothing. Throws `io.failed` for loops of links
 * and for what is neither file nor directory.
 */
export function resolveInStack(stack: readonly string[], path: string): Resolved | null {
  const pending = path.split("/").toReversed();
  const above: (readonly string[])[] = [];
  let current: readonly string[] = stack;
  let links = 0;
  while (pending.length > 0) {
    const name = pending.pop();
    if (name === undefined || name === "" || name === ".") continue;
    if (name === "..") {
      current = above.pop() ?? stack;
      continue;
    }
    const found = lookUp(current, name);
    if (!found) return null;
    if (found.kind === "link") {
      if (++links > MOST_LINKS)
        throw new MeshError("io.failed", `Cannot find ${JSON.stringify(path)}: its symlinks go in a circle`);
      if (found.target.startsWith("/")) {
        current = stack;
        above.length = 0;
      }
      pending.push(...found.target.split("/").toReversed());
      continue;
    }
    if (found.kind === "file") {
      if (pending.some((rest) => rest !== "" && rest !== ".")) return null;
      if ((found.stat.mode & raw.TYPE_MASK) !== raw.TYPE_FILE) {
        throw new MeshError("io.failed", `Cannot use ${JSON.stringify(path)}: it is neither a file nor a directory`);
      }
      return found;
    }
    above.push(current);
    current = found.paths;
  }
  const stat = raw.statAt(raw.HERE, current[0] ?? "");
  return typeof stat === "number" ? null : { kind: "directory", paths: current, stat };
}

/** One name in a merged directory: the topmost entry decides, directories merge down to a whiteout or an opaque one. */
function lookUp(
  directories: readonly string[],
  name: string,
): Resolved | { readonly kind: "link"; readonly target: string } | null {
  const merged: string[] = [];
  let top: raw.FileStat | null = null;
  for (const directory of directories) {
    const path = `${directory}/${name}`;
    const stat = raw.statAt(raw.HERE, path);
    if (stat === -ERRNO.ENOENT) continue;
    if (typeof stat === "number") throw fileError(-stat, "stat", path);
    const type = stat.mode & raw.TYPE_MASK;
    if (type === raw.TYPE_DIRECTORY) {
      merged.push(path);
      top ??= stat;
      if (isOpaque(path)) break;
      continue;
    }
    if (merged.length > 0) break;
    if (type === raw.TYPE_CHARACTER && stat.rdev === 0) return null;
    if (type !== raw.TYPE_SYMLINK) return { kind: "file", path, stat };
    const target = raw.readLinkAt(raw.HERE, path);
    if (typeof target === "number") throw fileError(-target, "read link", path);
    return { kind: "link", target };
  }
  return top ? { kind: "directory", paths: merged, stat: top } : null;
}

/** Whether an overlay directory hides what lower layers hold below it. */
export function isOpaque(path: string): boolean {
  const fd = raw.openAt(raw.HERE, path, raw.READ_DIRECTORY);
  if (fd === -ERRNO.EACCES) throw fileError(ERRNO.EACCES, "open", path);
  if (fd < 0) return false;
  try {
    return raw.getXattr(fd, OPAQUE)?.[0] === 0x79;
  } finally {
    raw.closeFd(fd);
  }
}
