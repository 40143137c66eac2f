// This machine's place in a mesh while no node of it runs: read, made, taken and given up.

import { hostname } from "node:os";
import { fail } from "../base/errors.ts";
import { systemRandom } from "../base/io/system.ts";
import { VERSION } from "../base/version.ts";
import type { Identity } from "../mesh/identity.ts";
import { ensureIdentity, forgetIdentity, loadIdentity } from "../mesh/io/identity-file.ts";
import { openMesh } from "../mesh/io/mesh.ts";
import { lockMesh } from "../mesh/io/mesh-lock.ts";
import { readMachineTraits } from "../mesh/io/read-traits.ts";
import { forgetRoster, loadRoster, saveRoster } from "../mesh/io/roster-file.ts";
import { foundMesh } from "../mesh/issue.ts";
import { nodeNameFrom } from "../mesh/node-name.ts";
import { Roster } from "../mesh/roster.ts";
import type { Membership } from "./node-service.ts";
import { meshFolder } from "./socket-path.ts";

/** How long those who are connected may take to hear a farewell. */
const FAREWELL_MS = 1_500;

/** null for a machine that is in no mesh. Throws `mesh.identity-copied`, `mesh.state-exposed`, `mesh.state-corrupt`. */
export function readMembership(home: string): Membership | null {
  const folder = meshFolder(home);
  const roster = loadRoster(folder);
  if (roster === null) return null;
  const identity = loadIdentity(placeOf(folder));
  return identity === null ? null : membershipOf(identity, roster);
}

/** Makes a mesh with this machine as its first member. Throws `mesh.already-a-member`, `usage.invalid` for a name that cannot be. */
export function makeMesh(home: string, name: string | null): Membership {
  refuseMember(home);
  const folder = meshFolder(home);
  using _lock = lockMesh(folder);
  const identity = ensureIdentity(placeOf(folder), systemRandom);
  const occasion = { nowMs: Date.now(), serial: systemRandom.bytes(16) };
  const roster = Roster.founded(foundMesh(identity, name ?? usualName(), occasion));
  saveRoster(folder, roster);
  return membershipOf(identity, roster);
}

/** Forgets the mesh; those who can be reached are told. `newIdentity` forgets the key as well. */
export async function leaveMesh(home: string, { newIdentity }: { readonly newIdentity: boolean }): Promise<void> {
  const folder = meshFolder(home);
  if (newIdentity) {
    // a copy must not speak for the machine that it was copied from
    using _lock = lockMesh(folder);
    forgetRoster(folder);
    forgetIdentity(folder);
    return;
  }
  if (readMembership(home) === null) fail("mesh.not-a-member", "Cannot leave: this machine is in no mesh");
  const mesh = await openMesh({ folder, version: VERSION, port: null });
  const until = performance.now() + FAREWELL_MS;
  while (performance.now() < until && !mesh.list().some(({ state }) => state === "up")) await Bun.sleep(20);
  await mesh.leave();
}

/** Throws `mesh.already-a-member`. */
export function refuseMember(home: string): void {
  const before = readMembership(home);
  if (before !== null) fail("mesh.already-a-member", `This machine is ${before.name} of a mesh already`);
}

/** What this machine is called when nobody says otherwise. */
export function usualName(): string {
  return nodeNameFrom(hostname());
}

function placeOf(folder: string) {
  return { folder, traits: readMachineTraits() };
}

/** What the roster says of this machine. */
export function membershipOf({ id }: Identity, roster: Roster): Membership {
  const verdict = roster.verdict(id, Date.now());
  const { mesh } = roster;
  if (verdict.kind === "member") return { id, name: verdict.name, mesh, roles: verdict.roles };
  return { id, name: usualName(), mesh, roles: [] };
}
