// `mesh drain [NODE]`: a machine's tasks end, and it gets no more.

import { type Execute, printJson, printLines } from "../context.ts";
import { nodeJson, peerWords } from "../text/mesh-words.ts";

export const execute: Execute = async (context, args) => {
  const service = await context.service();
  const on = !args.on("off");
  const peer = await service.drain(args.words[0] ?? null, on);
  if (args.on("json")) printJson(context, nodeJson(peer));
  else if (!on) printLines(context, [`${peerWords(peer)} takes tasks again.`]);
  else {
    const running = peer.snapshot?.runningTasks ?? 0;
    const rest = running === 0 ? "None runs there." : `${running} that run${running === 1 ? "s" : ""} there may end.`;
    printLines(context, [`${peerWords(peer)} takes no more tasks. ${rest}`]);
  }
  return 0;
};
