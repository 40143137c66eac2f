// How fast a machine says that it is, by a clock that the test turns.

import { expect, test } from "bun:test";
import { measureSpeed, ownSpeedPercent } from "../../src/node/speed.ts";

/** A clock that each look moves on by the next of these, the last one again and again. */
function clockOf(...stepsMs: readonly number[]): () => number {
  let nowMs = 1_000;
  let looks = 0;
  return () => {
    if (looks++ > 0) nowMs += stepsMs[Math.min(looks - 2, stepsMs.length - 1)] ?? 0;
    return nowMs;
  };
}

test("measureSpeed() says half for twice the time, in steps of a tenth", () => {
  const [reference, half, nearly] = [0.15, 0.3, 0.152].map((ms) => measureSpeed(clockOf(ms)));
  expect(reference).toBe(100);
  expect(half).toBe(51);
  expect(nearly).toBe(100);
});

test("measureSpeed() lets the fastest round decide, and bounds what a clock may say", () => {
  expect(measureSpeed(clockOf(3, 2, 0.15, 4))).toBe(100);
  expect(measureSpeed(clockOf(1e-9, 20))).toBeLessThanOrEqual(1_100);
  expect(measureSpeed(clockOf(1e9))).toBe(1);
});

test("ownSpeedPercent() measures once", () => {
  const first = ownSpeedPercent();
  expect(first).toBeGreaterThan(0);
  expect(ownSpeedPercent()).toBe(first);
});
