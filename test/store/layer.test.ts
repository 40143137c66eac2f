import { describe, expect, test } from "bun:test";
import { EMPTY_LAYER, isEmptyLayer } from "../../src/store/layer.ts";
import { treeDigest } from "../../src/store/tree-codec.ts";

describe("EMPTY_LAYER", () => {
  test("EMPTY_LAYER is the layer of the empty tree", () => {
    expect(EMPTY_LAYER.digest).toBe(treeDigest([]));
    expect(isEmptyLayer(EMPTY_LAYER)).toBe(true);
  });
});
