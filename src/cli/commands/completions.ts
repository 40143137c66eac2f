// `mesh completions SHELL`: the completion script on standard output.

import { type Execute, printJson } from "../context.ts";
import { type Shell, completionScript } from "../grammar/completions.ts";

export const execute: Execute = async (context, args) => {
  const shell = args.words[0] as Shell;
  const script = completionScript(context.program, shell);
  if (args.on("json")) printJson(context, { shell, script });
  else context.stdout.write(script);
  return 0;
};
