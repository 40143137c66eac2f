import { expect, test } from "bun:test";
import type { Digest } from "../../src/base/digest.ts";
import { Detours } from "../../src/node/detours.ts";

const A = `sha256:${"a".repeat(64)}` as Digest;
const B = `sha256:${"b".repeat(64)}` as Digest;

test("Detours tells what a task lacked until it is taken, once for each time that it came back", () => {
  const detours = new Detours();
  expect([...detours.of("t")]).toEqual([]);
  expect(detours.note("t", [A])).toBe(true);
  expect([...detours.of("t")]).toEqual([A]);
  expect([...detours.take("t")]).toEqual([A]);
  expect([...detours.of("t")]).toEqual([]);
  expect(detours.note("t", [B])).toBe(true);
  expect([...detours.take("t")]).toEqual([B]);
  expect([...detours.take("other")]).toEqual([]);
});

test("Detours has made again what a task came back for too often, and counts anew", () => {
  const detours = new Detours();
  const notes = Array.from({ length: 5 }, () => detours.note("t", [A]));
  expect(notes).toEqual([true, true, true, false, true]);
});
