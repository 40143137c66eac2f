import { expect, test } from "bun:test";
import { type Canonical, canonicalBytes, parseCanonical } from "../../src/base/canonical.ts";
import { LIMITS } from "../../src/base/limits.ts";
import { type Grant, isFounding, readEntry, signEntry } from "../../src/mesh/grant.ts";
import { nativeSignatures } from "../../src/mesh/io/native-signatures.ts";
import { admit, expel, founded, machine } from "../fake/mesh-rosters.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

const FOUNDER = machine(0);
const ROSTER = founded(FOUNDER);
const GRANT = admit(ROSTER, { by: FOUNDER, node: machine(1), name: "pi" });
const REVOCATION = expel(ROSTER, FOUNDER, machine(1));
const FOUNDING = ROSTER.entries().find(({ entry }) => isFounding(entry))!;

/** The bytes of an entry whose body was changed, with a right form and a signature that is as long as one. */
function changed(bytes: Uint8Array, change: (body: Record<string, Canonical>) => void): Uint8Array {
  const [body, signature] = parseCanonical(bytes) as [Uint8Array, Uint8Array];
  const fields = { ...(parseCanonical(body) as Record<string, Canonical>) };
  change(fields);
  return canonicalBytes([canonicalBytes(fields), signature]);
}

test("readEntry() gives back what signEntry() signed, and that it is signed", () => {
  for (const signed of [FOUNDING, GRANT, REVOCATION]) {
    const read = readEntry(signed.bytes);
    expect({ id: read?.id, entry: read?.entry }).toEqual({ id: signed.id, entry: signed.entry });
    expect(read?.isSigned(nativeSignatures)).toBe(true);
  }
});

test("readEntry() notices that another signed than the issuer", () => {
  const forged = signEntry(GRANT.entry, machine(2));
  expect(readEntry(forged.bytes)?.isSigned(nativeSignatures)).toBe(false);
  expect(forged.id).toBe(GRANT.id);
});

test("readEntry() refuses values that cannot be", () => {
  const refused: readonly ((body: Record<string, Canonical>) => void)[] = [
    (body) => (body["roles"] = []),
    (body) => (body["roles"] = ["root"]),
    (body) => (body["roles"] = ["worker", "submitter"]),
    (body) => (body["roles"] = ["worker", "worker"]),
    (body) => (body["roles"] = "worker"),
    (body) => (body["name"] = "../etc"),
    (body) => (body["name"] = 7),
    (body) => (body["name"] = "x".repeat(1_000)),
    (body) => (body["node"] = new Uint8Array(31)),
    (body) => (body["node"] = "text"),
    (body) => (body["issuer"] = null),
    (body) => (body["mesh"] = null),
    (body) => (body["authority"] = null),
    (body) => (body["authority"] = new Uint8Array(33)),
    (body) => (body["serial"] = new Uint8Array(8)),
    (body) => (body["issuedAt"] = -1),
    (body) => (body["issuedAt"] = 1.5),
    (body) => (body["issuedAt"] = 1e17),
    (body) => (body["expiresAt"] = "never"),
    (body) => (body["kind"] = "gift"),
    (body) => (body["extra"] = true),
    (body) => delete body["name"],
    (body) => (body["overrules"] = [new Uint8Array(32).fill(2), new Uint8Array(32).fill(1)]),
    (body) => (body["overrules"] = [new Uint8Array(32), new Uint8Array(32)]),
    (body) =>
      (body["overrules"] = Array.from({ length: LIMITS.rosterOverrules + 1 }, (_, n) =>
        Uint8Array.from([n >> 8, n, ...new Uint8Array(30)]),
      )),
    (body) => Object.assign(body, { roles: ["admin"], expiresAt: 5 }),
  ];
  expect(readEntry(changed(GRANT.bytes, () => {}))).not.toBeNull();
  for (const change of refused) expect(readEntry(changed(GRANT.bytes, change))).toBeNull();
  expect(readEntry(changed(FOUNDING.bytes, (body) => (body["roles"] = ["worker"])))).toBeNull();
  expect(readEntry(changed(FOUNDING.bytes, (body) => (body["node"] = new Uint8Array(32))))).toBeNull();
  expect(readEntry(changed(REVOCATION.bytes, (body) => (body["mesh"] = null)))).toBeNull();
});

test("readEntry() refuses what is no canonical CBOR of that form", () => {
  const texts = [
    "",
    "80",
    "8140",
    "824040",
    "82f6f6",
    "a0",
    "f6",
    "9f4040ff",
    "ff",
    "5b7fffffffffffffff",
    `82405840${"00".repeat(64)}`,
  ];
  for (const hex of texts) expect(readEntry(Uint8Array.fromHex(hex))).toBeNull();
  // A byte string with a length that is not in its shortest form.
  const [body, signature] = parseCanonical(GRANT.bytes) as [Uint8Array, Uint8Array];
  const long = Buffer.concat([Buffer.from("825a", "hex"), lengthOf(body), body, Buffer.from("5840", "hex"), signature]);
  expect(readEntry(long)).toBeNull();
  expect(readEntry(Buffer.concat([GRANT.bytes, Buffer.of(0)]))).toBeNull();
  for (let length = 0; length < GRANT.bytes.length; length++)
    expect(readEntry(GRANT.bytes.subarray(0, length))).toBeNull();
  expect(readEntry(new Uint8Array(LIMITS.rosterEntryBytes + 1))).toBeNull();
});

test("readEntry() answers 10,000 damaged entries, and none of them is signed and another", () => {
  const random = new SeededRandom(2);
  for (let round = 0; round < 10_000; round++) {
    const source = random.pick([FOUNDING, GRANT, REVOCATION]);
    const damaged = source.bytes.slice();
    for (let count = 1 + random.below(3); count > 0; count--) damaged[random.below(damaged.length)] = random.below(256);
    const read = readEntry(damaged);
    if (read !== null && read.id !== source.id) expect(read.isSigned(nativeSignatures)).toBe(false);
  }
});

test("a grant's id is of what is signed, so that a serial makes another grant of the same words", () => {
  const again = signEntry<Grant>({ ...GRANT.entry, serial: "f".repeat(32) }, FOUNDER);
  expect(again.id).not.toBe(GRANT.id);
});

function lengthOf(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return length;
}
