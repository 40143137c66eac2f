// Helpers of the store's tests: temporary homes, seeded randomness, entries and results by default.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Digest, digestOf } from "../../src/base/digest.ts";
import { EMPTY_LOG, type TaskResult } from "../../src/store/result.ts";
import { comparePaths, type EntryKind, type Tree, type TreeEntry } from "../../src/store/tree.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

/** A directory that is removed when the scope ends. */
export class TemporaryDirectory implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "mesh-store-"));

  [Symbol.dispose](): void {
    Bun.spawnSync(["chmod", "-R", "u+rwX", this.path]);
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Seed of a property test: fresh unless MESH_TEST_SEED fixes it. */
export function testSeed(): number {
  return Number(process.env["MESH_TEST_SEED"] ?? Date.now() % 1_000_000_007);
}

/** Runs `body` on numbered cases; a failure names the seed that brings it back. */
export async function forSeeds(count: number, body: (random: SeededRandom) => void | Promise<void>): Promise<void> {
  const first = testSeed();
  for (let index = 0; index < count; index++) {
    try {
      await body(new SeededRandom(first + index));
    } catch (error) {
      throw new Error(`failed with MESH_TEST_SEED=${first + index}`, { cause: error });
    }
  }
}

export function entry(path: string, kind: EntryKind, more: Partial<TreeEntry> = {}): TreeEntry {
  const content = `content of ${path}`;
  return {
    path,
    kind,
    mode: kind === "directory" ? 0o755 : kind === "file" ? 0o644 : 0,
    uid: 0,
    gid: 0,
    size: kind === "file" ? content.length : 0,
    digest: kind === "file" ? digestOf(content) : null,
    target: kind === "symlink" ? "target" : null,
    xattrs: [],
    hardlink: 0,
    opaque: false,
    ...more,
  };
}

/** Entries with the directories above them, sorted. */
export function tree(...entries: readonly TreeEntry[]): Tree {
  const byPath = new Map<string, TreeEntry>();
  for (const each of entries) {
    for (let at = each.path.indexOf("/"); at > 0; at = each.path.indexOf("/", at + 1)) {
      const above = each.path.slice(0, at);
      if (!byPath.has(above)) byPath.set(above, entry(above, "directory"));
    }
    byPath.set(each.path, each);
  }
  return [...byPath.values()].toSorted((a, b) => comparePaths(a.path, b.path));
}

/** Writes files with their contents below `root`. */
export function writeFiles(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

export function resultOf(key: Digest, more: Partial<TaskResult> = {}): TaskResult {
  return {
    key,
    identity: "tasks.yml/build",
    exitCode: 0,
    layer: null,
    values: {},
    env: [],
    artifacts: [],
    links: {},
    errors: [],
    testResults: [],
    problems: [],
    image: null,
    log: EMPTY_LOG,
    startedAtMs: 0,
    durationMs: 1,
    node: "here",
    used: { cpuMs: 1, memoryBytesMax: null },
    run: "run-1",
    task: "build",
    ...more,
  };
}
