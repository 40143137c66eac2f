import { expect, test } from "bun:test";
import { askShape, makeAsk } from "../../src/sched/ask.ts";
import { describeReason, fits, nearestMiss, type NodeCapacity } from "../../src/sched/fit.ts";

const GIB = 1024 ** 3;

function node(name: string, more: Partial<NodeCapacity> = {}): NodeCapacity {
  const total = { cpuMilli: 8_000, memoryBytes: 16 * GIB, diskBytes: 100 * GIB };
  return {
    name,
    os: "linux",
    arch: "x64",
    labels: ["ssd"],
    baseKeys: ["debian-13"],
    total,
    free: total,
    gpus: [],
    ...more,
  };
}

test("makeAsk() asks for nothing unless told, and for one GPU where only its memory is named", () => {
  expect(makeAsk({ gpuMemoryBytes: 4 * GIB, labels: ["b", "a", "b"] })).toEqual({
    cpuMilli: 0,
    memoryBytes: 0,
    diskBytes: 0,
    gpus: 1,
    gpuMemoryBytes: 4 * GIB,
    os: null,
    arch: null,
    labels: ["a", "b"],
    node: null,
    baseKey: null,
  });
});

test("askShape() is equal for equal asks only", () => {
  const asks = [
    {},
    { cpuMilli: 1 },
    { memoryBytes: 1 },
    { os: "linux" },
    { arch: "linux" },
    { labels: ["a"] },
    { labels: ["b"] },
    { node: "a" },
    { baseKey: "a" },
  ];
  expect(new Set(asks.map((ask) => askShape(makeAsk(ask)))).size).toBe(asks.length);
  expect(askShape(makeAsk({ labels: ["b", "a"] }))).toBe(askShape(makeAsk({ labels: ["a", "b"] })));
});

test("fits() accepts exactly what is free", () => {
  expect(
    fits(
      makeAsk({ cpuMilli: 8_000, memoryBytes: 16 * GIB, diskBytes: 100 * GIB, labels: ["ssd"], baseKey: "debian-13" }),
      node("a"),
    ),
  ).toEqual({ fits: true });
});

test("fits() tells what never fits from what does not fit at present, with every reason", () => {
  const busy = node("a", { free: { cpuMilli: 500, memoryBytes: GIB, diskBytes: 0 } });
  expect(fits(makeAsk({ cpuMilli: 1_000, memoryBytes: 32 * GIB }), busy)).toEqual({
    fits: false,
    ever: false,
    reasons: [
      { kind: "cpu", scope: "free", askedMilli: 1_000, hasMilli: 500 },
      { kind: "memory", scope: "total", askedBytes: 32 * GIB, hasBytes: 16 * GIB },
    ],
  });
  expect(fits(makeAsk({ diskBytes: 1 }), busy)).toMatchObject({ fits: false, ever: true });
});

test("fits() names every trait that a machine lacks", () => {
  const ask = makeAsk({ node: "b", os: "darwin", arch: "arm64", labels: ["gpu", "ssd"], baseKey: "fedora-44" });
  const fit = fits(ask, node("a"));
  expect(fit.fits ? [] : fit.reasons.map(describeReason)).toEqual([
    "asks for the machine b, this is a",
    "asks for darwin, runs linux",
    "asks for arm64, is x64",
    "lacks the label gpu",
    "its own system differs from the base that is asked for",
  ]);
});

test("fits() leases GPUs whole, or shares them by memory", () => {
  const gpus = [
    { index: 0, memoryBytes: 24 * GIB, freeMemoryBytes: 10 * GIB, inUse: true },
    { index: 1, memoryBytes: 24 * GIB, freeMemoryBytes: 24 * GIB, inUse: false },
  ];
  const machine = node("a", { gpus });
  expect(fits(makeAsk({ gpus: 1 }), machine).fits).toBe(true);
  expect(fits(makeAsk({ gpus: 2 }), machine)).toEqual({
    fits: false,
    ever: true,
    reasons: [{ kind: "gpus", scope: "free", asked: 2, has: 1, askedBytesEach: 0 }],
  });
  expect(fits(makeAsk({ gpus: 2, gpuMemoryBytes: 10 * GIB }), machine).fits).toBe(true);
  expect(fits(makeAsk({ gpus: 1, gpuMemoryBytes: 48 * GIB }), machine)).toMatchObject({
    ever: false,
    reasons: [{ scope: "total", has: 0 }],
  });
});

test("describeReason() gives amounts with units", () => {
  expect(describeReason({ kind: "memory", scope: "free", askedBytes: 16 * GIB, hasBytes: 1.5 * GIB })).toBe(
    "asks for 16 GiB of memory, has 1.5 GiB free",
  );
  expect(describeReason({ kind: "cpu", scope: "total", askedMilli: 12_000, hasMilli: 8_000 })).toBe(
    "asks for 12 CPU, has 8 in all",
  );
  expect(describeReason({ kind: "gpus", scope: "free", asked: 2, has: 0, askedBytesEach: GIB })).toBe(
    "asks for 2 GPU with 1 GiB, has 0 free",
  );
});

test("nearestMiss() prefers the machine that only has to become free, then the fewest reasons, then the name", () => {
  const busy = { cpuMilli: 0, memoryBytes: 0, diskBytes: 0 };
  const nodes = [node("z", { arch: "arm64" }), node("c", { free: busy }), node("b", { free: busy })];
  const ask = makeAsk({ cpuMilli: 1, memoryBytes: 1, arch: "x64" });
  expect(nearestMiss(ask, nodes)).toMatchObject({ node: "b", ever: true });
  expect(
    nearestMiss(makeAsk({ cpuMilli: 9_000, arch: "x64" }), [node("z", { arch: "arm64" }), node("y")]),
  ).toMatchObject({ node: "y" });
  expect(nearestMiss(ask, [...nodes, node("fits")])).toBeNull();
});
