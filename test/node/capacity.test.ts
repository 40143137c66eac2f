import { expect, test } from "bun:test";
import { tmpdir, totalmem } from "node:os";
import { freeBytes, readCapacity } from "../../src/node/capacity.ts";

test("readCapacity() gives amounts that this machine can have", () => {
  const { name, arch, cpuMilli, memoryBytes, diskBytes } = readCapacity(tmpdir());
  expect(name).not.toBe("");
  expect(arch).toMatch(/^(x86_64|arm64)$/);
  expect([cpuMilli, memoryBytes, diskBytes].every((amount) => Number.isSafeInteger(amount) && amount > 0)).toBe(true);
  expect(memoryBytes).toBeLessThan(totalmem());
});

test("freeBytes() is 0 where it cannot be told", () => {
  expect(freeBytes("/no/such/folder")).toBe(0);
});
