// `mesh leave`: this machine is on its own again.

import { type Execute, printJson, printLines } from "../context.ts";
import { meshWords } from "../text/mesh-words.ts";

export const execute: Execute = async (context, args) => {
  const seat = await context.seat();
  const wantsNew = args.on("new-identity");
  // a copied identity cannot say of what it is a member
  const membership = wantsNew ? null : await seat.membership();
  const { heard, newIdentity } = await seat.leave({ newIdentity: wantsNew });
  if (args.on("json")) printJson(context, { left: membership?.mesh ?? null, heard, newIdentity });
  else
    printLines(context, [
      membership === null ? "Forgot the mesh." : `Left ${meshWords(membership.mesh)}.`,
      ...(heard === false
        ? ["No other machine could be told: to them it is a member that is missing, until one revokes it."]
        : []),
      ...(newIdentity ? ["This machine makes a new identity when it joins or makes a mesh."] : []),
    ]);
  return 0;
};
