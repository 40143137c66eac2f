// A line that somebody types or pipes in and that nobody else should see: not among the arguments, where `ps` shows it.

import { MeshError } from "../base/errors.ts";
import type { CommandContext } from "./context.ts";

const MOST_CHARS = 200;

/** Reads one line of standard input. Throws `usage.invalid` when there is none, `run.interrupted` on Ctrl-C. */
export async function readSecret(context: CommandContext, prompt: string, signal: AbortSignal): Promise<string> {
  if (context.stdout.isTerminal) {
    context.stdout.write(prompt);
    context.stdout.flush();
  }
  const interrupted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(new MeshError("run.interrupted", "Interrupted")), { once: true });
  });
  const line = (await Promise.race([context.readLine(), interrupted]))?.trim() ?? "";
  if (line === "" || line.length > MOST_CHARS)
    throw new MeshError("usage.invalid", "Cannot read a code from standard input", {
      hint: "Give it as an argument: `mesh join CODE`. `mesh invite` on a machine of the mesh prints one.",
    });
  return line;
}
