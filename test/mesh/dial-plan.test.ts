import { describe, expect, test } from "bun:test";
import { LIMITS } from "../../src/base/limits.ts";
import { type PeerId, peerIdOf } from "../../src/base/ids.ts";
import { DialPlan } from "../../src/mesh/dial-plan.ts";
import type { Address } from "../../src/mesh/peer-view.ts";

const TIMING = { redialMs: 100, redialMaxMs: 1_000, dialHeadStartMs: 50 };
const PEER = peer(1);
const ADDRESSES: readonly Address[] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map((host) => ({ host, port: 1 }));

function peer(number: number): PeerId {
  return peerIdOf(new Uint8Array(32).fill(number));
}

function hosts(plan: DialPlan, nowMs: number): readonly string[] {
  return plan.due([PEER], () => ADDRESSES, nowMs).map(({ address }) => address.host);
}

describe("DialPlan", () => {
  test("tries the addresses of a round one after the other, each a head start later", () => {
    const plan = new DialPlan(1, TIMING);
    plan.soon(PEER, 0);
    expect([0, 10, 49, 50, 99, 100, 500].map((atMs) => hosts(plan, atMs))).toEqual([
      ["10.0.0.1"],
      [],
      [],
      ["10.0.0.2"],
      [],
      ["10.0.0.3"],
      [],
    ]);
  });

  test("tries the next address as soon as one has failed", () => {
    const plan = new DialPlan(1, TIMING);
    plan.soon(PEER, 0);
    const [first] = plan.due([PEER], () => ADDRESSES, 0);
    expect(plan.landed(first?.dial ?? 0, 3)).toEqual({ peer: PEER, address: ADDRESSES[0], isLast: false } as never);
    expect(plan.nextAtMs).toBe(3);
    expect(hosts(plan, 3)).toEqual(["10.0.0.2"]);
  });

  test("tries a new address while an old one hangs", () => {
    const plan = new DialPlan(1, TIMING);
    plan.soon(PEER, 0);
    const addresses = ADDRESSES.slice(0, 1);
    const dialled = (nowMs: number) => plan.due([PEER], () => addresses, nowMs).map(({ address }) => address.host);
    expect(dialled(0)).toEqual(["10.0.0.1"]);
    addresses.unshift({ host: "10.9.9.9", port: 1 });
    plan.soon(PEER, 10);
    expect([10, 100, 1_000].map(dialled)).toEqual([["10.9.9.9"], [], []]);
  });

  test("waits longer after each round that failed, up to a bound, and not any more after soon()", () => {
    const plan = new DialPlan(7, TIMING);
    const waits: number[] = [];
    let nowMs = 0;
    plan.soon(PEER, 0);
    for (let round = 0; round < 8; round++) {
      const [dial] = plan.due([PEER], () => ADDRESSES.slice(0, 1), nowMs);
      expect(plan.landed(dial?.dial ?? 0, nowMs)?.isLast).toBe(true);
      waits.push(plan.nextAtMs - nowMs);
      nowMs = plan.nextAtMs;
    }
    for (const [round, waitMs] of waits.entries()) {
      const meantMs = Math.min(1_000, 100 * 2 ** round);
      expect(waitMs).toBeGreaterThanOrEqual(meantMs * 0.5);
      expect(waitMs).toBeLessThanOrEqual(meantMs * 1.5);
    }
    plan.soon(PEER, nowMs);
    const [dial] = plan.due([PEER], () => ADDRESSES.slice(0, 1), nowMs);
    plan.landed(dial?.dial ?? 0, nowMs);
    expect(plan.nextAtMs - nowMs).toBeLessThanOrEqual(150);
  });

  test("never has more attempts under way than the bound, and leaves nobody out", () => {
    const plan = new DialPlan(3, TIMING);
    const peers = Array.from({ length: LIMITS.dialsAtOnce * 3 }, (_, index) => peer(index + 1));
    for (const each of peers) plan.soon(each, 0);
    const dialled = new Set<PeerId>();
    for (let nowMs = 0; nowMs < 10; nowMs++) {
      const dials = plan.due(peers, () => ADDRESSES.slice(0, 1), nowMs);
      expect(dials.length).toBeLessThanOrEqual(LIMITS.dialsAtOnce);
      expect(plan.due(peers, () => ADDRESSES.slice(0, 1), nowMs)).toEqual([]);
      for (const { dial, peer: to } of dials) {
        dialled.add(to);
        plan.landed(dial, nowMs);
      }
    }
    expect(dialled.size).toBe(peers.length);
  });

  test("ends the attempts of a machine that was reached", () => {
    const plan = new DialPlan(1, TIMING);
    plan.soon(PEER, 0);
    const [dial] = plan.due([PEER], () => ADDRESSES, 0);
    expect(plan.cancel(PEER)).toEqual([dial?.dial ?? 0]);
    expect(plan.landed(dial?.dial ?? 0, 1)).toBeNull();
    expect(hosts(plan, 60_000)).toEqual([]);
  });
});
