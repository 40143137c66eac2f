import { expect, test } from "bun:test";
import { readHostBase } from "../../src/node/base-key.ts";

test("readHostBase() names release, architecture and packages, the same each time", () => {
  const base = readHostBase();
  expect(base).toEqual(readHostBase());
  expect(base.releaseKey).toMatch(/^host:[\w.-]+:(x86_64|arm64)$/);
  expect(base.key).toMatch(/:(none|[0-9a-f]{16})$/);
  expect(base.key.startsWith(`${base.releaseKey}:`)).toBe(true);
});
