import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { digestOf } from "../../src/base/digest.ts";
import { readHostBase } from "../../src/node/base-key.ts";

const digestOfFile = (path: string) => digestOf(readFileSync(path));

test("readHostBase() names release, architecture and packages, the same each time", () => {
  const base = readHostBase(digestOfFile);
  expect(base).toEqual(readHostBase(digestOfFile));
  expect(base.releaseKey).toMatch(/^host:[\w.-]+:(x86_64|arm64)$/);
  expect(base.key).toMatch(/:(none|[0-9a-f]{16})$/);
  expect(base.key.startsWith(`${base.releaseKey}:`)).toBe(true);
});
