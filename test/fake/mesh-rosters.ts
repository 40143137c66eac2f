// Machines and meshes for tests of rosters: identities from a number, entries from a seed.

import { type EntryId, type Grant, type Revocation, signEntry, type SignedEntry } from "../../src/mesh/grant.ts";
import { type Identity, identityOf } from "../../src/mesh/identity.ts";
import { nativeSignatures } from "../../src/mesh/io/native-signatures.ts";
import { foundMesh, issueGrant, issueRevocation } from "../../src/mesh/issue.ts";
import type { Role } from "../../src/mesh/roles.ts";
import { Roster } from "../../src/mesh/roster.ts";
import type { SeededRandom } from "./seeded-random.ts";

export const NOW_MS = 1_800_000_000_000;

const machines = new Map<number, Identity>();

/** The same number gives the same machine. */
export function machine(number: number): Identity {
  const known = machines.get(number);
  if (known !== undefined) return known;
  const seed = new Uint8Array(32);
  new DataView(seed.buffer).setUint32(0, number + 1);
  const made = identityOf(seed, nativeSignatures);
  machines.set(number, made);
  return made;
}

let serials = 0;

/** Another 16 bytes at each call. */
export function nextSerial(): Uint8Array {
  const serial = new Uint8Array(16);
  new DataView(serial.buffer).setUint32(0, ++serials);
  return serial;
}

/** A mesh founded by a machine. */
export function founded(founder: Identity, name = "founder"): Roster {
  return Roster.founded(foundMesh(founder, name, { nowMs: NOW_MS, serial: nextSerial() }));
}

/** Another roster with the same entries. */
export function copyOf(roster: Roster): Roster {
  const copy = new Roster(roster.mesh);
  copy.restore(roster.entries().map(({ bytes }) => bytes));
  return copy;
}

interface Admission {
  readonly by: Identity;
  readonly node: Identity;
  readonly name: string;
  readonly roles?: readonly Role[];
  readonly expiresAtMs?: number | null;
}

/** Lets a machine in and merges the grant. */
export function admit(roster: Roster, { by, node, name, roles, expiresAtMs = null }: Admission): SignedEntry<Grant> {
  const wish = { node: node.id, name, roles: roles ?? (["worker", "submitter"] as const), expiresAtMs };
  const grant = issueGrant(roster, by, wish, { nowMs: NOW_MS, serial: nextSerial() });
  roster.merge([grant.bytes], nativeSignatures);
  return grant;
}

/** Revokes a machine and merges that. */
export function expel(roster: Roster, by: Identity, node: Identity): SignedEntry<Revocation> {
  const revocation = issueRevocation(roster, by, node.id, NOW_MS);
  roster.merge([revocation.bytes], nativeSignatures);
  return revocation;
}

/** Entries of a mesh with a hostile past: anybody grants, revokes and leaves, also by authorities that are long gone. */
export function turbulentEntries(random: SeededRandom, founder: Identity, steps: number): readonly SignedEntry[] {
  const roster = founded(founder);
  const entries: SignedEntry[] = [...roster.entries()];
  const grants = () => entries.filter((signed): signed is SignedEntry<Grant> => signed.entry.kind === "grant");
  const all = new Map([
    [founder.id, founder],
    ...Array.from({ length: 8 }, (_, n) => machine(n + 100)).map((m) => [m.id, m] as const),
  ]);
  const some = (ids: readonly EntryId[]) => ids.filter(() => random.chance(0.5)).toSorted();
  for (let step = 0; step < steps; step++) {
    const authority = random.pick(grants());
    const issuer = all.get(authority.entry.node);
    if (issuer === undefined) continue;
    const node = random.pick([...all.keys()]);
    const common = { mesh: roster.mesh, issuer: issuer.id, authority: authority.id };
    const isAdmin = authority.entry.roles.includes("admin");
    const ofNode = entries.filter(({ entry }) => entry.node === node).map(({ id }) => id);
    const issuedByNode = entries.filter(({ entry }) => entry.issuer === node).map(({ id }) => id);
    if (!isAdmin) {
      if (!random.chance(0.2)) continue;
      entries.push(signEntry({ ...common, kind: "revocation", node: issuer.id, issuedAtMs: 0, honoured: [] }, issuer));
    } else if (random.chance(0.35)) {
      entries.push(
        signEntry({ ...common, kind: "revocation", node, issuedAtMs: NOW_MS, honoured: some(issuedByNode) }, issuer),
      );
    } else {
      const roles: readonly Role[] = random.chance(0.5) ? ["admin", "worker"] : ["worker"];
      const expiresAtMs = roles.includes("admin") || random.chance(0.7) ? null : NOW_MS + random.below(3) - 1;
      const name = random.pick(["ant", "bee", "cat"]);
      const serial = nextSerial().toHex();
      const overrules = some(ofNode);
      entries.push(
        signEntry(
          { ...common, kind: "grant", node, name, roles, serial, issuedAtMs: NOW_MS, expiresAtMs, overrules },
          issuer,
        ),
      );
    }
  }
  return entries;
}
