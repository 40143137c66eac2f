// `mesh down`: ends this machine's node.

import { type Execute, printJson, printLines } from "../context.ts";

export const execute: Execute = async (context, args) => {
  const keeper = await context.keeper();
  await keeper.stop();
  if (args.on("json")) printJson(context, { stopped: true });
  else printLines(context, ["Stopped. This machine stays a member: `mesh up` starts its node again."]);
  return 0;
};
