import { describe, expect, test } from "bun:test";
import { digestOf } from "../../src/base/digest.ts";
import { EMPTY_LAYER } from "../../src/store/layer.ts";
import { needsOf } from "../../src/store/result.ts";
import { resultOf } from "./support.ts";

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
