// The shell that runs a task's script on base `host`: bash with `-e -o pipefail` where there is one, else `sh -e`; and what is
// run in it besides the script: the login file that upstream tasks left in HOME, and their hooks.

import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Scratch } from "../exec/backend.ts";
import { resolveInStack } from "../store/io/stack-path.ts";
import { CONTEXT } from "../store/paths.ts";
import type { Hooks } from "./hooks.ts";

/** Longest script that is handed over as an argument; the kernel takes 128 KiB for one. */
const INLINE_SCRIPT_BYTES = 96 * 1024;

/** Folder of a scratch's io folder for what is too long for an argument, or is sourced. */
const FOLDER = "script";

/** Where a login shell looks for its file, in this order (bash(1), INVOCATION). */
const LOGIN_FILES = [".bash_profile", ".bash_login", ".profile"];

let known: readonly string[] | null = null;

/** The shell and its options, without the script. Looked up once. */
export function shellOf(): readonly string[] {
  known ??=
    Bun.which("bash", { PATH: "/usr/local/bin:/usr/bin:/bin" }) === null
      ? ["sh", "-e"]
      : ["bash", "-e", "-o", "pipefail"];
  return known;
}

export interface ShellCommand {
  readonly argv: readonly string[];
  /** Variables that it needs besides the task's own. */
  readonly env: Readonly<Record<string, string>>;
}

export interface ShellOptions {
  readonly script: string;
  readonly hooks: Hooks;
  /** Layers with files outside of the workspace, topmost first: a login file counts only where an upstream task wrote it. */
  readonly layers: readonly string[];
  /** The task's own value of the variable that this file uses. */
  readonly bashEnv: string | undefined;
  readonly scratch: Scratch;
}

/** The command that runs a script. Without login file and hooks it is the script itself. */
export function shellCommand({ script, hooks, layers, bashEnv, scratch }: ShellOptions): ShellCommand {
  const shell = shellOf();
  const files = new ScriptFolder(scratch);
  const login = loginFile(layers);
  const isBash = shell[0] === "bash";
  const body = hooks.length === 0 ? files.inline(script) : aroundHooks(files, script, hooks);
  if (login === null) return { argv: [...shell, "-c", body], env: {} };
  // Bash sources $BASH_ENV as it sources login files: before the script, and with -e set aside.
  if (isBash)
    return { argv: [...shell, "-c", body], env: { BASH_ENV: files.put("login", loginScript(login, bashEnv)) } };
  return { argv: [...shell, "-c", `set +e; . ${login}; set -e\n${body}`], env: {} };
}

/** Whether the task was given files beside its folders, so that its scratch is not as it was. */
export function hasScriptFiles(scratch: Scratch): boolean {
  return existsSync(join(scratch.io, FOLDER));
}

/** Files for the shell to source, named as the task sees them: by variables, since each backend has its own paths. */
class ScriptFolder {
  readonly #folder: string;

  constructor(scratch: Scratch) {
    this.#folder = join(scratch.io, FOLDER);
  }

  /** Writes a file; gives its path inside the task, in which Bash expands variables. */
  put(name: string, text: string): string {
    mkdirSync(this.#folder, { recursive: true });
    writeFileSync(join(this.#folder, name), `${text}\n`, { mode: 0o600 });
    return `\${MESH_VALUES%/values}/${FOLDER}/${name}`;
  }

  /** A script as an argument; one that is too long is sourced from a file. */
  inline(script: string): string {
    return Buffer.byteLength(script) <= INLINE_SCRIPT_BYTES ? script : `. "${this.put("run", script)}"`;
  }
}

/** The login file in HOME, as an upstream task left it; null when there is none. */
function loginFile(layers: readonly string[]): string | null {
  for (const name of LOGIN_FILES) {
    const path = `${CONTEXT.home}/${name}`;
    if (layers.some((layer) => existsSync(layer + path)) && resolveInStack(layers, path)?.kind === "file") return path;
  }
  return null;
}

// What the shell starts as a child sources no login file.
function loginScript(login: string, bashEnv: string | undefined): string {
  const own = bashEnv === undefined ? [] : [`export BASH_ENV=${quoted(bashEnv)}`, '. "$BASH_ENV"'];
  return ["unset BASH_ENV", `. ${login}`, ...own].join("\n");
}

/**
 * Hooks before the script are sourced in the shell, and when one fails the task has failed. The script and then each hook
 * after it run in the shell's image of its own, so that whatever one does, the next runs; the first that fails decides.
 */
function aroundHooks(files: ScriptFolder, script: string, hooks: Hooks): string {
  const sources = (when: "before" | "after") =>
    hooks.flatMap((hook, index) => (hook.when === when ? [`. "${files.put(`${when}-${index}`, hook.script)}"`] : []));
  const run = `. "${files.put("run", script)}"`;
  const before = sources("before");
  const after = sources("after");
  if (after.length === 0) return [...before, run].join("\n");
  return [
    ...before,
    // a task that is asked to end has its hooks as well
    "trap : TERM",
    "set +e",
    `(set -e\n${run})`,
    "mesh_status=$?",
    ...after.flatMap((hook) => [`(set -e\n${hook})`, "mesh_hook=$?; [ $mesh_status -ne 0 ] || mesh_status=$mesh_hook"]),
    "exit $mesh_status",
  ].join("\n");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
