// What every script knows of the checkout: where it is, what it declares, and how a script gives up.
// Built-in modules only: scripts run before anything is installed.

import { resolve } from "node:path";

/** Absolute path of the checkout. */
export const projectRoot = resolve(import.meta.dir, "../..");

/** Where the program starts, relative to the checkout. */
export const entryPoint = "src/cli/main.ts";

interface Manifest {
  readonly version: string;
  readonly engines: { readonly bun: string };
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** A checkout's package.json. */
export async function readManifest(checkout: string): Promise<Manifest> {
  return (await Bun.file(`${checkout}/package.json`).json()) as Manifest;
}

/** Absolute path of a file given relative to the checkout. */
export function inProject(path: string): string {
  return resolve(projectRoot, path);
}

/** Ends the script with a message for people on stderr. */
export function giveUp(message: string, exitCode = 1): never {
  process.stderr.write(`${message}\n`);
  process.exit(exitCode);
}
