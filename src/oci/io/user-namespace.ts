// Runs a program of this machine with the ids that contexts have, and nothing else of a context: for files whose owners exist
// only in there (subordinate ids), which the user outside may neither read nor remove.

import { closeSync } from "node:fs";
import { fail } from "../../base/errors.ts";
import { makePipe } from "../../base/io/libc.ts";
import { call, type SetupProgram } from "../runtime/setup-op.ts";
import { USER_NAMESPACE_FD } from "../runtime/plan-input.ts";
import type { IdMaps } from "./id-map.ts";
import { spawnImage } from "./spawn-image.ts";

export interface NamespaceRun {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs `argv` (its first word is an absolute path) as root of the subordinate range, which must exist. The environment is `env`.
 * Throws `context.unavailable` when there is no range, `context.failed` when the program can't be started.
 */
export async function runInUserNamespace(
  idMaps: IdMaps,
  options: { readonly argv: readonly string[]; readonly env: Readonly<Record<string, string>> },
): Promise<NamespaceRun> {
  const { namespaceFd } = await idMaps.prepare("range");
  const [stdout, stderr] = [makePipe(), makePipe()];
  const program = programOf(options.argv, options.env, namespaceFd !== null);
  const spawned = spawnImage(program, {
    name: "mesh-as-root",
    output: [stdout.writeFd, stderr.writeFd],
    extraFds: [namespaceFd],
  });
  closeSync(stdout.writeFd);
  closeSync(stderr.writeFd);
  const texts = Promise.all([textOf(stdout.readFd), textOf(stderr.readFd)]);
  let failure: string | null = null;
  for await (const record of spawned.records()) failure ??= spawned.describe(record);
  await spawned.process.exited;
  spawned.closeReport();
  const [out, err] = await texts;
  if (failure !== null)
    fail("context.failed", `Cannot run ${options.argv[0] ?? ""} with the ids of contexts: ${failure}`);
  return { exitCode: spawned.process.exitCode, stdout: out, stderr: err };
}

function programOf(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  entersNamespace: boolean,
): SetupProgram {
  const environment = Object.entries(env).map(([name, text]) => `${name}=${text}`);
  const enter = [
    call("enter the user namespace", "setns", [USER_NAMESPACE_FD, 0x10000000]),
    call("become group 0", "setresgid", [0, 0, 0]),
    call("become user 0", "setresuid", [0, 0, 0]),
    call("drop supplementary groups", "setgroups", [0, 0]),
  ];
  return {
    variables: {},
    operations: [
      ...(entersNamespace ? enter : []),
      call("die with the parent", "prctl", [1, 9, 0, 0, 0]),
      call("keep no descriptor", "close_range", [3, 0xffffffff, 4]),
      call(`exec ${argv[0] ?? ""}`, "execve", [
        argv[0] ?? "",
        { kind: "strings", strings: argv },
        { kind: "strings", strings: environment },
      ]),
    ],
  };
}

async function textOf(fd: number): Promise<string> {
  const text = await new Response(Bun.file(fd).stream()).text();
  closeSync(fd);
  return text;
}
