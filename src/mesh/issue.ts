// Makes the entries of a roster: founding, granting, revoking, leaving. Whoever issues must be allowed to by the roster as it is
// known here; whether others see it so is theirs to check.

import { fail } from "../base/errors.ts";
import type { PeerId } from "../base/ids.ts";
import { assert } from "../base/assert.ts";
import { LIMITS } from "../base/limits.ts";
import { type EntryId, type Grant, type Revocation, signEntry, type SignedEntry } from "./grant.ts";
import type { Identity } from "./identity.ts";
import { freeNodeName, isNodeName } from "./node-name.ts";
import { type Role, ROLES } from "./roles.ts";
import type { Roster, Verdict } from "./roster.ts";

/** When and with which chance an entry is made. */
export interface Occasion {
  readonly nowMs: number;
  /** 16 fresh random bytes. */
  readonly serial: Uint8Array;
}

/** The founding grant of a new mesh: this machine with all roles. `Roster.founded` makes the mesh of it. */
export function foundMesh(identity: Identity, name: string, { nowMs, serial }: Occasion): SignedEntry<Grant> {
  const grant: Grant = {
    kind: "grant",
    mesh: null,
    node: identity.id,
    name: checkedName(name),
    roles: ordered(ROLES),
    issuer: identity.id,
    authority: null,
    serial: serial.toHex(),
    issuedAtMs: nowMs,
    expiresAtMs: null,
    overrules: [],
  };
  return signEntry(grant, identity);
}

export interface GrantWish {
  readonly node: PeerId;
  /** Given as `name-2` and so on when another machine has it. */
  readonly name: string;
  readonly roles: readonly Role[];
  /** Unix time; null for a grant without an end. An admin's has none. */
  readonly expiresAtMs: number | null;
}

/**
 * A grant for a machine, in the place of whatever it had: also one that was revoked is let in again. The caller merges it. Throws
 * `mesh.not-allowed` when this machine is no admin, `usage.invalid` for a wish that cannot be.
 */
export function issueGrant(
  roster: Roster,
  identity: Identity,
  wish: GrantWish,
  { nowMs, serial }: Occasion,
): SignedEntry<Grant> {
  const authority = adminGrantOf(roster, identity, nowMs);
  const roles = ordered(wish.roles);
  if (roles.length === 0) fail("usage.invalid", "Cannot grant membership without a role");
  if (roles.includes("admin") && wish.expiresAtMs !== null) {
    fail("usage.invalid", "Cannot let an admin's membership expire: `mesh revoke` ends it");
  }
  const standing = roster.verdict(wish.node, nowMs);
  if (standing.kind === "member" && standing.roles.includes("admin") && !roles.includes("admin")) {
    // What is only replaced could still be named as an authority.
    fail("mesh.not-allowed", `Cannot take the role admin from ${standing.name} by a grant`, {
      hint: `\`mesh revoke ${standing.name}\` first, then let it join again.`,
    });
  }
  const earlier = roster.entries().filter(({ entry }) => entry.node === wish.node);
  if (earlier.length > LIMITS.rosterOverrules)
    fail("mesh.not-allowed", `Cannot let a machine in more than ${earlier.length} times`);
  const isTaken = (name: string) => ![null, wish.node].includes(roster.byName(name));
  const grant: Grant = {
    kind: "grant",
    mesh: roster.mesh,
    node: wish.node,
    name: freeNodeName(checkedName(wish.name), isTaken),
    roles,
    issuer: identity.id,
    authority,
    serial: serial.toHex(),
    issuedAtMs: nowMs,
    expiresAtMs: wish.expiresAtMs,
    overrules: earlier.map(({ id }) => id).toSorted(),
  };
  return signEntry(grant, identity);
}

/**
 * A revocation of a machine; what it issued until this roster stays good. The caller merges it. Throws `mesh.not-allowed` when
 * this machine is no admin and not the one to be revoked.
 */
export function issueRevocation(
  roster: Roster,
  identity: Identity,
  node: PeerId,
  nowMs: number,
): SignedEntry<Revocation> {
  if (node === identity.id) return issueLeave(roster, identity, nowMs);
  return signRevocation(roster, identity, { node, authority: adminGrantOf(roster, identity, nowMs), nowMs });
}

/** The time in a leave by a machine that is no admin (`isPlainLeave`). */
const PLAIN = 0;

function issueLeave(roster: Roster, identity: Identity, nowMs: number): SignedEntry<Revocation> {
  const verdict = roster.verdict(identity.id, nowMs);
  if (verdict.kind !== "member") fail("mesh.not-a-member", `Cannot leave: this machine is ${said(verdict)}`);
  const isAdmin = verdict.roles.includes("admin");
  return signRevocation(roster, identity, {
    node: identity.id,
    authority: verdict.grant,
    nowMs: isAdmin ? nowMs : PLAIN,
  });
}

function signRevocation(
  roster: Roster,
  identity: Identity,
  { node, authority, nowMs }: { readonly node: PeerId; readonly authority: EntryId; readonly nowMs: number },
): SignedEntry<Revocation> {
  const issued = roster.entries().filter(({ entry }) => entry.issuer === node && entry.authority !== null);
  const honoured = nowMs === PLAIN ? [] : issued;
  assert(
    honoured.length <= LIMITS.rosterHonoured,
    "a roster holds no more entries of one issuer than a revocation can honour",
  );
  const revocation: Revocation = {
    kind: "revocation",
    mesh: roster.mesh,
    node,
    issuer: identity.id,
    authority,
    issuedAtMs: nowMs,
    honoured: honoured.map(({ id }) => id).toSorted(),
  };
  return signEntry(revocation, identity);
}

/** The grant by which this machine is an admin. Throws `mesh.not-allowed`. */
function adminGrantOf(roster: Roster, identity: Identity, nowMs: number): EntryId {
  const verdict = roster.verdict(identity.id, nowMs);
  if (verdict.kind === "member" && verdict.roles.includes("admin")) return verdict.grant;
  return fail("mesh.not-allowed", `Cannot let machines in or out: this machine is ${said(verdict)}`);
}

function said(verdict: Verdict): string {
  switch (verdict.kind) {
    case "member":
      return "no admin of the mesh";
    case "expired":
      return "no member any more: its membership has expired";
    case "revoked":
      return "no member any more: its membership was revoked";
    case "unknown":
      return "no member of the mesh";
  }
}

function checkedName(name: string): string {
  if (isNodeName(name)) return name;
  return fail("usage.invalid", `Cannot call a machine ${JSON.stringify(name.slice(0, 80))}`, {
    hint: "A name is 1 to 63 of a-z, 0-9 and inner hyphens, and does not end like a machine id.",
  });
}

function ordered(roles: readonly Role[]): readonly Role[] {
  return ROLES.filter((role) => roles.includes(role)).toSorted();
}
