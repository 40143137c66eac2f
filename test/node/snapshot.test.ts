import { expect, test } from "bun:test";
import { capacityNow, CpuMeter } from "../../src/node/snapshot.ts";

const GIB = 1024 ** 3;
const TOTALS = {
  name: "a",
  os: "linux",
  arch: "x86_64",
  labels: [],
  baseKeys: [],
  total: { cpuMilli: 4_000, memoryBytes: 8 * GIB, diskBytes: GIB },
  gpus: [
    { index: 0, memoryBytes: 80 * GIB },
    { index: 1, memoryBytes: 80 * GIB },
    { index: 2, memoryBytes: 80 * GIB },
  ],
};

test("capacityNow() takes off what any process holds, GPUs whole or by memory", () => {
  const taken = [
    { cpuMilli: 1_500, memoryBytes: GIB, gpus: [{ index: 0, memoryBytes: null }] },
    { cpuMilli: 3_000, memoryBytes: 2 * GIB, gpus: [{ index: 1, memoryBytes: 30 * GIB }] },
  ];
  const { free, gpus } = capacityNow(TOTALS, taken);
  expect(free).toEqual({ cpuMilli: 0, memoryBytes: 5 * GIB, diskBytes: GIB });
  expect(gpus).toEqual([
    { index: 0, memoryBytes: 80 * GIB, freeMemoryBytes: 0, inUse: true },
    { index: 1, memoryBytes: 80 * GIB, freeMemoryBytes: 50 * GIB, inUse: true },
    { index: 2, memoryBytes: 80 * GIB, freeMemoryBytes: 80 * GIB, inUse: false },
  ]);
});

test("CpuMeter tells the share since the last look", () => {
  const looks = ["cpu  10 0 10 70 10 0 0 0 5 0\ncpu0 1\n", "cpu  40 0 10 120 20 10 0 0 5 0\n", ""];
  const meter = new CpuMeter(() => looks.shift() ?? "");
  expect(meter.percent()).toBe(40);
  expect(meter.percent()).toBe(0);
});
