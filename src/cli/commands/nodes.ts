// `mesh nodes`: a line for each machine of the mesh.

import { type Execute, printJson, printLines } from "../context.ts";
import { nodeJson } from "../text/mesh-words.ts";
import { nodeTable } from "../view/node-table.ts";

export const execute: Execute = async (context, args) => {
  const service = await context.service();
  const peers = await service.peers();
  const { remarks } = await service.status();
  if (args.on("json")) {
    printJson(context, { nodes: peers.map(nodeJson), remarks });
    return 0;
  }
  printLines(context, nodeTable(peers, { style: context.style, wide: args.on("wide") }));
  printLines(
    context,
    remarks.map((remark) => context.style.yellow(`! ${remark}`)),
  );
  return 0;
};
