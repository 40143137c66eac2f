import { expect, test } from "bun:test";
import { LIMITS } from "../../src/base/limits.ts";
import { type SignedEntry, signEntry } from "../../src/mesh/grant.ts";
import { nativeSignatures } from "../../src/mesh/io/native-signatures.ts";
import { foundMesh } from "../../src/mesh/issue.ts";
import { Roster } from "../../src/mesh/roster.ts";
import type { Signatures } from "../../src/mesh/signatures.ts";
import { admit, copyOf, expel, founded, machine, nextSerial, NOW_MS, turbulentEntries } from "../fake/mesh-rosters.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

const FOUNDER = machine(0);
const ANNA = machine(1);
const BERT = machine(2);
const CARL = machine(3);

function bytesOf(entries: readonly SignedEntry[]): Uint8Array[] {
  return entries.map(({ bytes }) => bytes);
}

function shuffled<T>(items: readonly T[], random: SeededRandom): T[] {
  const rest = [...items];
  const order: T[] = [];
  while (rest.length > 0) order.push(...rest.splice(random.below(rest.length), 1));
  return order;
}

/** Signatures that are checked once: the same entries come again and again. */
function remembering(signatures: Signatures): Signatures {
  const known = new Map<string, boolean>();
  return {
    ...signatures,
    verify: (publicKey, message, signature) => {
      const key = `${publicKey.toHex()}${signature.toHex()}${Bun.hash(message)}`;
      const verdict = known.get(key) ?? signatures.verify(publicKey, message, signature);
      known.set(key, verdict);
      return verdict;
    },
  };
}

/** Everything that a roster says. */
function saidBy(roster: Roster) {
  return { root: roster.summary().root, members: roster.members(NOW_MS) };
}

test("a mesh begins with its founder, who has all roles", () => {
  const roster = founded(FOUNDER);
  expect(roster.verdict(FOUNDER.id, NOW_MS)).toEqual({
    kind: "member",
    name: "founder",
    roles: ["admin", "submitter", "worker"],
    expiresAtMs: null,
    grant: roster.mesh,
  });
  expect(roster.verdict(ANNA.id, NOW_MS)).toEqual({ kind: "unknown" });
});

test("verdict() follows a chain of admins to the founder", () => {
  const roster = founded(FOUNDER);
  admit(roster, { by: FOUNDER, node: ANNA, name: "anna", roles: ["admin"] });
  admit(roster, { by: ANNA, node: BERT, name: "bert", roles: ["admin"] });
  const grant = admit(roster, { by: BERT, node: CARL, name: "carl", roles: ["worker"], expiresAtMs: NOW_MS + 10 });
  expect(roster.verdict(CARL.id, NOW_MS)).toEqual({
    kind: "member",
    name: "carl",
    roles: ["worker"],
    expiresAtMs: NOW_MS + 10,
    grant: grant.id,
  });
  expect(roster.verdict(CARL.id, NOW_MS + 10)).toEqual({ kind: "expired", name: "carl", expiredAtMs: NOW_MS + 10 });
  expect(roster.byName("carl")).toBe(CARL.id);
  expect(roster.byName("dora")).toBeNull();
});

test("merge() refuses what was issued by none who may, signed by another, or made for another mesh", () => {
  const roster = founded(FOUNDER);
  const worker = admit(roster, { by: FOUNDER, node: ANNA, name: "anna" });
  const before = saidBy(roster);
  const wish = { ...worker.entry, node: BERT.id, name: "bert" };
  const offers: readonly [SignedEntry | Uint8Array, string][] = [
    [signEntry({ ...wish, issuer: ANNA.id, authority: worker.id }, ANNA), "authority"],
    [signEntry({ ...wish, issuer: ANNA.id }, ANNA), "authority"],
    [signEntry(wish, ANNA), "signature"],
    [admit(founded(CARL), { by: CARL, node: BERT, name: "bert" }), "foreign"],
    [foundMesh(CARL, "carl", { nowMs: NOW_MS, serial: nextSerial() }), "foreign"],
    [new Uint8Array(10), "malformed"],
    [signEntry({ ...wish, authority: before.root }, FOUNDER), "authority"],
  ];
  for (const [offer, reason] of offers) {
    const bytes = offer instanceof Uint8Array ? offer : offer.bytes;
    const report = roster.merge([bytes], nativeSignatures);
    expect({ added: report.added, refused: [...report.refused] }).toEqual({
      added: [],
      refused: [[reason as "full", 1]],
    });
  }
  for (const offer of [null, 7, "x", {}])
    expect([...roster.merge(offer, nativeSignatures).refused]).toEqual([["malformed", 1]]);
  expect([...roster.merge([null, "x", {}], nativeSignatures).refused]).toEqual([["malformed", 3]]);
  expect(saidBy(roster)).toEqual(before);
});

test("a member who is no admin can say one thing: that it leaves, once", () => {
  const roster = founded(FOUNDER);
  const grant = admit(roster, { by: FOUNDER, node: ANNA, name: "anna" });
  const leave = {
    kind: "revocation" as const,
    mesh: roster.mesh,
    node: ANNA.id,
    issuer: ANNA.id,
    authority: grant.id,
    issuedAtMs: 0,
    honoured: [],
  };
  const offers = [
    { ...leave, issuedAtMs: 1 },
    { ...leave, honoured: [grant.id] },
    { ...leave, node: FOUNDER.id },
  ];
  for (const offer of offers) {
    expect([...roster.merge([signEntry(offer, ANNA).bytes], nativeSignatures).refused]).toEqual([["authority", 1]]);
  }
  expel(roster, ANNA, ANNA);
  expect(roster.verdict(ANNA.id, NOW_MS)).toEqual({ kind: "revoked", name: "anna" });
  expect(roster.has(signEntry(leave, ANNA).id)).toBe(true);
});

test("a revoked machine is out until it is granted anew, by a grant that knows of the revocation", () => {
  const roster = founded(FOUNDER);
  const first = admit(roster, { by: FOUNDER, node: ANNA, name: "anna" });
  const unaware = copyOf(roster);
  expel(roster, FOUNDER, ANNA);
  expect(roster.verdict(ANNA.id, NOW_MS)).toEqual({ kind: "revoked", name: "anna" });

  roster.merge([first.bytes], nativeSignatures);
  const concurrent = admit(unaware, { by: FOUNDER, node: ANNA, name: "anna" });
  roster.merge([concurrent.bytes], nativeSignatures);
  expect(roster.verdict(ANNA.id, NOW_MS).kind).toBe("revoked");

  admit(roster, { by: FOUNDER, node: ANNA, name: "anna", roles: ["worker"] });
  expect(roster.verdict(ANNA.id, NOW_MS)).toMatchObject({ kind: "member", roles: ["worker"] });
});

test("what a revoked admin issued before stays good, and what it says it issued before does not", () => {
  const roster = founded(FOUNDER);
  const admin = admit(roster, { by: FOUNDER, node: ANNA, name: "anna", roles: ["admin"] });
  const known = admit(roster, { by: ANNA, node: BERT, name: "bert" });
  const apart = copyOf(roster);
  expel(roster, FOUNDER, ANNA);
  const hidden = admit(apart, { by: ANNA, node: CARL, name: "carl" });
  expel(apart, ANNA, BERT);
  roster.merge(bytesOf(apart.entries()), nativeSignatures);
  expect(roster.has(hidden.id)).toBe(true);
  expect(known.entry.authority).toBe(admin.id);
  expect(roster.verdict(BERT.id, NOW_MS).kind).toBe("member");
  expect(roster.verdict(CARL.id, NOW_MS)).toEqual({ kind: "unknown" });
});

test("of two admins who revoke each other the one nearer to the founder stays", () => {
  const roster = founded(FOUNDER);
  admit(roster, { by: FOUNDER, node: ANNA, name: "anna", roles: ["admin"] });
  admit(roster, { by: ANNA, node: BERT, name: "bert", roles: ["admin"] });
  const apart = copyOf(roster);
  expel(roster, ANNA, BERT);
  expel(apart, BERT, ANNA);
  expel(apart, BERT, FOUNDER);
  roster.merge(bytesOf(apart.entries()), nativeSignatures);
  expect(roster.verdict(ANNA.id, NOW_MS).kind).toBe("member");
  expect(roster.verdict(FOUNDER.id, NOW_MS).kind).toBe("member");
  expect(roster.verdict(BERT.id, NOW_MS).kind).toBe("revoked");
});

test("of two admins of one rank who revoke each other neither stays, whatever the bytes are", () => {
  for (const [low, high] of [
    [ANNA, BERT],
    [BERT, ANNA],
  ] as const) {
    const roster = founded(FOUNDER);
    for (const node of [low, high]) admit(roster, { by: FOUNDER, node, name: "admin", roles: ["admin"] });
    const apart = copyOf(roster);
    expel(roster, low, high);
    expel(apart, high, low);
    roster.merge(bytesOf(apart.entries()), nativeSignatures);
    expect([low, high].map(({ id }) => roster.verdict(id, NOW_MS).kind)).toEqual(["revoked", "revoked"]);
    admit(roster, { by: FOUNDER, node: low, name: "admin" });
    expect(roster.verdict(low.id, NOW_MS).kind).toBe("member");
  }
});

test("a former admin that is let in again as a worker cannot use its old authority", () => {
  const roster = founded(FOUNDER);
  const old = admit(roster, { by: FOUNDER, node: ANNA, name: "anna", roles: ["admin"] });
  const bert = admit(roster, { by: ANNA, node: BERT, name: "bert" });
  expel(roster, FOUNDER, ANNA);
  admit(roster, { by: FOUNDER, node: ANNA, name: "anna", roles: ["worker"] });
  const late = signEntry({ ...bert.entry, node: CARL.id, name: "carl", authority: old.id }, ANNA);
  roster.merge([late.bytes], nativeSignatures);
  expect(roster.verdict(CARL.id, NOW_MS)).toEqual({ kind: "unknown" });
  // Its leaving as a worker does not touch what it did as an admin.
  expel(roster, ANNA, ANNA);
  expect(roster.verdict(ANNA.id, NOW_MS).kind).toBe("revoked");
  expect(roster.verdict(BERT.id, NOW_MS).kind).toBe("member");
});

test("two grants of one name, made apart, give two names that are the same everywhere", () => {
  const roster = founded(FOUNDER);
  const apart = copyOf(roster);
  const one = admit(roster, { by: FOUNDER, node: ANNA, name: "pi" });
  const two = admit(apart, { by: FOUNDER, node: BERT, name: "pi" });
  roster.merge(bytesOf(apart.entries()), nativeSignatures);
  apart.merge(bytesOf(roster.entries()), nativeSignatures);
  const later = one.id < two.id ? BERT : ANNA;
  const names = [ANNA, BERT].map(({ id }) => (id === later.id ? `pi-${id.slice(0, 8)}` : "pi"));
  for (const each of [roster, apart]) {
    expect([ANNA, BERT].map(({ id }) => each.verdict(id, NOW_MS))).toMatchObject(names.map((name) => ({ name })));
  }
  expect(roster.byName(names[0]!)).toBe(ANNA.id);
});

test("rosters that were merged in any order hold the same and say the same (60 hostile pasts)", () => {
  const signatures = remembering(nativeSignatures);
  for (let seed = 1; seed <= 60; seed++) {
    const random = new SeededRandom(seed);
    const entries = turbulentEntries(random, FOUNDER, 24);
    const mesh = entries[0]!.id;
    const whole = new Roster(mesh);
    whole.merge(bytesOf(entries), signatures);

    const parts = [new Roster(mesh), new Roster(mesh), new Roster(mesh)];
    for (const bytes of shuffled(bytesOf(entries), random)) random.pick(parts).merge([bytes], signatures);
    // Gossip: what lacks its authority comes again, with the others.
    for (const part of parts) part.merge(shuffled(bytesOf(entries), random).slice(0, 12), signatures);
    for (let round = 0; round < 3; round++) {
      for (const to of parts)
        for (const from of shuffled([...parts, whole], random)) to.merge(from.missing(to.summary()), signatures);
    }
    for (const part of parts) expect({ seed, ...saidBy(part) }).toEqual({ seed, ...saidBy(whole) });
    const names = whole.members(NOW_MS).flatMap(({ verdict }) => (verdict.kind === "member" ? [verdict.name] : []));
    expect(new Set(names).size).toBe(names.length);
    expect(copyOf(whole).summary()).toEqual(whole.summary());
  }
}, 30_000);

test("missing() gives what a summary lacks, and all for one that makes no sense", () => {
  const roster = founded(FOUNDER);
  const other = copyOf(roster);
  const grant = admit(roster, { by: FOUNDER, node: ANNA, name: "anna" });
  expect(roster.missing(other.summary())).toEqual([grant.bytes]);
  expect(roster.missing(roster.summary())).toEqual([]);
  const huge = new Uint8Array(32 * (LIMITS.rosterEntries + 1));
  for (const summary of [null, 1, {}, { ids: "x" }, { ids: new Uint8Array(33) }, { ids: huge }]) {
    expect(roster.missing(summary).length).toBe(2);
  }
});

test("merge() checks no signature of what is there already", () => {
  const roster = founded(FOUNDER);
  admit(roster, { by: FOUNDER, node: ANNA, name: "anna" });
  let checks = 0;
  const counting: Signatures = {
    ...nativeSignatures,
    verify: (key, message, signature) => {
      checks++;
      return nativeSignatures.verify(key, message, signature);
    },
  };
  const other = new Roster(roster.mesh);
  for (let round = 0; round < 3; round++) other.merge(bytesOf(roster.entries()), counting);
  expect(checks).toBe(2);
});

test("an admin that floods the roster is stopped by a bound and can be revoked still", () => {
  const roster = founded(FOUNDER);
  const admin = admit(roster, { by: FOUNDER, node: ANNA, name: "anna", roles: ["admin"] });
  const flood = Array.from({ length: LIMITS.rosterPerAuthority + 3 }, (_, number) => {
    const serial = nextSerial().toHex();
    const entry = { ...admin.entry, node: BERT.id, name: "bert", roles: ["worker" as const], serial };
    return signEntry(
      { ...entry, issuer: ANNA.id, authority: admin.id, issuedAtMs: number },
      { sign: () => new Uint8Array(64) },
    );
  });
  const report = roster.restore(bytesOf(flood));
  expect([report.added.length, [...report.refused]]).toEqual([LIMITS.rosterPerAuthority, [["full", 3]]]);
  expel(roster, FOUNDER, ANNA);
  expect(roster.verdict(ANNA.id, NOW_MS).kind).toBe("revoked");
});
