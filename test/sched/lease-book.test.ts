import { expect, test } from "bun:test";
import type { PeerId } from "../../src/base/ids.ts";
import { LIMITS } from "../../src/base/limits.ts";
import { makeAsk } from "../../src/sched/ask.ts";
import { LeaseBook } from "../../src/sched/lease-book.ts";
import type { LeaseEffect, LeaseEvent } from "../../src/sched/lease-event.ts";
import { CapacityLedger } from "../../src/sched/ledger.ts";

const ANN = "a".repeat(64) as PeerId;
const BOB = "b".repeat(64) as PeerId;
const ONE = makeAsk({ cpuMilli: 1_000 });

/** A worker with two CPUs, told a story. */
class Worker {
  readonly ledger = new CapacityLedger({
    name: "w",
    os: "linux",
    arch: "x64",
    labels: [],
    baseKeys: [],
    total: { cpuMilli: 2_000, memoryBytes: 0, diskBytes: 0 },
    gpus: [],
  });
  readonly book = new LeaseBook<string>(this.ledger, "life1");
  atMs = 0;

  tell(event: LeaseEvent<string>): readonly LeaseEffect<string>[] {
    return this.book.step(event, this.atMs);
  }

  offer(key: string, from = ANN, attempt = 1, ask = ONE): readonly LeaseEffect<string>[] {
    return this.tell({ kind: "offer", from, run: "r", key, attempt, ask });
  }

  /** Offers and starts; the lease. */
  run(key: string, from = ANN): string {
    const lease = leaseOf(this.offer(key, from));
    this.tell({ kind: "start", from, lease });
    return lease;
  }

  /** Lets time pass in ticks of a second. */
  wait(ms: number): readonly LeaseEffect<string>[] {
    const effects: LeaseEffect<string>[] = [];
    for (const end = this.atMs + ms; this.atMs < end;) {
      this.atMs += 1_000;
      effects.push(...this.tell({ kind: "tick" }));
    }
    return effects;
  }

  get freeMilli(): number {
    return this.ledger.capacity().free.cpuMilli;
  }
}

function leaseOf(effects: readonly LeaseEffect<string>[]): string {
  const granted = effects.find((effect) => effect.kind === "granted");
  if (granted?.kind !== "granted") throw new Error(`Not granted: ${JSON.stringify(effects)}`);
  return granted.lease;
}

test("LeaseBook takes an attempt from its offer to its acknowledged end", () => {
  const worker = new Worker();
  const name = { run: "r", key: "t", attempt: 1 };
  expect(worker.offer("t")).toEqual([{ kind: "granted", to: ANN, lease: "life1.1", ...name }]);
  expect(worker.tell({ kind: "start", from: ANN, lease: "life1.1" })).toEqual([
    { kind: "perform", coordinator: ANN, lease: "life1.1", gpus: [], ...name },
  ]);
  expect(worker.tell({ kind: "began", lease: "life1.1" })).toEqual([{ kind: "started", to: ANN, lease: "life1.1" }]);
  expect(worker.freeMilli).toBe(1_000);
  expect(worker.tell({ kind: "ended", lease: "life1.1", result: "done" })).toEqual([
    { kind: "finished", to: ANN, lease: "life1.1", result: "done", ...name },
  ]);
  expect(worker.freeMilli).toBe(2_000);
  expect(worker.tell({ kind: "acknowledge", from: ANN, leases: ["life1.1"] })).toEqual([
    { kind: "forget", lease: "life1.1" },
  ]);
  expect(worker.book.list()).toEqual([]);
});

test("LeaseBook refuses with the ledger's reasons what does not fit", () => {
  const worker = new Worker();
  worker.offer("a", ANN);
  worker.offer("b", BOB);
  const reasons = [{ kind: "cpu", scope: "free", askedMilli: 1_000, hasMilli: 0 }] as const;
  expect(worker.offer("c", ANN)).toEqual([
    { kind: "refused", to: ANN, run: "r", key: "c", attempt: 1, refusal: { kind: "no-room", ever: true, reasons } },
  ]);
});

test("LeaseBook answers an offer that comes twice with the same lease, also after the end", () => {
  const worker = new Worker();
  const lease = worker.run("t");
  expect(leaseOf(worker.offer("t"))).toBe(lease);
  expect(worker.freeMilli).toBe(1_000);
  worker.tell({ kind: "ended", lease, result: "done" });
  expect(worker.offer("t").map(({ kind }) => kind)).toEqual(["granted", "finished"]);
  expect(worker.freeMilli).toBe(2_000);
});

test("LeaseBook starts and ends an attempt once, whatever is said twice or late", () => {
  const worker = new Worker();
  const lease = worker.run("t");
  expect(worker.tell({ kind: "start", from: ANN, lease })).toEqual([]);
  worker.tell({ kind: "ended", lease, result: "first" });
  expect(worker.tell({ kind: "ended", lease, result: "second" })).toEqual([]);
  expect(worker.tell({ kind: "start", from: ANN, lease })).toEqual([]);
  expect(worker.book.list()[0]?.result).toBe("first");
  worker.tell({ kind: "acknowledge", from: ANN, leases: [lease] });
  expect(worker.tell({ kind: "acknowledge", from: ANN, leases: [lease] })).toEqual([]);
  expect(worker.tell({ kind: "start", from: ANN, lease })).toEqual([{ kind: "unknown", to: ANN, leases: [lease] }]);
});

test("LeaseBook does not let one coordinator touch what another one holds", () => {
  const worker = new Worker();
  const lease = worker.run("t", ANN);
  const unknown = [{ kind: "unknown", to: BOB, leases: [lease] }] as const;
  expect(worker.tell({ kind: "start", from: BOB, lease })).toEqual(unknown);
  expect(worker.tell({ kind: "cancel", from: BOB, lease, graceful: false })).toEqual(unknown);
  worker.tell({ kind: "ended", lease, result: "done" });
  worker.tell({ kind: "acknowledge", from: BOB, leases: [lease] });
  expect(worker.book.list()).toHaveLength(1);
  expect(worker.tell({ kind: "adopt", from: BOB, run: "r", leases: [] })).toEqual([
    { kind: "holdings", to: BOB, run: "r", held: [], unknown: [] },
  ]);
});

test("LeaseBook holds the room of a cancelled attempt until nothing of it is left", () => {
  const worker = new Worker();
  const lease = worker.run("t");
  expect(worker.tell({ kind: "cancel", from: ANN, lease, graceful: true })).toEqual([
    { kind: "stop", lease, graceful: true },
  ]);
  expect(worker.tell({ kind: "cancel", from: ANN, lease, graceful: true })).toEqual([]);
  expect(worker.tell({ kind: "cancel", from: ANN, lease, graceful: false })).toEqual([
    { kind: "stop", lease, graceful: false },
  ]);
  expect(worker.freeMilli).toBe(1_000);
  worker.tell({ kind: "ended", lease, result: "cancelled" });
  expect(worker.freeMilli).toBe(2_000);
});

test("LeaseBook takes back what was cancelled before it began, and what nobody starts", () => {
  const worker = new Worker();
  const lease = leaseOf(worker.offer("a"));
  expect(worker.tell({ kind: "cancel", from: ANN, lease, graceful: true })).toEqual([
    { kind: "returned", to: ANN, lease },
    { kind: "forget", lease },
  ]);
  const late = leaseOf(worker.offer("b"));
  expect(worker.wait(LIMITS.grantMs).filter(({ kind }) => kind !== "doubt")).toEqual([]);
  expect(worker.wait(1_000)).toEqual([
    { kind: "returned", to: ANN, lease: late },
    { kind: "forget", lease: late },
  ]);
  expect(worker.freeMilli).toBe(2_000);
});

test("LeaseBook tells a renewing coordinator what it lost, what it forgot, and ends it has not heard", () => {
  const worker = new Worker();
  const ended = worker.run("a");
  const running = worker.run("b");
  worker.tell({ kind: "ended", lease: ended, result: "done" });
  const effects = worker.tell({ kind: "renew", from: ANN, run: "r", leases: [ended, running, "life0.7"] });
  const held = [{ run: "r", key: "a", attempt: 1, lease: ended, phase: "ended", result: "done" }] as const;
  expect(effects).toEqual([{ kind: "holdings", to: ANN, run: "r", held, unknown: ["life0.7"] }]);
  const more = worker.tell({ kind: "adopt", from: ANN, run: "r", leases: [] });
  expect(more[0]?.kind === "holdings" && more[0].held.map(({ key }) => key)).toEqual(["a", "b"]);
});

test("LeaseBook lets attempts of a silent coordinator go on for a bounded time, then stops them and forgets their ends", () => {
  const worker = new Worker();
  const lease = worker.run("t");
  expect(worker.wait(LIMITS.orphanMs).filter(({ kind }) => kind !== "doubt")).toEqual([]);
  expect(worker.wait(1_000)).toEqual([{ kind: "stop", lease, graceful: true }]);
  worker.tell({ kind: "ended", lease, result: "cancelled" });
  expect(worker.wait(1_000)).toEqual([{ kind: "forget", lease }]);
});

test("LeaseBook asks a coordinator that says nothing of a run for a while whether it is over, and again after as long", () => {
  const worker = new Worker();
  const leases = [worker.run("a"), worker.run("b")];
  const doubt = { kind: "doubt", to: ANN, run: "r", leases } as const;
  expect(worker.wait(LIMITS.doubtMs - 1_000)).toEqual([]);
  expect(worker.wait(LIMITS.doubtMs)).toEqual([doubt]);
  worker.tell({ kind: "renew", from: ANN, run: "r", leases });
  expect(worker.wait(LIMITS.doubtMs - 1_000)).toEqual([]);
  // It stands still for a while.
  worker.atMs += LIMITS.orphanMs;
  expect(worker.wait(1_000)).toEqual([]);
  expect(worker.wait(1_000)).toEqual([doubt]);
});

test("LeaseBook does not hold its own pause against a coordinator", () => {
  const worker = new Worker();
  worker.run("t");
  worker.atMs += LIMITS.orphanMs * 2;
  expect(worker.tell({ kind: "tick" })).toEqual([]);
  expect(worker.wait(LIMITS.orphanMs - 1_000).filter(({ kind }) => kind !== "doubt")).toEqual([]);
});

test("LeaseBook gives a run to another coordinator only when that one names a lease of it", () => {
  const worker = new Worker();
  const lease = worker.run("t", ANN);
  worker.tell({ kind: "adopt", from: BOB, run: "other", leases: [lease] });
  worker.tell({ kind: "adopt", from: BOB, run: "r", leases: ["life1.9"] });
  expect(worker.book.list()[0]?.coordinator).toBe(ANN);
  const effects = worker.tell({ kind: "adopt", from: BOB, run: "r", leases: [lease] });
  expect(effects[0]?.kind === "holdings" && effects[0].held.map(({ key }) => key)).toEqual(["t"]);
  expect(worker.book.list()[0]?.coordinator).toBe(BOB);
  expect(worker.tell({ kind: "cancel", from: ANN, lease, graceful: true })).toEqual([
    { kind: "unknown", to: ANN, leases: [lease] },
  ]);
});

test("LeaseBook refuses offers while it drains, and stops everything of a coordinator that is evicted", () => {
  const worker = new Worker();
  const lease = worker.run("t");
  worker.tell({ kind: "drain", draining: true });
  expect(worker.offer("u")).toEqual([
    { kind: "refused", to: ANN, run: "r", key: "u", attempt: 1, refusal: { kind: "draining" } },
  ]);
  expect(leaseOf(worker.offer("t"))).toBe(lease);
  expect(worker.tell({ kind: "evict", coordinator: ANN })).toEqual([{ kind: "stop", lease, graceful: false }]);
});

test("LeaseBook bounds what it keeps for one coordinator and still serves another", () => {
  const worker = new Worker();
  const nothing = makeAsk({});
  for (let at = 0; at < LIMITS.heldAttemptsEach; at++) worker.offer(`t${at}`, ANN, 1, nothing);
  const refusal = { kind: "too-many", most: LIMITS.heldAttemptsEach } as const;
  expect(worker.offer("more", ANN, 1, nothing)).toEqual([
    { kind: "refused", to: ANN, run: "r", key: "more", attempt: 1, refusal },
  ]);
  expect(worker.offer("t", BOB, 1, nothing)[0]?.kind).toBe("granted");
});
