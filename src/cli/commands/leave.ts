// `mesh leave`: this machine is on its own again.

import { type Execute, printJson, printLines } from "../context.ts";
import { meshWords } from "../text/mesh-words.ts";

export const execute: Execute = async (context, args) => {
  const seat = await context.seat();
  const newIdentity = args.on("new-identity");
  // a copied identity cannot say of what it is a member
  const membership = newIdentity ? null : await seat.membership();
  await seat.leave({ newIdentity });
  if (args.on("json")) printJson(context, { left: membership?.mesh ?? null, newIdentity });
  else
    printLines(context, [
      membership === null ? "Forgot the mesh." : `Left ${meshWords(membership.mesh)}.`,
      ...(newIdentity ? ["This machine makes a new identity when it joins or makes a mesh."] : []),
    ]);
  return 0;
};
