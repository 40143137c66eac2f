import { describe, expect, test } from "bun:test";
import { digestOf } from "../../src/base/digest.ts";
import { type Capacity, fitDemand, type Taken } from "../../src/store/capacity.ts";
import { insideId, outsideId, singleId } from "../../src/store/ids.ts";
import { compareParts, keyOf } from "../../src/store/key-parts.ts";
import { EMPTY_LAYER, isEmptyLayer } from "../../src/store/layer.ts";
import { decodeFrames, encodeFrame, type LogFrame, LogReader } from "../../src/store/log-frames.ts";
import { blobPath, homePaths, layerPath, liveLogPath } from "../../src/store/paths.ts";
import { needsOf } from "../../src/store/result.ts";
import { compareTrees } from "../../src/store/tree-compare.ts";
import { treeDigest } from "../../src/store/tree-codec.ts";
import { entry, forSeeds, resultOf, tree } from "./support.ts";

describe("keyOf()", () => {
  test("keyOf() depends on names and contents, not on their order", () => {
    expect(keyOf({ a: "1", b: ["2"] })).toBe(keyOf({ b: ["2"], a: "1" }));
    expect(keyOf({ a: "1" })).not.toBe(keyOf({ a: ["1"] }));
  });
});

describe("compareParts()", () => {
  test("compareParts() says what was added, removed and changed", () => {
    const before = { script: "make", env: ["A=1", "B=2"], old: "x", same: ["y"] };
    const after = { script: "make all", env: ["A=1", "B=3"], same: ["y"], fresh: "z" };
    expect(compareParts(before, after)).toEqual([
      { kind: "changed", part: "script", before: "make", after: "make all" },
      { kind: "list", part: "env", added: ["B=3"], removed: ["B=2"] },
      { kind: "added", part: "fresh" },
      { kind: "removed", part: "old" },
    ]);
  });

  test("compareParts() sees another order of a list", () => {
    expect(compareParts({ use: ["a", "b"] }, { use: ["b", "a"] })).toEqual([
      { kind: "list", part: "use", added: [], removed: [] },
    ]);
  });
});

describe("compareTrees()", () => {
  test("compareTrees() names each path that differs and how, and counts beyond the limit", () => {
    const before = tree(entry("a", "file"), entry("b", "file"), entry("c", "file"), entry("d", "file"));
    const after = tree(
      entry("b", "file", { mode: 0o755 }),
      entry("c", "file", { digest: digestOf("new") }),
      entry("d", "symlink"),
      entry("e", "file"),
    );
    const changes = [
      { path: "a", change: "removed" },
      { path: "b", change: "mode" },
      { path: "c", change: "content" },
      { path: "d", change: "kind" },
      { path: "e", change: "added" },
    ] as const;
    expect(compareTrees(before, after, 10)).toEqual({ changes, total: 5 });
    expect(compareTrees(before, after, 2)).toEqual({ changes: changes.slice(0, 2), total: 5 });
  });
});

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

describe("fitDemand()", () => {
  const capacity: Capacity = {
    cpuMilli: 2_000,
    memoryBytes: 100,
    gpus: [
      { index: 1, memoryBytes: 40 },
      { index: 0, memoryBytes: 40 },
    ],
  };
  const half: Taken = { cpuMilli: 1_000, memoryBytes: 60, gpus: [{ index: 0, memoryBytes: 30 }] };

  test("fitDemand() gives GPUs that are free, lowest first", () => {
    expect(fitDemand(capacity, [], { cpuMilli: 2_000, memoryBytes: 100, gpus: 1, gpuMemoryBytes: null })).toEqual({
      fits: true,
      gpus: [{ index: 0, memoryBytes: null }],
    });
    expect(fitDemand(capacity, [half], { cpuMilli: 1, memoryBytes: 1, gpus: 1, gpuMemoryBytes: 10 })).toEqual({
      fits: true,
      gpus: [{ index: 0, memoryBytes: 10 }],
    });
  });

  test("fitDemand() says all that is short", () => {
    expect(fitDemand(capacity, [half], { cpuMilli: 1_001, memoryBytes: 41, gpus: 2, gpuMemoryBytes: 11 })).toEqual({
      fits: false,
      reasons: [
        { kind: "cpu", askedMilli: 1_001, freeMilli: 1_000 },
        { kind: "memory", askedBytes: 41, freeBytes: 40 },
        { kind: "gpu", asked: 2, free: 1 },
      ],
    });
  });
});

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

describe("needsOf()", () => {
  test("needsOf() names layers and blobs once each", () => {
    const digest = digestOf("x");
    const layer = { ...EMPTY_LAYER, digest: digestOf("layer"), entries: 1 };
    const artifact = { key: "k", name: "n", sizeBytes: 1, mode: 0o644, digest };
    const result = resultOf(digestOf("key"), {
      layer,
      artifacts: [
        { ...artifact, kind: "file" },
        { ...artifact, kind: "directory", digest: layer.digest },
      ],
      log: { kind: "blob", digest, sizeBytes: 9 },
    });
    expect(needsOf(result)).toEqual({ layers: [layer.digest], blobs: [digest] });
    expect(needsOf(resultOf(digest, { layer: EMPTY_LAYER }))).toEqual({ layers: [], blobs: [] });
  });
});

describe("EMPTY_LAYER", () => {
  test("EMPTY_LAYER is the layer of the empty tree", () => {
    expect(EMPTY_LAYER.digest).toBe(treeDigest([]));
    expect(isEmptyLayer(EMPTY_LAYER)).toBe(true);
  });
});

describe("homePaths()", () => {
  test("homePaths() lays the store out below its home", () => {
    const paths = homePaths("/m");
    const hex = digestOf("x").slice(7);
    expect([
      blobPath(paths, digestOf("x")),
      layerPath(paths, digestOf("x")),
      liveLogPath(paths, "r1", "build"),
    ]).toEqual([`/m/blobs/${hex.slice(0, 2)}/${hex}`, `/m/layers/${hex}`, "/m/runs/r1/build.log"]);
  });
});
