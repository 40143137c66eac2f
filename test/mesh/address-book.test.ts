import { describe, expect, test } from "bun:test";
import { LIMITS } from "../../src/base/limits.ts";
import { peerIdOf } from "../../src/base/ids.ts";
import { AddressBook } from "../../src/mesh/address-book.ts";
import type { Address } from "../../src/mesh/peer-view.ts";

const PEER = peerIdOf(new Uint8Array(32).fill(1));

function at(host: string): Address {
  return { host, port: 7433 };
}

describe("AddressBook", () => {
  test("add() says what is news: an address not known, or one found more directly", () => {
    const book = new AddressBook();
    expect(book.add(PEER, [at("10.0.0.1")], { by: "remembered", nowMs: 1 })).toBe(true);
    expect(book.add(PEER, [at("10.0.0.1")], { by: "remembered", nowMs: 2 })).toBe(false);
    expect(book.add(PEER, [at("10.0.0.1")], { by: "mdns", nowMs: 3 })).toBe(true);
    expect(book.add(PEER, [at("10.0.0.1")], { by: "peer", nowMs: 4 })).toBe(false);
    expect(book.of(PEER)).toMatchObject([{ by: "mdns", address: at("10.0.0.1") }]);
  });

  test("toDial() puts what worked first and what failed last, the families taking turns", () => {
    const book = new AddressBook();
    const hosts = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd77::1"].map(at);
    book.add(PEER, hosts, { by: "mdns", nowMs: 1 });
    book.conclude(PEER, at("10.0.0.1"), { kind: "failed", atMs: 2, reason: "refused" });
    book.conclude(PEER, at("10.0.0.3"), { kind: "linked", atMs: 3 });
    expect(book.toDial(PEER).map(({ host }) => host)).toEqual(["10.0.0.3", "fd77::1", "10.0.0.2", "10.0.0.1"]);
  });

  test("holds no more addresses of a machine than it may, the promising ones", () => {
    const book = new AddressBook();
    book.add(PEER, [at("10.1.0.1")], { by: "peer", nowMs: 1 });
    book.conclude(PEER, at("10.1.0.1"), { kind: "linked", atMs: 1 });
    const told = Array.from({ length: 100 }, (_, index) => at(`10.0.0.${index + 1}`));
    book.add(PEER, told, { by: "peer", nowMs: 2 });
    expect(book.of(PEER).length).toBe(LIMITS.peerAddresses);
    expect(book.of(PEER)[0]?.address).toEqual(at("10.1.0.1"));
    expect(book.toDial(PEER).length).toBe(LIMITS.dialsPerRound);
  });

  test("conclude() says nothing of an address that is not known, and forget() of none", () => {
    const book = new AddressBook();
    book.conclude(PEER, at("10.0.0.1"), { kind: "linked", atMs: 1 });
    expect(book.of(PEER)).toEqual([]);
    book.add(PEER, [at("10.0.0.1")], { by: "given", nowMs: 1 });
    book.forget(PEER);
    expect(book.toDial(PEER)).toEqual([]);
  });
});
