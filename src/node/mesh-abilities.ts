// What this machine's part in a mesh needs, and whether it is there: its identity, the usual port, multicast on each interface.
// It only looks: it joins nothing and announces nothing.

import { asMeshError } from "../base/errors.ts";
import { MeshFinder } from "../mesh/io/find-meshes.ts";
import { USUAL_PORT } from "../mesh/io/listening.ts";
import { readMembership } from "./membership.ts";
import type { NodeStatus } from "./node-service.ts";

/** One thing that may or may not work. */
export interface MeshAbility {
  /** Stable, for programs. */
  readonly name: "mesh-identity" | "mesh-port" | "mesh-multicast";
  readonly title: string;
  readonly holds: boolean;
  /** What was found, or why it does not hold. */
  readonly detail: string;
  /** What to do; empty when nothing has to be done. */
  readonly remedy: string;
}

/** How long faults of multicast may take to show: what cannot be sent fails at once. */
const MULTICAST_MS = 200;

/** Looks. `running`: the node of this machine, when it runs. */
export async function meshAbilities(home: string, running: NodeStatus | null): Promise<readonly MeshAbility[]> {
  return [identityAbility(home), portAbility(running), await multicastAbility()];
}

function identityAbility(home: string): MeshAbility {
  const common = { name: "mesh-identity", title: "This machine's place in a mesh" } as const;
  try {
    const membership = readMembership(home);
    if (membership === null)
      return { ...common, holds: true, detail: "in none; `mesh join` joins or makes one", remedy: "" };
    const { name, roles } = membership;
    if (roles.length > 0) return { ...common, holds: true, detail: `${name}: ${roles.join(", ")}`, remedy: "" };
    const remedy = "`mesh leave`, then join again with a code of an admin.";
    return { ...common, holds: false, detail: `${name} is no member any more`, remedy };
  } catch (error) {
    const known = asMeshError(error);
    if (known === null) throw error;
    return { ...common, holds: false, detail: known.message, remedy: known.hint };
  }
}

function portAbility(running: NodeStatus | null): MeshAbility {
  const common = { name: "mesh-port", title: `Port ${USUAL_PORT} for other machines` } as const;
  const [address] = running?.addresses ?? [];
  if (address?.port === USUAL_PORT) return { ...common, holds: true, detail: "this machine's node has it", remedy: "" };
  if (address !== undefined)
    return { ...common, holds: true, detail: `this machine's node listens at port ${address.port}`, remedy: "" };
  if (isFree(USUAL_PORT)) return { ...common, holds: true, detail: "free", remedy: "" };
  return {
    ...common,
    holds: false,
    detail: "another program has it",
    remedy: "The node takes a free one in its place; `mesh up --port PORT` chooses it, for a firewall's sake.",
  };
}

function isFree(port: number): boolean {
  for (const hostname of ["::", "0.0.0.0"]) {
    try {
      Bun.listen({ hostname, port, socket: { data: () => undefined } }).stop(true);
      return true;
    } catch {
      // a kernel without IPv6 has the other
    }
  }
  return false;
}

async function multicastAbility(): Promise<MeshAbility> {
  await using finder = await MeshFinder.open(() => undefined);
  await Bun.sleep(MULTICAST_MS);
  const { faults, interfaces } = finder;
  return {
    name: "mesh-multicast",
    title: "Multicast, to find machines by mDNS",
    holds: faults.length === 0,
    detail: faults.length === 0 ? interfaces.join(", ") : faults.join("; "),
    remedy: faults.length === 0 ? "" : "Where it does not reach, name a machine: `mesh join HOST:PORT CODE`.",
  };
}
