// Temporary folders for tests. They go when the test leaves its scope; what a crash left goes with the folder that
// `bun run test` gives each run as TMPDIR, or, under a bare `bun test`, with a later run's sweep.

import { chmodSync, lstatSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PREFIX = "mesh-test-";
const STALE_MS = 3_600_000;

export interface TemporaryFolder extends Disposable {
  readonly path: string;
  /** A path inside the folder. */
  join(...parts: readonly string[]): string;
}

let hasSwept = false;

/** Makes an empty folder: `using folder = temporaryFolder();`. */
export function temporaryFolder(): TemporaryFolder {
  if (!hasSwept) sweepStaleFolders();
  hasSwept = true;
  const path = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  return {
    path,
    join: (...parts) => join(path, ...parts),
    [Symbol.dispose]: () => removeFolder(path),
  };
}

/** Removes a folder with all that is in it, also folders that lack permissions (an overlay's work folder has none). */
export function removeFolder(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    openUp(path);
    rmSync(path, { recursive: true, force: true });
  }
}

/** Removes folders of test processes that died an hour or more ago. */
export function sweepStaleFolders(root = tmpdir(), nowMs = Date.now()): readonly string[] {
  const removed: string[] = [];
  for (const name of readdirSync(root)) {
    const pid = Number(/^mesh-test-(\d+)-/.exec(name)?.[1] ?? 0);
    const path = join(root, name);
    if (pid === 0 || isAlive(pid) || nowMs - statSync(path).mtimeMs < STALE_MS) continue;
    try {
      removeFolder(path);
      removed.push(name);
    } catch {
      // Another user's: that user's next run removes it.
    }
  }
  return removed;
}

function openUp(folder: string): void {
  chmodSync(folder, 0o700);
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (lstatSync(path).isDirectory()) openUp(path);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
