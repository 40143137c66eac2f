import { describe, expect, test } from "bun:test";
import { peerIdOf } from "../../src/base/ids.ts";
import { type Announcement, meshTag, readAnnouncement, writeAnnouncement } from "../../src/mesh/announcement.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

const ANNOUNCEMENT: Announcement = {
  meshTag: meshTag("some mesh"),
  peer: peerIdOf(new Uint8Array(32).fill(7)),
  instance: "0123456789abcdef",
  name: "büro-7",
  roles: ["worker", "admin"],
  version: "0.1.0",
  inviteOpen: true,
  total: { cpuMilli: 8_000, memoryBytes: 2 ** 34, gpus: 2 },
  free: { cpuMilli: 500, memoryBytes: 0, gpus: 1 },
};

function entriesOf(fields: Readonly<Record<string, string>>): readonly Uint8Array[] {
  return Object.entries(fields).map(([key, value]) => new TextEncoder().encode(`${key}=${value}`));
}

const WRITTEN = writeAnnouncement(ANNOUNCEMENT);

describe("readAnnouncement()", () => {
  test("reads what writeAnnouncement() wrote, in any order, with keys of later versions beside it", () => {
    expect(readAnnouncement(entriesOf(WRITTEN))).toEqual(ANNOUNCEMENT);
    expect(readAnnouncement([...entriesOf({ ...WRITTEN, zz: "new" })].toReversed())).toEqual(ANNOUNCEMENT);
  });

  test("passes over roles that do not exist", () => {
    expect(readAnnouncement(entriesOf({ ...WRITTEN, r: "worker,root,admin,worker" }))?.roles).toEqual([
      "worker",
      "admin",
    ]);
  });

  const wrong: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    "another format": { f: "2" },
    "a short peer id": { p: "abc" },
    "an instance of other letters": { i: "0123456789ABCDEF" },
    "an empty name": { n: "" },
    "a name with a control character": { n: "a\u001b[31m" },
    "a name that turns the writing direction": { n: "a\u202eb" },
    "a name too long": { n: "x".repeat(64) },
    "a negative amount": { cf: "-1" },
    "an amount in floating point": { mt: "1e9" },
    "an absurd amount": { mt: "9".repeat(16) },
    "more bytes than it may have": { x: "x".repeat(1_024) },
  };
  for (const [what, fields] of Object.entries(wrong))
    test(`refuses ${what}`, () => {
      expect(readAnnouncement(entriesOf({ ...WRITTEN, ...fields }))).toBeNull();
    });

  test("refuses an announcement that lacks any of what it must have", () => {
    for (const key of Object.keys(WRITTEN).filter((name) => name !== "r" && name !== "o")) {
      const { [key]: _, ...rest } = WRITTEN;
      expect({ key, read: readAnnouncement(entriesOf(rest)) }).toEqual({ key, read: null });
    }
  });

  test("takes or refuses damaged bytes, and never throws", () => {
    const random = new SeededRandom(5);
    for (let round = 0; round < 2_000; round++) {
      const entries = entriesOf(WRITTEN).map((entry) => entry.slice());
      for (let damage = random.below(4); damage >= 0; damage--) {
        const entry = random.pick(entries);
        entry[random.below(entry.length)] = random.below(256);
      }
      const read = readAnnouncement(entries);
      expect(read === null || /^[0-9a-f]{64}$/.test(read.peer)).toBe(true);
    }
  });
});

test("writeAnnouncement() needs no entry longer than a TXT record takes", () => {
  const longest = { ...ANNOUNCEMENT, name: "ü".repeat(63), version: "9".repeat(63) };
  expect(Math.max(...entriesOf(writeAnnouncement(longest)).map(({ length }) => length))).toBeLessThan(255);
  expect(readAnnouncement(entriesOf(writeAnnouncement(longest)))).toEqual(longest);
});
