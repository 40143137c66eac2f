// The built-in package `git/clone`: a commit of a repository as a layer. The local repository serves it when its remote is
// the one asked for; else git fetches it. The key is the commit, not the name that led to it.

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fail } from "../base/errors.ts";
import { findRepository, git, normaliseRemote } from "./git.ts";
import { PACKAGE_ASK, type PackageInputs, workspacePath } from "./package-inputs.ts";
import { packageKey } from "./package-key.ts";
import type { Variable } from "./task-environment.ts";
import type { CloneWork } from "./work.ts";

/** How long git may take to list refs, and to fetch. */
const LIST_TIMEOUT_MS = 60_000;
const FETCH_TIMEOUT_MS = 30 * 60_000;

/** Finds the repository and the commit that the parameters name. Throws `git.failed` when there is none. */
export async function cloneWork(inputs: PackageInputs): Promise<CloneWork> {
  const { task, parameters, used, context } = inputs;
  const repository = parameters["repository"] ?? "";
  if (repository === "" || repository.startsWith("-")) {
    return fail(
      "definition.invalid",
      `Cannot clone in task ${task.key}: \`repository\` is ${JSON.stringify(repository)}`,
      { hint: "Give the address of a git repository." },
    );
  }
  const ref = parameters["ref"] ?? "";
  const path = workspacePath(parameters["path"] ?? "", task.key);
  const local = await localServer(repository, context.definitionDirectory, context.signal);
  const commit = await resolveCommit(local ?? repository, ref, local !== null, context.signal);
  const flag = (name: string) => parameters[name] === "true";
  const options = {
    preserveGitDirectory: flag("preserve-git-dir"),
    fullDepth: flag("fetch-full-depth"),
    submodules: parameters["submodules"] !== "false",
  };
  const { key, parts } = packageKey("git/clone", {
    repository: normaliseRemote(repository),
    commit,
    path,
    ...Object.fromEntries(Object.entries(options).map(([name, value]) => [name, String(value)])),
  });
  return {
    kind: "clone",
    identity: context.identityOf(task.key),
    task,
    key,
    parts,
    isCached: inputs.isCached,
    shared: inputs.shared,
    ttlMs: inputs.ttlMs,
    ask: PACKAGE_ASK,
    stack: used.stack,
    inherited: used.variables,
    envConfig: task.envConfig,
    warnings: [],
    repository,
    source: local ?? repository,
    commit,
    ref,
    path,
    ...options,
  };
}

/** Clones into `upper`, an empty directory that becomes the layer. */
export async function executeClone(work: CloneWork, workspaceUpper: string, signal: AbortSignal): Promise<void> {
  const target = work.path === "" ? workspaceUpper : join(workspaceUpper, work.path);
  mkdirSync(target, { recursive: true });
  const run = (args: readonly string[], timeoutMs = LIST_TIMEOUT_MS) =>
    git(args, {
      cwd: target,
      timeoutMs,
      signal,
      env: { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" },
    });
  await run(["init", "--quiet", "."]);
  await run(["remote", "add", "origin", work.repository]);
  const depth = work.fullDepth ? [] : ["--depth", "1"];
  const fetch = ["fetch", "--quiet", "--no-tags", ...depth];
  // not every server lets a commit be asked for by its digest: then the ref that led to it is
  await run([...fetch, work.source, work.commit], FETCH_TIMEOUT_MS).catch(() =>
    run([...fetch, work.source, work.ref || "HEAD"], FETCH_TIMEOUT_MS),
  );
  await run(["checkout", "--quiet", "--detach", work.commit]);
  if (work.submodules)
    await run(["submodule", "update", "--quiet", "--init", "--recursive", ...depth], FETCH_TIMEOUT_MS);
  if (!work.preserveGitDirectory) rmSync(join(target, ".git"), { recursive: true, force: true });
}

/** Variables that a clone gives to the tasks that use it; none of them is part of a key. */
export function cloneVariables(work: CloneWork): ReadonlyMap<string, Variable> {
  const name = work.ref.replace(/^refs\/(?:heads|tags)\//, "");
  const values = {
    RWX_GIT_REPOSITORY_URL: work.repository,
    RWX_GIT_REPOSITORY_NAME: normaliseRemote(work.repository).split("/").slice(-2).join("/"),
    RWX_GIT_COMMIT_SHA: work.commit,
    RWX_GIT_REF: work.ref,
    RWX_GIT_REF_NAME: name,
  };
  const variables = new Map<string, Variable>();
  for (const [key, value] of Object.entries(values)) {
    for (const prefix of ["RWX_", "MESH_", "MINT_"])
      variables.set(key.replace(/^RWX_/, prefix), { value, cacheKey: "excluded" });
  }
  return variables;
}

/** The repository around the definition, when one of its remotes is the one asked for. */
async function localServer(repository: string, directory: string, signal: AbortSignal): Promise<string | null> {
  const local = findRepository(directory);
  if (local === null || Bun.which("git") === null) return null;
  const remotes = await git(["remote", "-v"], { cwd: local, timeoutMs: LIST_TIMEOUT_MS, signal }).catch(() => "");
  const wanted = normaliseRemote(repository);
  const isServed = remotes.split("\n").some((line) => normaliseRemote(line.split(/\s+/)[1] ?? "") === wanted);
  return isServed ? local : null;
}

async function resolveCommit(source: string, ref: string, isLocal: boolean, signal: AbortSignal): Promise<string> {
  if (/^[0-9a-f]{40}$/.test(ref) && !isLocal) return ref;
  if (isLocal) {
    const found = await git(["rev-parse", "--verify", "--quiet", "--end-of-options", `${ref || "HEAD"}^{commit}`], {
      cwd: source,
      timeoutMs: LIST_TIMEOUT_MS,
      signal,
    }).catch(() => "");
    return (
      found.trim() ||
      fail("git.failed", `Cannot find ${JSON.stringify(ref || "HEAD")} in the local repository ${source}`, {
        hint: "Commit or fetch it first.",
      })
    );
  }
  const listed = await git(["ls-remote", "--exit-code", "--", source, ref || "HEAD"], {
    cwd: "/",
    timeoutMs: LIST_TIMEOUT_MS,
    signal,
  });
  const lines = listed
    .trim()
    .split("\n")
    .map((line) => line.split("\t"));
  // an annotated tag names its commit on a second line
  const peeled = lines.find(([, name]) => name?.endsWith("^{}"));
  return (peeled ?? lines[0])?.[0] ?? fail("git.failed", `Cannot find ${JSON.stringify(ref || "HEAD")} in ${source}`);
}
