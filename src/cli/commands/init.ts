// `mesh init`: makes a mesh of this machine alone.

import { printable } from "../../base/text.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import { membershipJson, meshWords } from "../text/mesh-words.ts";

export const execute: Execute = async (context, args) => {
  const seat = await context.seat();
  const membership = await seat.init(args.text("name"));
  if (args.on("json")) printJson(context, membershipJson(membership));
  else
    printLines(context, [
      `Made ${meshWords(membership.mesh)}, with this machine as ${printable(membership.name)}.`,
      "Next: `mesh up` starts its node, `mesh invite` prints a code for the next machine.",
    ]);
  return 0;
};
