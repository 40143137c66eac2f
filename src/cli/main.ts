// The program `mesh`: reads the command line, hands over to one command, and turns what comes back into an exit code.
// No command's module is loaded before it is known to be the one; no top-level await, so that bytecode works.

import { asMeshError, MeshError } from "../base/errors.ts";
import type { CommandContext } from "./context.ts";
import type { CommandModule } from "./grammar/command.ts";
import { parseInvocation, wantsJson } from "./grammar/parse.ts";
import { OWN_WORK } from "../node/own-program.ts";
import { FileOutput } from "./output.ts";
import { processContext } from "./process-context.ts";
import { PROGRAM } from "./program/program.ts";
import { VERSION } from "../base/version.ts";

/** Exit code of a bug: none of the documented ones. */
const EXIT_BUG = 70;

/** Runs the program on the words after its name. Returns the exit code; never throws. */
export async function main(argv: readonly string[]): Promise<number> {
  const readerGone = new Set<() => void>();
  const stdout = new FileOutput(1, () => {
    for (const handler of readerGone) handler();
  });
  const stderr = new FileOutput(2, () => undefined);
  try {
    if (argv[0] === OWN_WORK) {
      const { workOfItsOwn } = await import("../node/work-of-its-own.ts");
      return await workOfItsOwn(argv.slice(1));
    }
    const invocation = parseInvocation(PROGRAM, argv);
    if (invocation.kind === "version") {
      stdout.write(`mesh ${VERSION}\n`);
      return 0;
    }
    await using context = processContext({
      program: PROGRAM,
      stdout,
      stderr,
      onReaderGone: (handler) => readerGone.add(handler),
    });
    if (invocation.kind === "help") {
      const { helpText } = await import("./grammar/help.ts");
      stdout.write(helpText(PROGRAM, invocation.about, context.style));
      return 0;
    }
    // the table cannot name the context without a cycle; every module types its own `execute`
    const module = (await invocation.spec.load()) as CommandModule<CommandContext>;
    return await module.execute(context, invocation.args);
  } catch (error) {
    return await reportFailure(error, stderr, wantsJson(argv));
  } finally {
    stdout.flush();
    stderr.flush();
  }
}

async function reportFailure(error: unknown, stderr: FileOutput, json: boolean): Promise<number> {
  const [{ bugLines, errorJson, errorLines }, { makeStyle, wantsColour }] = await Promise.all([
    import("./text/error-text.ts"),
    import("./text/style.ts"),
  ]);
  const known = asMeshError(error);
  if (known === null) {
    stderr.write(`${bugLines(error, VERSION).join("\n")}\n`);
    return EXIT_BUG;
  }
  const style = makeStyle(wantsColour(process.env, stderr.isTerminal));
  stderr.write(json ? `${JSON.stringify(errorJson(known))}\n` : `${errorLines(known, style).join("\n")}\n`);
  return known instanceof MeshError ? known.exitCode : 1;
}

if (import.meta.main) {
  // a child that is a Bun program must not be told to behave like us
  delete process.env["BUN_BE_BUN"];
  delete process.env["BUN_OPTIONS"];
  void main(process.argv.slice(2)).then((code) => process.exit(code));
}
