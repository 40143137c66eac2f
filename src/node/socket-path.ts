// Where the node's socket is. A unix socket's path may have 107 bytes: a longer one is reached through its folder's descriptor.

import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";

/** Bytes of `sun_path`, less the NUL (unix(7)). */
const MOST_BYTES = 107;

/** Folder of all that the mesh keeps on this machine: identity, roster, addresses, the node's socket. Only its user may enter. */
export function meshFolder(home: string): string {
  return join(home, "mesh");
}

/** A path to the node's socket that the system takes, for as long as it is held. */
export function openSocketPath(home: string): Disposable & { readonly path: string } {
  const folder = meshFolder(home);
  const path = join(folder, "node.sock");
  if (Buffer.byteLength(path) <= MOST_BYTES) return { path, [Symbol.dispose]: () => undefined };
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const fd = openSync(folder, "r");
  return { path: `/proc/self/fd/${fd}/node.sock`, [Symbol.dispose]: () => closeSync(fd) };
}
