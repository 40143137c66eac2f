import { expect, test } from "bun:test";
import { type ErrorCode, MeshError } from "../../src/base/errors.ts";
import { foundMesh, issueGrant, issueRevocation } from "../../src/mesh/issue.ts";
import { admit, expel, founded, machine, nextSerial, NOW_MS } from "../fake/mesh-rosters.ts";

const FOUNDER = machine(0);
const ANNA = machine(1);
const BERT = machine(2);

function occasion() {
  return { nowMs: NOW_MS, serial: nextSerial() };
}

function codeOf(act: () => unknown): ErrorCode | null {
  try {
    act();
    return null;
  } catch (error) {
    if (error instanceof MeshError) return error.code;
    throw error;
  }
}

test("issueGrant() gives a machine whose name is taken the next one", () => {
  const roster = founded(FOUNDER);
  expect(admit(roster, { by: FOUNDER, node: ANNA, name: "pi" }).entry.name).toBe("pi");
  expect(admit(roster, { by: FOUNDER, node: BERT, name: "pi" }).entry.name).toBe("pi-2");
  // A machine's own name is not taken by itself, and that of a revoked one is free.
  expect(admit(roster, { by: FOUNDER, node: BERT, name: "pi-2" }).entry.name).toBe("pi-2");
  expel(roster, FOUNDER, ANNA);
  expect(admit(roster, { by: FOUNDER, node: machine(3), name: "pi" }).entry.name).toBe("pi");
});

test("issueGrant() replaces what a machine had", () => {
  const roster = founded(FOUNDER);
  admit(roster, { by: FOUNDER, node: ANNA, name: "anna", roles: ["worker"] });
  admit(roster, { by: FOUNDER, node: ANNA, name: "annette", roles: ["submitter"] });
  expect(roster.verdict(ANNA.id, NOW_MS)).toMatchObject({ kind: "member", name: "annette", roles: ["submitter"] });
});

test("issueGrant() and issueRevocation() are for admins", () => {
  const roster = founded(FOUNDER);
  admit(roster, { by: FOUNDER, node: ANNA, name: "anna" });
  const wish = { node: BERT.id, name: "bert", roles: ["worker"], expiresAtMs: null } as const;
  for (const by of [ANNA, BERT]) {
    expect(codeOf(() => issueGrant(roster, by, wish, occasion()))).toBe("mesh.not-allowed");
    expect(codeOf(() => issueRevocation(roster, by, FOUNDER.id, NOW_MS))).toBe("mesh.not-allowed");
  }
  expect(codeOf(() => issueRevocation(roster, BERT, BERT.id, NOW_MS))).toBe("mesh.not-a-member");
  expel(roster, ANNA, ANNA);
  expect(codeOf(() => issueRevocation(roster, ANNA, ANNA.id, NOW_MS))).toBe("mesh.not-a-member");
});

test("issueGrant() refuses wishes that cannot be", () => {
  const roster = founded(FOUNDER);
  const wish = { node: ANNA.id, name: "anna", roles: ["worker"], expiresAtMs: null } as const;
  expect(codeOf(() => issueGrant(roster, FOUNDER, { ...wish, roles: [] }, occasion()))).toBe("usage.invalid");
  expect(codeOf(() => issueGrant(roster, FOUNDER, { ...wish, name: "No" }, occasion()))).toBe("usage.invalid");
  const brief = { ...wish, roles: ["admin"], expiresAtMs: NOW_MS } as const;
  expect(codeOf(() => issueGrant(roster, FOUNDER, brief, occasion()))).toBe("usage.invalid");
  expect(codeOf(() => foundMesh(FOUNDER, "a b", occasion()))).toBe("usage.invalid");
});

test("issueGrant() does not demote an admin: its old grant could still be named as an authority", () => {
  const roster = founded(FOUNDER);
  admit(roster, { by: FOUNDER, node: ANNA, name: "anna", roles: ["admin"] });
  const wish = { node: ANNA.id, name: "anna", roles: ["worker"], expiresAtMs: null } as const;
  expect(codeOf(() => issueGrant(roster, FOUNDER, wish, occasion()))).toBe("mesh.not-allowed");
  expel(roster, FOUNDER, ANNA);
  expect(codeOf(() => issueGrant(roster, FOUNDER, wish, occasion()))).toBeNull();
});

test("an admin that leaves takes nobody with it", () => {
  const roster = founded(FOUNDER);
  admit(roster, { by: FOUNDER, node: ANNA, name: "anna", roles: ["admin", "worker"] });
  admit(roster, { by: ANNA, node: BERT, name: "bert" });
  expel(roster, ANNA, ANNA);
  expect(roster.verdict(ANNA.id, NOW_MS).kind).toBe("revoked");
  expect(roster.verdict(BERT.id, NOW_MS).kind).toBe("member");
});
