// Where a machine listens: at the usual port or another one, for both families where the kernel has both.

import type { Links } from "./links.ts";

export const USUAL_PORT = 7433;

/** Listens and returns the port. "any": the usual one, or another when that is taken. Throws `io.failed`. */
export function listenAt(links: Links, port: number | "any"): number {
  if (port !== "any") return listenOn(links, port);
  try {
    return listenOn(links, USUAL_PORT);
  } catch {
    return listenOn(links, 0); // Another mesh's machine has it, or another program.
  }
}

function listenOn(links: Links, port: number): number {
  try {
    return links.listen({ hostname: "::", port });
  } catch {
    return links.listen({ hostname: "0.0.0.0", port }); // A kernel without IPv6.
  }
}
