// Homes of machines that are in one mesh already, without pairing: for tests of what comes after it.

import { systemRandom } from "../../src/base/io/system.ts";
import type { PeerId } from "../../src/base/ids.ts";
import type { Identity } from "../../src/mesh/identity.ts";
import { ensureIdentity } from "../../src/mesh/io/identity-file.ts";
import { nativeSignatures } from "../../src/mesh/io/native-signatures.ts";
import { readMachineTraits } from "../../src/mesh/io/read-traits.ts";
import { saveRoster } from "../../src/mesh/io/roster-file.ts";
import { foundMesh, issueGrant } from "../../src/mesh/issue.ts";
import { Roster } from "../../src/mesh/roster.ts";
import type { Role } from "../../src/mesh/roles.ts";

export interface HomeSpec {
  readonly folder: string;
  readonly name: string;
  /** That of the folder when absent; it is made when there is none. */
  readonly id?: PeerId;
  /** When its grant ends (Unix); never when absent. */
  readonly memberUntilMs?: number;
}

/** Puts the first machine's new mesh and everybody's grant into all folders. Returns the roster. */
export function makeMeshHomes(homes: readonly HomeSpec[], roles: readonly Role[] = ["worker", "submitter"]): Roster {
  const [first, ...others] = homes;
  if (first === undefined) throw new Error("A mesh has one machine at least");
  const founder = identityIn(first.folder);
  const roster = Roster.founded(foundMesh(founder, first.name, occasion()));
  for (const { folder, name, id, memberUntilMs } of others) {
    const node = id ?? identityIn(folder).id;
    const grant = issueGrant(roster, founder, { node, name, roles, expiresAtMs: memberUntilMs ?? null }, occasion());
    roster.merge([grant.bytes], nativeSignatures);
  }
  for (const { folder } of homes) saveRoster(folder, roster);
  return roster;
}

/** The identity in a folder, made when there is none. */
export function identityIn(folder: string): Identity {
  return ensureIdentity({ folder, traits: readMachineTraits() }, systemRandom);
}

function occasion(): { nowMs: number; serial: Uint8Array } {
  return { nowMs: Date.now(), serial: systemRandom.bytes(16) };
}
