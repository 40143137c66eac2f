import { expect, test } from "bun:test";
import { makeAsk } from "../../src/sched/ask.ts";
import { CapacityLedger, type NodeTotals } from "../../src/sched/ledger.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

function totals(cpuMilli = 4_000, gpus: NodeTotals["gpus"] = []): NodeTotals {
  return {
    name: "a",
    os: "linux",
    arch: "x64",
    labels: [],
    baseKeys: [],
    total: { cpuMilli, memoryBytes: 1_000, diskBytes: 1_000 },
    gpus,
  };
}

test("grant() takes capacity, and release() gives it back once", () => {
  const ledger = new CapacityLedger(totals());
  const grant = ledger.grant("t1", makeAsk({ cpuMilli: 3_000, memoryBytes: 10 }));
  expect(grant).toMatchObject({ granted: true, lease: { id: "t1", generation: 1, gpus: [] } });
  expect(ledger.capacity().free).toEqual({ cpuMilli: 1_000, memoryBytes: 990, diskBytes: 1_000 });
  expect(ledger.grant("t2", makeAsk({ cpuMilli: 2_000 }))).toEqual({
    granted: false,
    ever: true,
    reasons: [{ kind: "cpu", scope: "free", askedMilli: 2_000, hasMilli: 1_000 }],
  });
  expect([ledger.release("t1", 1), ledger.release("t1", 1)]).toEqual([true, false]);
  expect(ledger.capacity().free).toEqual(totals().total);
});

test("release() ignores a late word about an older lease of the same id", () => {
  const ledger = new CapacityLedger(totals());
  ledger.grant("t1", makeAsk({ cpuMilli: 1_000 }));
  ledger.release("t1", 1);
  ledger.grant("t1", makeAsk({ cpuMilli: 1_000 }));
  expect([ledger.release("t1", 1), ledger.holds("t1", 1), ledger.holds("t1", 2)]).toEqual([false, false, true]);
});

test("grant() under an id that holds a lease is a bug", () => {
  const ledger = new CapacityLedger(totals());
  ledger.grant("t1", makeAsk({}));
  expect(() => ledger.grant("t1", makeAsk({}))).toThrow("Bug: lease t1 is held already");
});

test("grant() leases a GPU whole even when its size is unknown", () => {
  const ledger = new CapacityLedger(totals(4_000, [{ index: 0, memoryBytes: 0 }]));
  expect(ledger.grant("t1", makeAsk({ gpus: 1 }))).toMatchObject({ lease: { gpus: [0] } });
  expect(ledger.grant("t2", makeAsk({ gpus: 1 })).granted).toBe(false);
});

test("grant() packs shared GPUs tightly, so that whole ones stay free", () => {
  const ledger = new CapacityLedger(
    totals(
      4_000,
      [0, 1].map((index) => ({ index, memoryBytes: 100 })),
    ),
  );
  ledger.grant("t1", makeAsk({ gpuMemoryBytes: 40 }));
  expect(ledger.grant("t2", makeAsk({ gpuMemoryBytes: 60 }))).toMatchObject({ lease: { gpus: [0] } });
  expect(ledger.grant("t3", makeAsk({ gpus: 1 }))).toMatchObject({ lease: { gpus: [1] } });
});

test("resize() below what is leased leaves nothing free, never less than nothing", () => {
  const ledger = new CapacityLedger(totals());
  ledger.grant("t1", makeAsk({ cpuMilli: 3_000 }));
  ledger.resize(totals(2_000));
  expect(ledger.capacity().free.cpuMilli).toBe(0);
  ledger.release("t1", 1);
  expect(ledger.capacity().free.cpuMilli).toBe(2_000);
});

test("a ledger is never overbooked, and is empty after all was released", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = new SeededRandom(seed);
    const ledger = new CapacityLedger(
      totals(
        4_000,
        [0, 1, 2].map((index) => ({ index, memoryBytes: 100 })),
      ),
    );
    for (let step = 0; step < 200; step++) {
      const held = ledger.leases();
      if (held.length > 0 && random.chance(0.4)) {
        const lease = random.pick(held);
        ledger.release(lease.id, lease.generation);
      } else {
        const gpuMemoryBytes = random.chance(0.5) ? random.below(120) : 0;
        ledger.grant(
          `t${step}`,
          makeAsk({
            cpuMilli: random.below(3_000),
            memoryBytes: random.below(600),
            gpus: random.below(3),
            gpuMemoryBytes,
          }),
        );
      }
      const sum = (of: (lease: (typeof held)[number]) => number) =>
        ledger.leases().reduce((total, lease) => total + of(lease), 0);
      expect(sum((lease) => lease.ask.cpuMilli)).toBeLessThanOrEqual(4_000);
      expect(sum((lease) => lease.ask.memoryBytes)).toBeLessThanOrEqual(1_000);
      for (const index of [0, 1, 2]) {
        const holders = ledger.leases().filter((lease) => lease.gpus.includes(index));
        const whole = holders.some((lease) => lease.ask.gpuMemoryBytes === 0);
        expect(whole ? holders.length : 1).toBe(1);
        expect(holders.reduce((total, lease) => total + lease.ask.gpuMemoryBytes, 0)).toBeLessThanOrEqual(100);
      }
    }
    const untouched = new CapacityLedger(
      totals(
        4_000,
        [0, 1, 2].map((index) => ({ index, memoryBytes: 100 })),
      ),
    );
    for (const lease of ledger.leases()) ledger.release(lease.id, lease.generation);
    expect(ledger.capacity()).toEqual(untouched.capacity());
  }
});
