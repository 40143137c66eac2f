import { expect, test } from "bun:test";
import { digestOf } from "../../src/base/digest.ts";
import { LIMITS } from "../../src/base/limits.ts";
import { MeshError } from "../../src/base/errors.ts";
import { acceptAnswer, admitJoiner } from "../../src/mesh/admission.ts";
import { signEntry } from "../../src/mesh/grant.ts";
import { nativeSignatures } from "../../src/mesh/io/native-signatures.ts";
import { admit, founded, machine, nextSerial, NOW_MS } from "../fake/mesh-rosters.ts";

const FOUNDER = machine(0);
const ADMIN = machine(1);
const PI = machine(2);
const JOINER = {
  node: PI.id,
  wish: { name: "pi", roles: ["worker"] },
  invitation: { roles: ["worker"], memberUntilMs: NOW_MS + 5 },
} as const;

function occasion() {
  return { nowMs: NOW_MS, serial: nextSerial() };
}

test("acceptAnswer() takes what admitJoiner() gave, whatever this machine's clock says", () => {
  const roster = founded(FOUNDER);
  admit(roster, { by: FOUNDER, node: ADMIN, name: "admin", roles: ["admin"] });
  const answer = admitJoiner(roster, ADMIN, JOINER, occasion());
  const joined = acceptAnswer(answer, { self: PI.id, inviter: ADMIN.id }, nativeSignatures);
  expect(joined.members(NOW_MS)).toEqual(roster.members(NOW_MS));
  expect(joined.verdict(PI.id, NOW_MS)).toMatchObject({ kind: "member", expiresAtMs: NOW_MS + 5 });
});

test("acceptAnswer() refuses a roster in which this machine is none of the inviter's", () => {
  const roster = founded(FOUNDER);
  const answer = admitJoiner(roster, FOUNDER, JOINER, occasion());
  const parties = { self: PI.id, inviter: FOUNDER.id };
  const refused = [
    { ...answer, entries: [] },
    { ...answer, entries: answer.entries.slice(1) },
    { ...answer, entries: [...answer.entries, new Uint8Array(5)] },
    { ...answer, mesh: answer.grant },
    { ...answer, grant: answer.mesh },
  ];
  for (const bad of refused) expect(() => acceptAnswer(bad, parties, nativeSignatures)).toThrow(MeshError);
  for (const bad of [
    { ...parties, self: ADMIN.id },
    { ...parties, inviter: ADMIN.id },
  ]) {
    expect(() => acceptAnswer(answer, bad, nativeSignatures)).toThrow("no member");
  }
  const unsigned = roster.entries().map(({ entry }) => signEntry(entry, ADMIN).bytes);
  expect(() => acceptAnswer({ ...answer, entries: unsigned }, parties, nativeSignatures)).toThrow(MeshError);
});

test("admitJoiner() gives of a roster that is too large for one message what makes the joiner a member", () => {
  const roster = founded(FOUNDER);
  const admin = admit(roster, { by: FOUNDER, node: ADMIN, name: "admin", roles: ["admin"] });
  const unsigned = { sign: () => new Uint8Array(64) };
  const honoured = Array.from({ length: LIMITS.rosterHonoured }, (_, number) => digestOf(`${number}`)).toSorted();
  for (const [issuer, authority] of [
    [FOUNDER, roster.mesh],
    [ADMIN, admin.id],
  ] as const) {
    for (let number = 0; number < 4; number++) {
      const common = {
        kind: "revocation",
        mesh: roster.mesh,
        issuer: issuer.id,
        authority,
        issuedAtMs: NOW_MS,
      } as const;
      roster.restore([signEntry({ ...common, node: machine(10 + number).id, honoured }, unsigned).bytes]);
    }
  }
  const { entries, grant } = admitJoiner(roster, ADMIN, { ...JOINER, node: machine(4).id }, occasion());
  const size = entries.reduce((sum, { length }) => sum + length, 0);
  expect(size).toBeLessThan(LIMITS.pairingMessageBytes / 2 + 2_000);
  expect(entries.length).toBeLessThan(roster.entries().length);
  const ids = new Set(roster.entries().map(({ id }) => id));
  expect([grant, admin.id, roster.mesh].every((id) => ids.has(id))).toBe(true);
  expect(entries.slice(0, 3).map((bytes) => roster.entries().find((signed) => signed.bytes === bytes)?.id)).toEqual([
    grant,
    admin.id,
    roster.mesh,
  ]);
});
