import { describe, expect, test } from "bun:test";
import { insideId, outsideId, singleId } from "../../src/store/ids.ts";

describe("insideId()", () => {
  test("insideId() and outsideId() follow the ranges, and what has none overflows", () => {
    const { uids } = singleId(1_000, 1_000);
    expect([insideId(uids, 1_000), insideId(uids, 5), outsideId(uids, 0), outsideId(uids, 1)]).toEqual([
      0,
      65_534,
      1_000,
      null,
    ]);
    const ranges = [...uids, { inside: 1, outside: 100_000, count: 65_535 }];
    expect([insideId(ranges, 100_032), outsideId(ranges, 33)]).toEqual([33, 100_032]);
  });
});
