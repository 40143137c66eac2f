// What a run knows of the git repository around it: read from the files of .git where that is enough (no process for
// `event.git.sha`), and the git program for cloning. It never changes the repository it reads.

import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { readText, readTextOrNull } from "../base/io/text-files.ts";
import { MeshError } from "../base/errors.ts";

export interface GitHead {
  readonly sha: string;
  /** "refs/heads/main"; null when the head is detached. */
  readonly ref: string | null;
}

/** Settings for every git process: no prompts, no hooks, no configuration of the user's that could run programs. */
const SAFE_GIT = [
  "-c",
  "core.hooksPath=/dev/null",
  "-c",
  "protocol.ext.allow=never",
  "-c",
  "core.fsmonitor=false",
  "-c",
  "advice.detachedHead=false",
];

/** The folder that holds .git, from `directory` upwards; null when there is none. */
export function findRepository(directory: string): string | null {
  for (let at = resolve(directory); ; at = dirname(at)) {
    if (existsSync(join(at, ".git"))) return at;
    if (dirname(at) === at) return null;
  }
}

/** Commit and ref that a repository's working tree stands at; null when it has no commit. */
export function readHead(repository: string): GitHead | null {
  const gitDirectory = gitDirectoryOf(repository);
  if (gitDirectory === null) return null;
  const head = readTextOrNull(join(gitDirectory, "HEAD"))?.trim() ?? null;
  if (head === null) return null;
  if (!head.startsWith("ref: ")) return /^[0-9a-f]{40,64}$/.test(head) ? { sha: head, ref: null } : null;
  const ref = head.slice(5);
  const common = readTextOrNull(join(gitDirectory, "commondir"))?.trim() ?? null;
  const commonDirectory = common === null ? gitDirectory : resolve(gitDirectory, common);
  const sha = readTextOrNull(join(commonDirectory, ref))?.trim() ?? packedRef(commonDirectory, ref);
  return sha === null ? null : { sha, ref };
}

/** Runs git and returns its output. Throws `git.failed` with what git said. `timeoutMs` bounds it. */
export async function git(
  args: readonly string[],
  options: { cwd: string; timeoutMs: number; env?: Record<string, string>; signal: AbortSignal },
): Promise<string> {
  const program = Bun.which("git");
  if (program === null)
    throw new MeshError("git.failed", "Cannot run git: it is not installed", { hint: "Install git on this machine." });
  const child = Bun.spawn([program, ...SAFE_GIT, ...args], {
    cwd: options.cwd,
    env: {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      HOME: process.env["HOME"] ?? "/",
      GIT_TERMINAL_PROMPT: "0",
      LC_ALL: "C",
      ...options.env,
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    signal: options.signal,
    timeout: options.timeoutMs,
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) {
    const said = err.trim().split("\n").slice(-3).join("\n") || `it ended with code ${code}`;
    throw new MeshError("git.failed", `Cannot run git ${args[0] ?? ""} ${args.at(-1) ?? ""}: ${said}`);
  }
  return out;
}

/** One form of a remote's address, so that two ways to write the same one compare equal. */
export function normaliseRemote(url: string): string {
  return url
    .trim()
    .replace(/^git@([^:]+):/, "https://$1/")
    .replace(/^ssh:\/\/(?:[^@/]+@)?/, "https://")
    .replace(/^(https?:\/\/)[^@/]+@/, "$1")
    .replace(/\/+$/, "")
    .replace(/\.git$/, "")
    .toLowerCase();
}

function gitDirectoryOf(repository: string): string | null {
  const path = join(repository, ".git");
  try {
    if (statSync(path).isDirectory()) return path;
    const target = /^gitdir: (.+)$/m.exec(readFileSync(path, "utf8"))?.[1];
    if (target === undefined) return null;
    return isAbsolute(target) ? target : resolve(repository, target);
  } catch {
    return null;
  }
}

function packedRef(directory: string, ref: string): string | null {
  for (const line of readText(join(directory, "packed-refs")).split("\n")) {
    if (line.slice(41) === ref) return line.slice(0, 40);
  }
  return null;
}
