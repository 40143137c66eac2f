// How fast a machine says that it is, by a clock that the test turns.

import { expect, test } from "bun:test";
import { SpeedMeter } from "../../src/node/speed.ts";

/** A clock that each look moves on by as much as the test says. */
class Clock {
  stepMs: number;
  nowMs = 1_000;
  looks = 0;

  constructor(stepMs: number) {
    this.stepMs = stepMs;
  }

  readonly look = (): number => {
    this.looks++;
    this.nowMs += this.stepMs;
    return this.nowMs;
  };
}

test("percent() says half for twice the time, in steps of a quarter", () => {
  const percentAt = (ms: number) => new SpeedMeter(new Clock(ms).look).percent();
  expect([0.15, 0.152, 0.3, 0.075].map(percentAt)).toEqual([100, 100, 51, 195]);
});

test("percent() bounds what a clock may say, and the time that it takes", () => {
  expect(new SpeedMeter(new Clock(1e-9).look).percent()).toBeLessThanOrEqual(1_100);
  const slow = new Clock(30);
  expect(new SpeedMeter(slow.look).percent()).toBe(1);
  expect(slow.looks).toBeLessThan(5);
});

test("percent() of a machine that was busy finds out later how fast it is, and then looks no more", () => {
  const time = new Clock(1.5);
  const meter = new SpeedMeter(time.look);
  expect(meter.percent()).toBe(11);
  time.stepMs = 0.15;
  expect(meter.percent()).toBe(11);
  time.nowMs += 1_000;
  expect(meter.percent()).toBe(100);
  for (let second = 0; second < 100; second++) {
    time.nowMs += 1_000;
    meter.percent();
  }
  const { looks } = time;
  time.nowMs += 1_000;
  meter.percent();
  expect(time.looks - looks).toBe(1);
});

test("percent() of this machine is some figure", () => {
  expect(new SpeedMeter().percent()).toBeGreaterThan(0);
});
