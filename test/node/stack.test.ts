import { describe, expect, test } from "bun:test";
import { digestOf } from "../../src/base/digest.ts";
import { EMPTY_STACK, joinStacks, pushLayer } from "../../src/node/stack.ts";
import { EMPTY_LAYER, type LayerRef } from "../../src/store/layer.ts";

const layer = (name: string): LayerRef => ({ ...EMPTY_LAYER, digest: digestOf(name), entries: 1 });
const names = { a: layer("a"), b: layer("b"), c: layer("c") };
const a = pushLayer(EMPTY_STACK, "a", names.a);

describe("joinStacks()", () => {
  test("joinStacks() lays stacks over each other in the order of use, each task once", () => {
    const b = pushLayer(a, "b", names.b);
    const c = pushLayer(a, "c", names.c);
    expect(joinStacks([b, c]).layers).toEqual([names.a, names.b, names.c]);
    expect(joinStacks([c, b]).entries.map(({ task }) => task)).toEqual(["a", "c", "b"]);
  });

  test("joinStacks() shares a stack that is the only one", () => {
    expect(joinStacks([a])).toBe(a);
    expect(joinStacks([EMPTY_STACK, a, a])).toBe(a);
    expect(joinStacks([])).toBe(EMPTY_STACK);
  });

  test("joinStacks() keeps of equal layers the topmost", () => {
    const again = pushLayer(EMPTY_STACK, "same as a", names.a);
    const b = pushLayer(EMPTY_STACK, "b", names.b);
    expect(joinStacks([a, b, again]).layers).toEqual([names.b, names.a]);
  });
});

describe("pushLayer()", () => {
  test("pushLayer() shares the stack below when nothing was changed or kept", () => {
    expect(pushLayer(a, "x", EMPTY_LAYER)).toBe(a);
    expect(pushLayer(a, "x", null)).toBe(a);
  });

  test("pushLayer() leaves the stack below as it is", () => {
    pushLayer(a, "b", names.b);
    expect(a.layers).toEqual([names.a]);
  });
});
