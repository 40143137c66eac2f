// The built-in package `git/clone`: a commit of a repository as a layer. The local repository serves it when its remote is
// the one asked for; else git fetches it. The key is the commit, not the name that led to it.

import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fail } from "../base/errors.ts";
import { findRepository, git, normaliseRemote } from "./git.ts";
import { type PackageInputs, packageWork, workspacePath } from "./package-inputs.ts";
import { packageKey } from "./package-key.ts";
import type { Variable } from "./task-environment.ts";
import type { CloneWork } from "./work.ts";

/** How long git may take to list refs, and to fetch. */
const LIST_TIMEOUT_MS = 60_000;
const FETCH_TIMEOUT_MS = 30 * 60_000;

/** Finds the repository and the commit that the parameters name. Throws `git.failed` when there is none. */
export async function cloneWork(inputs: PackageInputs): Promise<CloneWork> {
  const { task, parameters, context } = inputs;
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
    lfs: flag("lfs"),
  };
  const { key, parts } = packageKey("git/clone", {
    repository: normaliseRemote(repository),
    commit,
    path,
    ...Object.fromEntries(Object.entries(options).map(([name, value]) => [name, String(value)])),
  });
  return {
    kind: "clone",
    ...packageWork(inputs),
    key,
    parts,
    repository,
    source: local ?? repository,
    commit,
    ref,
    shownRef: parameters["meta-ref"] || ref,
    path,
    ...options,
  };
}

/** Clones into `upper`, an empty directory that becomes the layer. */
export async function executeClone(work: CloneWork, workspaceUpper: string, signal: AbortSignal): Promise<void> {
  const target = work.path === "" ? workspaceUpper : join(workspaceUpper, work.path);
  mkdirSync(target, { recursive: true });
  // what the user's configuration says of files must not show in them
  const env = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" };
  const run = (args: readonly string[]) => git(args, { cwd: target, timeoutMs: LIST_TIMEOUT_MS, signal, env });
  // what it says of addresses and credentials is needed to reach them
  const reach = (args: readonly string[]) => git(args, { cwd: target, timeoutMs: FETCH_TIMEOUT_MS, signal });
  await run(["init", "--quiet", "."]);
  await run(["remote", "add", "origin", work.repository]);
  const depth = work.fullDepth ? [] : ["--depth", "1"];
  const fetch = ["fetch", "--quiet", "--no-tags", ...depth, work.source];
  // not every server lets a commit be asked for by its digest: then the ref that led to it is
  await reach([...fetch, work.commit]).catch(() => reach([...fetch, work.ref || "HEAD"]));
  if (work.fullDepth) await reach(["fetch", "--quiet", "--tags", work.source, "+refs/heads/*:refs/remotes/origin/*"]);
  await run(["checkout", "--quiet", "--detach", work.commit]);
  const hasSubmodules = work.submodules && existsSync(join(target, ".gitmodules"));
  if (hasSubmodules) {
    // a repository on this machine may have its submodules here; one from elsewhere must not reach for this machine's files
    const local = isLocalAddress(work.repository) ? ["-c", "protocol.file.allow=always"] : [];
    await reach([...local, "submodule", "update", "--quiet", "--init", "--recursive", ...depth]);
  }
  if (work.lfs) await reach(["lfs", "pull"]);
  if (!work.preserveGitDirectory) removeGitEntries(target, hasSubmodules);
}

function isLocalAddress(repository: string): boolean {
  return repository.startsWith("/") || repository.startsWith("file://");
}

/** Removes .git, and those of submodules when there are some: they point into it. */
function removeGitEntries(directory: string, inside: boolean): void {
  rmSync(join(directory, ".git"), { recursive: true, force: true });
  if (!inside) return;
  for (const entry of readdirSync(directory, { withFileTypes: true }))
    if (entry.isDirectory()) removeGitEntries(join(directory, entry.name), inside);
}

/** Variables that a clone gives to the tasks that use it; none of them is part of a key. */
export function cloneVariables(work: CloneWork): ReadonlyMap<string, Variable> {
  const name = work.shownRef.replace(/^refs\/(?:heads|tags)\//, "");
  const values = {
    RWX_GIT_REPOSITORY_URL: work.repository,
    RWX_GIT_REPOSITORY_NAME: normaliseRemote(work.repository).split("/").slice(-2).join("/"),
    RWX_GIT_COMMIT_SHA: work.commit,
    RWX_GIT_REF: work.shownRef,
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
  const listed = await git(["ls-remote", "--exit-code", "--", source, ref || "HEAD", `${ref || "HEAD"}^{}`], {
    cwd: "/",
    timeoutMs: LIST_TIMEOUT_MS,
    signal,
  });
  const lines = listed
    .trim()
    .split("\n")
    .map((line) => line.split("\t"));
  const commits = new Map(lines.map(([commit = "", name = ""]) => [name, commit]));
  // ls-remote takes a name as the end of one: "main" finds "refs/heads/old/main" as well
  for (const name of [ref || "HEAD", `refs/heads/${ref}`, `refs/tags/${ref}`, `refs/${ref}`]) {
    // an annotated tag names its commit on a second line
    const commit = commits.get(`${name}^{}`) ?? commits.get(name);
    if (commit !== undefined) return commit;
  }
  return fail("git.failed", `Cannot find ${JSON.stringify(ref || "HEAD")} in ${source}`);
}
