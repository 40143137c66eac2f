import { describe, expect, test } from "bun:test";
import { type Digest, digestOf } from "../../src/base/digest.ts";
import { MeshError } from "../../src/base/errors.ts";
import { LIMITS } from "../../src/base/limits.ts";
import { readReceivedTree } from "../../src/store/received-tree.ts";
import type { Tree, TreeEntry } from "../../src/store/tree.ts";
import { encodeTree } from "../../src/store/tree-codec.ts";
import { randomLayer } from "./random-layer.ts";
import { entry, forSeeds, tree } from "./support.ts";

function read(value: Tree): Tree {
  const bytes = encodeTree(value);
  return readReceivedTree(bytes, digestOf(bytes));
}

const XATTR = { name: "user.a", value: Uint8Array.of(1) };
const DEEP = Array.from({ length: LIMITS.treeDepth + 2 }, () => "d").join("/");

const UNSOUND: Readonly<Record<string, readonly TreeEntry[]>> = {
  "a path that leads out": [entry("..", "file")],
  "a path from the root": [entry("/etc", "file")],
  "a file below a link": [entry("a", "symlink"), entry("a/b", "file")],
  "a file twice": [entry("a", "file"), entry("a", "file")],
  "a name with a NUL": [entry("a\0b", "file")],
  "too long a name": [entry("n".repeat(256), "file")],
  "a path too deep": tree(entry(DEEP, "file")),
  "a mode beyond all bits": [entry("a", "file", { mode: 0o100644 })],
  "an owner beyond all ids": [entry("a", "file", { uid: 2 ** 32 })],
  "a file without content": [entry("a", "file", { digest: null })],
  "a directory with a size": [entry("a", "directory", { size: 1 })],
  "an opaque file": [entry("a", "file", { opaque: true })],
  "a whiteout with a mode": [entry("a", "whiteout", { mode: 0o644 })],
  "a link without target": [entry("a", "symlink", { target: "" })],
  "a target with a NUL": [entry("a", "symlink", { target: "a\0b" })],
  "a link with attributes": [entry("a", "symlink", { xattrs: [XATTR] })],
  "the kernel's own mark": [entry("a", "directory", { xattrs: [{ ...XATTR, name: "user.overlay.opaque" }] })],
  "a trusted attribute": [entry("a", "file", { xattrs: [{ ...XATTR, name: "trusted.overlay.redirect" }] })],
  "a security label": [entry("a", "file", { xattrs: [{ ...XATTR, name: "security.selinux" }] })],
  "attributes twice": [entry("a", "file", { xattrs: [XATTR, XATTR] })],
  "a hardlink to another file": [entry("a", "file", { hardlink: 1 }), entry("b", "file", { hardlink: 1 })],
  "hardlinks out of order": [entry("a", "file", { hardlink: 2 }), entry("b", "file", { hardlink: 2 })],
};

describe("readReceivedTree()", () => {
  test("readReceivedTree() reads what a layer can hold", async () => {
    await forSeeds(100, (random) => {
      const layer = randomLayer(random);
      expect(read(layer)).toEqual(layer);
    });
  });

  for (const [what, entries] of Object.entries(UNSOUND)) {
    test(`readReceivedTree() refuses ${what}`, () => {
      expect(() => read(entries)).toThrow(expect.objectContaining({ code: "store.corrupt" }));
    });
  }

  test("readReceivedTree() refuses bytes of another digest, and bytes that are no tree", () => {
    const isRefused = (bytes: Uint8Array, digest: Digest): boolean => {
      try {
        readReceivedTree(bytes, digest);
        return false;
      } catch (error) {
        return error instanceof MeshError && error.code === "store.corrupt";
      }
    };
    expect(isRefused(encodeTree([]), digestOf("x"))).toBe(true);
    for (const bytes of [new Uint8Array(0), Buffer.from("no tree"), new Uint8Array(1_000).fill(0x9f)])
      expect(isRefused(bytes, digestOf(bytes))).toBe(true);
  });
});
