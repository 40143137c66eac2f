import { describe, expect, test } from "bun:test";
import { type Capacity, fitDemand, type Taken } from "../../src/store/capacity.ts";

describe("fitDemand()", () => {
  const capacity: Capacity = {
    cpuMilli: 2_000,
    memoryBytes: 100,
    gpus: [
      { index: 1, memoryBytes: 40 },
      { index: 0, memoryBytes: 40 },
    ],
  };
  const half: Taken = { cpuMilli: 1_000, memoryBytes: 60, gpus: [{ index: 0, memoryBytes: 30 }] };

  test("fitDemand() gives GPUs that are free, lowest first", () => {
    expect(fitDemand(capacity, [], { cpuMilli: 2_000, memoryBytes: 100, gpus: 1, gpuMemoryBytes: null })).toEqual({
      fits: true,
      gpus: [{ index: 0, memoryBytes: null }],
    });
    expect(fitDemand(capacity, [half], { cpuMilli: 1, memoryBytes: 1, gpus: 1, gpuMemoryBytes: 10 })).toEqual({
      fits: true,
      gpus: [{ index: 0, memoryBytes: 10 }],
    });
  });

  test("fitDemand() says all that is short", () => {
    expect(fitDemand(capacity, [half], { cpuMilli: 1_001, memoryBytes: 41, gpus: 2, gpuMemoryBytes: 11 })).toEqual({
      fits: false,
      reasons: [
        { kind: "cpu", askedMilli: 1_001, freeMilli: 1_000 },
        { kind: "memory", askedBytes: 41, freeBytes: 40 },
        { kind: "gpu", asked: 2, free: 1 },
      ],
    });
  });
});
