// `mesh revoke NODE`: takes a machine's membership back.

import { type Execute, printJson, printLines } from "../context.ts";
import { nodeJson, peerWords } from "../text/mesh-words.ts";

export const execute: Execute = async (context, args) => {
  const service = await context.service();
  const peer = await service.revoke(args.words[0] ?? "");
  if (args.on("json")) printJson(context, nodeJson(peer));
  else
    printLines(context, [
      `${peerWords(peer)} is no member any more. Machines that are up know it; others learn it when they meet one that does.`,
    ]);
  return 0;
};
