// The files of a working tree that a checkout takes: what git tracks and what it would add, or, without git, all that
// the .gitignore files do not exclude. The only door to the `ignore` package. It reads names, never contents.

import { lstatSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import ignore, { type Ignore } from "ignore";
import { MeshError } from "../base/errors.ts";
import { findRepository, git } from "./git.ts";

/** Most files of one checkout. */
const MOST_FILES = 1_000_000;

export interface WorkingTree {
  readonly root: string;
  /** Paths relative to the root; regular files and symlinks. Sorted. */
  readonly files: readonly string[];
}

/** The folder that a checkout of the definition in `directory` takes: its repository, else the project around it. */
export function checkoutRoot(directory: string): string {
  const repository = findRepository(directory);
  if (repository !== null) return repository;
  return /[\\/]\.(?:mesh|rwx|mint)$/.test(directory) ? dirname(directory) : directory;
}

/** Lists the tree. `includeIgnored` takes all but .git. Throws `io.failed` when there are too many files. */
export async function listWorkingTree(
  root: string,
  includeIgnored: boolean,
  signal: AbortSignal,
): Promise<WorkingTree> {
  const files =
    !includeIgnored && findRepository(root) === root && Bun.which("git") !== null
      ? await listByGit(root, signal)
      : listByWalk(root, includeIgnored);
  if (files.length > MOST_FILES)
    throw new MeshError("io.failed", `Cannot check out ${root}: it has more than ${MOST_FILES} files`, {
      hint: "Name what is not needed in .gitignore.",
    });
  return { root, files: files.sort() };
}

async function listByGit(root: string, signal: AbortSignal): Promise<string[]> {
  const listed = await git(["ls-files", "--cached", "--others", "--exclude-standard", "-z"], {
    cwd: root,
    timeoutMs: 60_000,
    signal,
  });
  const files: string[] = [];
  const seen = new Set<string>();
  for (const path of listed.split("\0")) {
    if (path === "" || seen.has(path)) continue;
    seen.add(path);
    const stat = lstatSync(join(root, path), { throwIfNoEntry: false });
    if (stat === undefined) continue;
    // a submodule, or a repository inside this one
    if (stat.isDirectory()) files.push(...walk(join(root, path), root, []));
    else if (stat.isFile() || stat.isSymbolicLink()) files.push(path);
  }
  return files;
}

function listByWalk(root: string, includeIgnored: boolean): string[] {
  return includeIgnored ? walk(root, root, null) : walk(root, root, []);
}

interface Rules {
  readonly directory: string;
  readonly matcher: Ignore;
}

/** `rules` are those of the folders above, outermost first; null ignores no file but .git. */
function walk(directory: string, root: string, rules: readonly Rules[] | null): string[] {
  const own = rules === null ? null : [...rules, ...readRules(directory)];
  const files: string[] = [];
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.name === ".git") continue;
    const path = join(directory, entry.name);
    if (own !== null && isIgnored(path, entry.isDirectory(), own)) continue;
    if (entry.isDirectory()) files.push(...walk(path, root, own));
    else if (entry.isFile() || entry.isSymbolicLink()) files.push(relative(root, path));
    if (files.length > MOST_FILES) break;
  }
  return files;
}

function readRules(directory: string): readonly Rules[] {
  try {
    return [{ directory, matcher: ignore().add(readFileSync(join(directory, ".gitignore"), "utf8")) }];
  } catch {
    return [];
  }
}

// The innermost .gitignore that says something about a path decides.
function isIgnored(path: string, isDirectory: boolean, rules: readonly Rules[]): boolean {
  for (const { directory, matcher } of rules.toReversed()) {
    const { ignored, unignored } = matcher.test(relative(directory, path) + (isDirectory ? "/" : ""));
    if (ignored || unignored) return ignored;
  }
  return false;
}
