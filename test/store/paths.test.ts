import { describe, expect, test } from "bun:test";
import { digestOf } from "../../src/base/digest.ts";
import { blobPath, homePaths, layerPath, liveLogPath } from "../../src/store/paths.ts";

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
