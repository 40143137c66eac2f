// What an open mesh gives to a node of this machine.

import { MeshContent } from "../mesh/io/content-exchange.ts";
import type { Mesh } from "../mesh/io/mesh.ts";
import type { MeshNode } from "./node.ts";
import type { MeshAccess } from "./remote/mesh-side.ts";

/** How long a node that lives as long as a command waits for the machines that it knows. */
const GATHER_MS = 1_500;

/** The mesh, and the exchange of its content with the node's store. */
export function accessOf(node: MeshNode, mesh: Mesh): MeshAccess {
  return { peers: mesh, content: new MeshContent({ store: node.store, peers: mesh }) };
}

/** Waits until every machine that is known is there, for a short time. */
export async function gathered(mesh: Mesh): Promise<void> {
  const all = Promise.withResolvers<void>();
  const look = () => {
    if (mesh.list().every(({ state }) => state !== "down" && state !== "suspect")) all.resolve();
  };
  using _watch = mesh.watch(look);
  look();
  await Promise.race([all.promise, Bun.sleep(GATHER_MS)]);
}
