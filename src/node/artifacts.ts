// Artifacts and reports of a finished task: found in its filesystem as it left it, and taken into the store. Links are
// followed inside the task's root only; nothing outside it can be reached by what a task wrote.

import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { MeshError, errnoOf } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
import { printable } from "../base/text.ts";
import { isRefusal } from "../store/io/ownership.ts";
import { resolveInStack } from "../store/io/stack-path.ts";
import type { Store } from "../store/io/store.ts";
import { CONTEXT } from "../store/paths.ts";
import type { Artifact, TestResultFile } from "../store/result.ts";
import type { Written } from "./outputs.ts";
import type { CommandWork } from "./work.ts";

export interface LeftBehind {
  readonly work: CommandWork;
  readonly written: Written;
  /** The task's filesystem, topmost first: its upper directory, then its layers. */
  readonly roots: readonly string[];
  readonly store: Store;
}

/** Takes the declared artifacts and those put into $MESH_ARTIFACTS. `required`: one that is not there is a fault. */
export async function collectArtifacts(left: LeftBehind, required: boolean): Promise<readonly Artifact[]> {
  const artifacts: Artifact[] = [];
  for (const { key, path } of left.work.artifactPaths) {
    const artifact = await take(key, inRoot(path), left.roots, left.store);
    if (artifact !== null) artifacts.push(artifact);
    else if (required) {
      throw taskFault(
        `Cannot take artifact ${printable(key)}: the task left nothing at ${printable(path)}`,
        "Only files that this task or those it uses wrote can be artifacts.",
      );
    }
  }
  const folder = left.written.path("artifacts");
  const names = left.written.names("artifacts");
  if (names.length > LIMITS.outputEntries)
    throw taskFault(
      `Cannot take ${names.length} artifacts: ${LIMITS.outputEntries} are the most`,
      "Put them into one folder.",
    );
  for (const name of names) {
    if (artifacts.some(({ key }) => key === name)) {
      throw taskFault(
        `Cannot take artifact ${printable(name)} twice`,
        "It is declared under outputs, and in $MESH_ARTIFACTS too.",
      );
    }
    artifacts.push(await takeWritten(name, folder, left));
  }
  return artifacts;
}

/** Takes the files at the given paths (the last segment may hold `*`) and all in `folder`; what is absent is no fault. */
export async function collectTestResults(left: LeftBehind): Promise<readonly TestResultFile[]> {
  const files: TestResultFile[] = [];
  const add = async (path: string, source: string, spec: { framework: string | null; language: string | null }) => {
    if (files.length === LIMITS.outputEntries)
      throw taskFault(
        `Cannot take all test results: ${LIMITS.outputEntries} files are the most`,
        "Write fewer, larger reports.",
      );
    files.push({
      path,
      ...spec,
      digest: await left.store.blobs.putFile(source, { move: false }),
      sizeBytes: lstatSync(source).size,
    });
  };
  for (const { path: pattern, framework, language } of left.work.testResults) {
    for (const path of expand(pattern, left.roots)) {
      const found = find(inRoot(path), left.roots);
      if (found?.kind === "file") await add(path, found.path, { framework, language });
    }
  }
  const folder = left.written.path("test-results");
  for (const name of left.written.names("test-results")) {
    if (lstatSync(join(folder, name), { throwIfNoEntry: false })?.isFile() === true)
      await add(name, join(folder, name), { framework: null, language: null });
  }
  return files;
}

/** Path on this machine of a file that the task left; null when there is none. */
export function findFile(path: string, roots: readonly string[]): string | null {
  const found = find(inRoot(path), roots);
  return found?.kind === "file" ? found.path : null;
}

function expand(pattern: string, roots: readonly string[]): readonly string[] {
  if (!/[*?]/.test(pattern)) return [pattern];
  const folder = find(inRoot(dirname(pattern)), roots);
  if (folder?.kind !== "directory") return [];
  const glob = new Bun.Glob(basename(pattern));
  const names = new Set(folder.paths.flatMap((path) => readNames(path)));
  return [...names]
    .filter((name) => glob.match(name))
    .sort()
    .map((name) => join(dirname(pattern), name));
}

function inRoot(path: string): string {
  return path.startsWith("/") ? path : `${CONTEXT.workspace}/${path}`;
}

function find(path: string, roots: readonly string[]): ReturnType<typeof resolveInStack> {
  try {
    return resolveInStack(roots, path);
  } catch (error) {
    if (error instanceof MeshError && error.code === "io.failed")
      throw taskFault(error.message, "An artifact or report must be a file or a directory.", error);
    throw error;
  }
}

/** False also where only the owner of a directory on the way may tell. */
function isAbsent(path: string, stack: readonly string[]): boolean {
  try {
    return find(path, stack) === null;
  } catch (error) {
    if (isRefusal(error)) return false;
    throw error;
  }
}

async function take(key: string, path: string, stack: readonly string[], store: Store): Promise<Artifact | null> {
  if (isAbsent(path, stack)) return null;
  try {
    return await store.owned.capture({ key, stack, path, immutable: false });
  } catch (error) {
    if (error instanceof MeshError && error.code === "artifact.not-found") return null;
    throw error;
  }
}

// $MESH_ARTIFACTS/NAME may be a link: it is followed as the task itself would have followed it.
async function takeWritten(name: string, folder: string, { roots, store }: LeftBehind): Promise<Artifact> {
  const stat = lstatSync(join(folder, name), { throwIfNoEntry: false });
  if (stat === undefined)
    throw taskFault(`Cannot take artifact ${printable(name)}: its name is no UTF-8 text`, "Name it in plain letters.");
  if (!stat.isSymbolicLink()) {
    if (!stat.isFile() && !stat.isDirectory())
      throw taskFault(
        `Cannot take artifact ${printable(name)}: it is neither a file nor a directory`,
        "Put plain files there.",
      );
    return await store.owned.capture({ key: name, stack: [folder], path: name, immutable: false });
  }
  const artifact = await take(name, inRoot(readlinkSync(join(folder, name))), roots, store);
  if (artifact === null) {
    throw taskFault(
      `Cannot take artifact ${printable(name)}: it links to what is no file of the task`,
      "A link may point to files that the task wrote, not to the machine's.",
    );
  }
  return { ...artifact, name };
}

function taskFault(message: string, hint: string, cause?: unknown): MeshError {
  return new MeshError("task.failed", message, { hint, cause });
}

function readNames(directory: string): readonly string[] {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return [];
    throw error;
  }
}
