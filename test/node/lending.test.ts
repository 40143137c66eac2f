import { expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import {
  applyWish,
  LEND_ALL,
  lentGpus,
  lentTotals,
  parseGpuSpec,
  readLending,
  writeLending,
} from "../../src/node/lending.ts";
import { temporaryFolder } from "../support/temporary.ts";

const GIB = 1024 ** 3;
const NOTHING = { cpus: null, memory: null, gpus: null, labels: null };

test("applyWish() keeps what is not named and reads the rest", () => {
  const wished = applyWish(LEND_ALL, { cpus: "1.5", memory: "2gb", gpus: "1", labels: "ssd, fast,ssd" });
  expect(wished).toEqual({ ...LEND_ALL, cpuMilli: 1_500, memoryBytes: 2 * GIB, gpus: "1", labels: ["fast", "ssd"] });
  expect(applyWish(wished, { ...NOTHING, cpus: "2" })).toEqual({ ...wished, cpuMilli: 2_000 });
});

for (const [flag, value] of [
  ["cpus", "many"],
  ["memory", "16 apples"],
  ["gpus", "h100"],
  ["gpus", "99xh100:80gb"],
  ["labels", "a b"],
] as const)
  test(`applyWish() refuses --${flag} ${value} by name`, () => {
    expect(() => applyWish(LEND_ALL, { ...NOTHING, [flag]: value })).toThrow(`--${flag}`);
  });

test("parseGpuSpec() takes none, a number, and devices to simulate", () => {
  expect(parseGpuSpec("none")).toEqual({ kind: "first", count: 0 });
  expect(parseGpuSpec("2")).toEqual({ kind: "first", count: 2 });
  const spec = parseGpuSpec("2xh100:80gb,a100:40gb");
  expect(
    spec.kind === "simulated" && spec.devices.map(({ index, model, memoryBytes }) => [index, model, memoryBytes]),
  ).toEqual([
    [0, "h100", 80 * GIB],
    [1, "h100", 80 * GIB],
    [2, "a100", 40 * GIB],
  ]);
});

test("lentGpus() asks the drivers only when their devices count", () => {
  const real = [0, 1].map(
    (index) => ({ kind: "nvidia", index, uuid: `u${index}`, model: "m", memoryBytes: 1 }) as const,
  );
  const find = (gpus: string | null) => lentGpus({ ...LEND_ALL, gpus }, () => real).map(({ uuid }) => uuid);
  expect(find(null)).toEqual(["u0", "u1"]);
  expect(find("1")).toEqual(["u0"]);
  expect(find("none")).toEqual([]);
  expect(find("t4:16gb")).toEqual(["GPU-simulated-0"]);
});

test("lentTotals() never lends more than there is", () => {
  const machine = { name: "a", os: "linux", arch: "x86_64", cpuMilli: 2_000, memoryBytes: 8 * GIB, diskBytes: 5 };
  const lent = lentTotals(machine, { ...LEND_ALL, cpuMilli: 64_000, memoryBytes: GIB, labels: ["ssd"] }, []);
  expect(lent).toMatchObject({ labels: ["ssd"], total: { cpuMilli: 2_000, memoryBytes: GIB, diskBytes: 5 } });
});

test("readLending() reads back what writeLending() wrote, for its owner alone, and refuses what is damaged", () => {
  using folder = temporaryFolder();
  expect(readLending(folder.path)).toEqual(LEND_ALL);
  const lending = { ...LEND_ALL, cpuMilli: 500, gpus: "t4:16gb", draining: true };
  writeLending(folder.path, lending);
  expect(readLending(folder.path)).toEqual(lending);
  expect(statSync(folder.join("mesh/lending.json")).mode & 0o777).toBe(0o600);
  writeFileSync(folder.join("mesh/lending.json"), "{");
  expect(() => readLending(folder.path)).toThrow("lends");
});
