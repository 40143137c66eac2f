import { describe, expect, test } from "bun:test";
import { decodeFrames, encodeFrame, type LogFrame, LogReader } from "../../src/store/log-frames.ts";
import { forSeeds } from "./support.ts";

describe("LogReader", () => {
  test("LogReader gives back frames cut anywhere", () =>
    forSeeds(100, (random) => {
      const frames = Array.from({ length: 10 }, (_, index): LogFrame => {
        if (random.below(5) === 0) return { kind: "dropped", atMs: index, droppedBytes: random.below(2 ** 40) };
        const bytes = Uint8Array.from({ length: random.below(300) }, () => random.below(256));
        return { kind: "output", stream: random.pick(["stdout", "stderr"]), atMs: random.below(2 ** 35), bytes };
      });
      const whole = Buffer.concat(frames.map(encodeFrame));
      const reader = new LogReader();
      const found: LogFrame[] = [];
      for (let at = 0; at < whole.length;) {
        const length = 1 + random.below(50);
        found.push(...reader.push(whole.subarray(at, at + length)));
        at += length;
      }
      expect(found).toEqual(frames);
    }));

  test("LogReader leaves out a frame that is not complete", () => {
    const bytes = encodeFrame({ kind: "output", stream: "stdout", atMs: 0, bytes: new Uint8Array(10) });
    expect(decodeFrames(bytes.subarray(0, 8))).toEqual([]);
    expect(decodeFrames(Uint8Array.of(9, 9, 9, 9))).toEqual([]);
  });
});
