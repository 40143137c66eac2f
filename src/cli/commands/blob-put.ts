// `mesh blob put FILE`: a file in this machine's store, by its hash.

import { type Execute, printJson, printLines } from "../context.ts";

export const execute: Execute = async (context, args) => {
  const blobs = await context.blobs();
  const word = args.words[0] ?? "";
  const { digest, sizeBytes } = await blobs.put(word === "-" ? { kind: "stdin" } : { kind: "file", path: word });
  if (args.on("json")) printJson(context, { digest, sizeBytes });
  else printLines(context, [digest]);
  return 0;
};
