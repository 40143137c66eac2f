// What a process changed in a plain directory, made into a layer's directory: changed files are moved, what is gone becomes a
// whiteout. For where no overlay keeps the changes apart by itself.

import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeWhiteout } from "../../base/io/libc.ts";

interface Stamp {
  readonly inode: number;
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly mode: number;
  readonly isDirectory: boolean;
}

/** What a directory held at one moment, by path below it; "" is the directory itself. */
export type Snapshot = ReadonlyMap<string, Stamp>;

const OWNER_ALL = 0o700;

/** Looks at everything below `root`. Directories closed to their owner are opened: `keepChanges` closes them again. */
export function takeSnapshot(root: string): Snapshot {
  const stamps = new Map<string, Stamp>();
  const visit = (path: string, below: string) => {
    const { ino, size, mtimeMs, ctimeMs, mode } = lstatSync(path);
    const isDirectory = (mode & 0o170000) === 0o040000;
    stamps.set(below, { inode: ino, size, mtimeMs, ctimeMs, mode: mode & 0o7777, isDirectory });
    if (!isDirectory) return;
    if ((mode & OWNER_ALL) !== OWNER_ALL) chmodSync(path, (mode & 0o7777) | OWNER_ALL);
    for (const name of readdirSync(path)) visit(join(path, name), below === "" ? name : `${below}/${name}`);
  };
  visit(root, "");
  return stamps;
}

/** Moves what differs from `before` to `upper`, which is made when there is something to keep. */
export function keepChanges(root: string, before: Snapshot, upper: string): void {
  const after = takeSnapshot(root);
  const made: string[] = [];
  const ensure = (directory: string) => {
    const target = join(upper, directory);
    if (existsSync(target)) return;
    if (directory === "") mkdirSync(dirname(target), { recursive: true });
    else ensure(parentOf(directory));
    mkdirSync(target);
    made.push(directory);
  };
  for (const [path, stamp] of after) {
    const old = before.get(path);
    if (stamp.isDirectory) {
      if (old?.isDirectory !== true || old.mode !== stamp.mode) ensure(path);
    } else if (old === undefined || !isSame(old, stamp)) {
      ensure(parentOf(path));
      renameSync(join(root, path), join(upper, path));
    }
  }
  for (const path of before.keys()) {
    // below a directory that is gone, its own whiteout says it all
    if (path === "" || after.has(path) || after.get(parentOf(path))?.isDirectory !== true) continue;
    ensure(parentOf(path));
    makeWhiteout(join(upper, path));
  }
  for (const directory of made.toReversed()) chmodSync(join(upper, directory), after.get(directory)?.mode ?? 0o755);
}

function isSame(a: Stamp, b: Stamp): boolean {
  return (
    !a.isDirectory && a.inode === b.inode && a.size === b.size && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs
  );
}

function parentOf(path: string): string {
  const parent = dirname(path);
  return parent === "." ? "" : parent;
}
