// This machine's place in a mesh while no node of it runs: read, made, taken and given up.

import { hostname } from "node:os";
import { fail } from "../base/errors.ts";
import { shortPeer } from "../base/ids.ts";
import { VERSION } from "../base/version.ts";
import { MeshFinder } from "../mesh/io/find-meshes.ts";
import { forgetIdentity, loadIdentity } from "../mesh/io/identity-file.ts";
import { initMesh, joinMesh, type Joined } from "../mesh/io/join-mesh.ts";
import { openMesh } from "../mesh/io/mesh.ts";
import { lockMesh } from "../mesh/io/mesh-lock.ts";
import { readMachineTraits } from "../mesh/io/read-traits.ts";
import { forgetRoster, loadRoster } from "../mesh/io/roster-file.ts";
import type { Farewell, FoundMesh, JoinWish, Membership } from "./node-service.ts";
import { meshFolder } from "./socket-path.ts";

/** How long a look at the local network takes: machines that are there answer within a few hundredths of a second. */
const LOOK_MS = 1_500;

const LOOK_AGAIN_MS = 20;

/** How long those who are connected may take to hear a farewell. */
const FAREWELL_MS = 1_500;

/** null for a machine that is in no mesh. Throws `mesh.identity-copied`, `mesh.state-exposed`, `mesh.state-corrupt`. */
export function readMembership(home: string): Membership | null {
  const folder = meshFolder(home);
  const roster = loadRoster(folder);
  if (roster === null) return null;
  const identity = loadIdentity(placeOf(folder));
  if (identity === null) return null;
  const verdict = roster.verdict(identity.id, Date.now());
  const isMember = verdict.kind === "member";
  const name = verdict.kind === "unknown" ? shortPeer(identity.id) : verdict.name;
  return { id: identity.id, name, mesh: roster.mesh, roles: isMember ? verdict.roles : [] };
}

/** Makes a mesh with this machine as its first member. Throws `mesh.already-a-member`, `node.already-running`. */
export function makeMesh(home: string, name: string | null): Membership {
  return membershipOf(initMesh(meshFolder(home), name ?? hostname()));
}

/** Joins a mesh. Throws as `joinMesh` of the mesh does. */
export async function join(home: string, { address, code, name }: JoinWish, signal: AbortSignal): Promise<Membership> {
  const wish = { folder: meshFolder(home), code, name: name ?? hostname(), roles: null, address, signal };
  return membershipOf(await joinMesh(wish));
}

/** Meshes that announce themselves on the local network, after a short look. */
export async function findMeshes(signal: AbortSignal): Promise<readonly FoundMesh[]> {
  const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => stop(), { once: true });
  await using finder = await MeshFinder.open(() => undefined);
  await Promise.race([stopped, Bun.sleep(LOOK_MS)]);
  signal.throwIfAborted();
  return finder.found.map(({ tag, machines }) => ({
    mesh: tag,
    nodes: machines.flatMap(({ name, addresses }) => addresses.slice(0, 1).map((address) => ({ name, address }))),
    inviting: machines.some(({ inviteOpen }) => inviteOpen),
  }));
}

/** Forgets the mesh; those who can be reached are told. Forgets the key as well where it would still be a member's. */
export async function leaveMesh(home: string, { newIdentity }: { readonly newIdentity: boolean }): Promise<Farewell> {
  const folder = meshFolder(home);
  if (newIdentity) {
    // a copy must not speak for the machine that it was copied from
    using _lock = lockMesh(folder);
    forgetRoster(folder);
    forgetIdentity(folder);
    return { heard: null, newIdentity };
  }
  if (readMembership(home) === null) fail("mesh.not-a-member", "Cannot leave: this machine is in no mesh");
  const mesh = await openMesh({ folder, version: VERSION, port: null });
  const hasOthers = mesh.list().some(({ state }) => state !== "self" && state !== "revoked");
  const until = performance.now() + (hasOthers ? FAREWELL_MS : 0);
  while (performance.now() < until && !mesh.list().some(({ state }) => state === "up")) await Bun.sleep(LOOK_AGAIN_MS);
  const heard = (await mesh.leave()) > 0;
  if (!hasOthers || heard) return { heard: hasOthers ? heard : null, newIdentity };
  // to the others this key is still a member's
  using _lock = lockMesh(folder);
  forgetIdentity(folder);
  return { heard, newIdentity: true };
}

function placeOf(folder: string) {
  return { folder, traits: readMachineTraits() };
}

function membershipOf({ self, name, mesh, roles }: Joined): Membership {
  return { id: self, name, mesh, roles };
}
