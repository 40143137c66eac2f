import { describe, expect, test } from "bun:test";
import { cronFault } from "../../src/spec/cron.ts";

describe("cronFault()", () => {
  const GOOD = [
    "* * * * *",
    "0 0 1 1 0",
    "59 23 31 12 7",
    "*/5 0-6 1,15 jan-mar MON-fri",
    "0 0 L * *",
    "0 0 * * 5L",
    "0 0 * * 1#2",
    "0 12 ? * sun",
    "@daily",
    "0 9 * * 1-5 Europe/Berlin",
    "5 4 * * * UTC",
    "0 0 * * fri-0",
  ];
  for (const schedule of GOOD) {
    test(`takes ${schedule}`, () => {
      expect(cronFault(schedule)).toBeNull();
    });
  }

  const BAD: readonly (readonly [schedule: string, message: string])[] = [
    ["", "The schedule has 0 fields, five are wanted"],
    ["* * * *", "The schedule has 4 fields, five are wanted"],
    ["* * * * * UTC x", "The schedule has 7 fields, five are wanted"],
    ["60 * * * *", '"60" is no minute'],
    ["* 24 * * *", '"24" is no hour'],
    ["* * 0 * *", '"0" is no day of month'],
    ["* * * 13 *", '"13" is no month'],
    ["* * * foo *", '"foo" is no month'],
    ["* * * * 8", '"8" is no day of week'],
    ["5-1 * * * *", '"5-1" is no minute'],
    ["*/0 * * * *", '"*/0" is no minute'],
    ["1-2-3 * * * *", '"1-2-3" is no minute'],
    ["* * * * * Mars/Olympus", '"Mars/Olympus" is no time zone'],
  ];
  for (const [schedule, message] of BAD) {
    test(`refuses ${JSON.stringify(schedule)}`, () => {
      expect(cronFault(schedule)?.message).toBe(message);
    });
  }
});
