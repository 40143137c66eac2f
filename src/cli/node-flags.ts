// Flags of the commands that start the node, as what it is started with.

import { MeshError } from "../base/errors.ts";
import type { ServeOptions } from "../node/node-service.ts";
import type { Arguments } from "./grammar/arguments.ts";

const MOST_PORT = 65_535;

/** Throws `usage.invalid`. */
export function serveOptions(args: Arguments): ServeOptions {
  const port = args.integer("port");
  if (port !== null && (port < 1 || port > MOST_PORT))
    throw new MeshError("usage.invalid", `Cannot listen on port ${port}: 1 to ${MOST_PORT} are possible`);
  return {
    cpus: args.text("cpus"),
    memory: args.text("memory"),
    gpus: args.text("gpus"),
    labels: args.text("labels"),
    port,
  };
}

/** "10.0.0.7:7433", "desk.local:7433", "[fe80::1%eth0]:7433"; null when the text is no address. */
export function parseAddress(text: string): { readonly host: string; readonly port: number } | null {
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|([A-Za-z0-9_.-]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port < 1 || port > MOST_PORT ? null : { host, port };
}
