// What no context can be made of, said before anything is spawned. Pure.

import { fail } from "../../base/errors.ts";
import type { ContextCommand, ContextSetup } from "./context-spec.ts";

/** Throws `context.failed` unless paths are absolute and no text holds a NUL. */
export function checkSetup({ root, binds, hostname }: ContextSetup): void {
  const paths = [root.upper, root.work, ...root.lowers, ...binds.flatMap(({ source, target }) => [source, target])];
  for (const path of paths) checkAbsolute(path);
  checkTexts([...paths, hostname]);
}

/** The same for a command, of which there must be one. */
export function checkCommand({ argv, env, cwd }: ContextCommand): void {
  checkAbsolute(cwd);
  checkTexts([cwd, ...argv, ...Object.entries(env).flat()]);
  if (argv.length === 0) fail("context.failed", "Cannot start a context without a command");
}

function checkAbsolute(path: string): void {
  if (!path.startsWith("/"))
    fail("context.failed", `Cannot use ${JSON.stringify(path)} in a context: it is not an absolute path`);
}

function checkTexts(texts: readonly string[]): void {
  const broken = texts.find((text) => text.includes("\0"));
  if (broken !== undefined)
    fail("context.failed", `Cannot pass ${JSON.stringify(broken.slice(0, 80))} to a context: it holds a NUL character`);
}
