// How this program starts itself for work of its own: compiled, or as source under Bun.

import { dirname, join } from "node:path";

/** First word of the command line of such work; what follows is work-of-its-own.ts's. Not for people. */
export const OWN_WORK = "own-work";

/** The words that start it. The first one is an absolute path. */
export function ownProgram(...words: readonly string[]): readonly string[] {
  const isCompiled = Bun.main.startsWith("/$bunfs/");
  const program = isCompiled
    ? [process.execPath]
    : [process.execPath, join(dirname(import.meta.dir), "cli", "main.ts")];
  return [...program, OWN_WORK, ...words];
}

/** All of the environment that such work needs. */
export function ownEnvironment(): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin", HOME: process.env["HOME"] ?? "/" };
}
