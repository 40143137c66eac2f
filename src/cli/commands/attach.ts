// `mesh attach RUN`: watches a run of the mesh from its beginning, wherever it is coordinated.

import { type Execute } from "../context.ts";
import { watchAndShow } from "../driving.ts";

export const execute: Execute = async (context, args) => {
  const service = await context.service();
  return await watchAndShow(context, service, {
    run: args.words[0] ?? "",
    show: { json: args.on("json"), plain: args.on("plain") },
  });
};
