// `mesh up`: this machine's node, in the background.

import { type Execute, printJson, printLines } from "../context.ts";
import { serveOptions } from "../node-flags.ts";
import { addressWords, meshWords } from "../text/mesh-words.ts";

export const execute: Execute = async (context, args) => {
  const keeper = await context.keeper();
  const options = serveOptions(args);
  const json = args.on("json");
  if (args.on("foreground")) {
    const { runNode } = await import("../foreground-node.ts");
    return await runNode(context, { keeper, options, show: json ? "json" : "plain" });
  }
  const status = await keeper.start(options);
  if (json) printJson(context, status);
  else
    printLines(context, [
      `${status.name} serves ${meshWords(status.mesh)} at ${status.addresses.map(addressWords).join(", ")} (process ${status.pid}).`,
    ]);
  return 0;
};
