import { expect, test } from "bun:test";
import { LIMITS } from "../../src/base/limits.ts";
import { systemRandom } from "../../src/base/io/system.ts";
import { InviteBook } from "../../src/mesh/invite-book.ts";

const NOW_MS = 1_000_000;
const WORKER = { roles: ["worker"], memberUntilMs: null } as const;

test("InviteBook opens codes that differ, up to a bound", () => {
  const book = new InviteBook();
  const codes = Array.from({ length: LIMITS.inviteCodes }, () => book.open(WORKER, systemRandom, { nowMs: NOW_MS }));
  expect(new Set(codes.map((open) => open?.code.slot)).size).toBe(LIMITS.inviteCodes);
  expect(book.open(WORKER, systemRandom, { nowMs: NOW_MS })).toBeNull();
  expect(book.nextExpiryMs(NOW_MS)).toBe(NOW_MS + LIMITS.inviteMs);
});

test("a code is spent once, and expires", () => {
  const book = new InviteBook();
  const open = book.open(WORKER, systemRandom, { nowMs: NOW_MS, lifeMs: 100 })!;
  const { slot } = open.code;
  expect(book.attempt(slot, "a", NOW_MS)).toEqual({ kind: "open", invitation: open });
  expect(book.spend(open, NOW_MS)).toBe(true);
  expect(book.spend(open, NOW_MS)).toBe(false);
  expect(book.attempt(slot, "a", NOW_MS)).toEqual({ kind: "none" });
  const late = book.open(WORKER, systemRandom, { nowMs: NOW_MS, lifeMs: 100 })!;
  expect(book.attempt(late.code.slot, "a", NOW_MS + 99).kind).toBe("open");
  expect(book.attempt(late.code.slot, "a", NOW_MS + 100).kind).toBe("none");
  expect(book.spend(late, NOW_MS + 100)).toBe(false);
  expect(book.nextExpiryMs(NOW_MS + 100)).toBeNull();
});

test("attempts are counted by address and in all, and forgotten after a minute", () => {
  const book = new InviteBook();
  const kinds = (address: string, count: number, nowMs: number) =>
    Array.from({ length: count }, () => book.attempt(1, address, nowMs).kind);
  const { pairingsPerAddress: each, pairingsInAll: all, pairingWindowMs: window } = LIMITS;
  expect(kinds("a", each, NOW_MS)).toEqual(Array.from({ length: each }, () => "none"));
  expect(book.attempt(1, "a", NOW_MS + 10)).toEqual({ kind: "too-many", retryAfterMs: window - 10 });
  for (let count = each; count < all; count++) expect(kinds(`b${count}`, 1, NOW_MS + 10)).toEqual(["none"]);
  expect(kinds("c", 1, NOW_MS + 10)).toEqual(["too-many"]);
  expect(kinds("a", 1, NOW_MS + window)).toEqual(["none"]);
});
