import { describe, expect, test } from "bun:test";
import { canonicalBytes } from "../../src/base/canonical.ts";
import { digestOf } from "../../src/base/digest.ts";
import { inWorkspace, type Tree, type TreeEntry, treeValue } from "../../src/store/tree.ts";
import { decodeTree, encodeParts, encodeTree, treeDigest } from "../../src/store/tree-codec.ts";
import { textOfName } from "../../src/store/names.ts";
import { entry, forSeeds, tree } from "./support.ts";
import type { SeededRandom } from "../fake/seeded-random.ts";

const NAMES = [
  "a",
  "b",
  "a.b",
  "a!b",
  "new\nline",
  "ünïcode",
  "日本",
  "😀",
  textOfName(Uint8Array.of(0x66, 0xff, 0xfe)),
  "x".repeat(255),
];
const NUMBERS = [
  0,
  1,
  23,
  24,
  255,
  256,
  65_535,
  65_536,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 40 + 5,
  Number.MAX_SAFE_INTEGER,
];

const SOUND = encodeTree([entry("f", "file", { mode: 0o644 })]);

/** The bytes with the first occurrence of some of them replaced. */
function replaced(bytes: Uint8Array, old: readonly number[], by: readonly number[]): Uint8Array {
  const at = Buffer.from(bytes).indexOf(Buffer.from(old));
  if (at < 0) throw new Error("There is nothing to replace");
  return Uint8Array.of(...bytes.subarray(0, at), ...by, ...bytes.subarray(at + old.length));
}

function randomTree(random: SeededRandom): Tree {
  const entries: TreeEntry[] = [];
  for (let count = random.below(20); count > 0; count--) {
    const depth = 1 + random.below(3);
    const directories = Array.from({ length: depth }, () => random.pick(["workspace", "d1", "d2", "dé"]));
    const path = [...directories, `${random.pick(NAMES)}-${count}`].join("/");
    const kind = random.pick(["file", "directory", "symlink", "fifo", "whiteout"] as const);
    entries.push(
      entry(path, kind, {
        mode: random.below(0o10000),
        uid: random.pick(NUMBERS.filter((number) => number < 2 ** 32)),
        size: kind === "file" ? random.pick(NUMBERS) : 0,
        target: kind === "symlink" ? random.pick(NAMES) : null,
        hardlink: random.below(3),
        opaque: kind === "directory" && random.below(2) === 0,
        xattrs: random.below(3) === 0 ? [{ name: "user.n", value: Uint8Array.of(0, random.below(256), 255) }] : [],
      }),
    );
  }
  return tree(...entries);
}

describe("encodeTree()", () => {
  test("encodeTree() gives the bytes of the general canonical encoder", () =>
    forSeeds(200, (random) => {
      const value = randomTree(random);
      expect(Buffer.compare(encodeTree(value), canonicalBytes(treeValue(value)))).toBe(0);
    }));

  test("encodeTree() does not depend on anything but the entries", () => {
    expect(treeDigest(tree(entry("a/b", "file")))).toBe(treeDigest(tree(entry("a/b", "file"))));
    expect(treeDigest(tree(entry("a/b", "file")))).not.toBe(treeDigest(tree(entry("a/b", "file", { mode: 0o755 }))));
  });
});

describe("decodeTree()", () => {
  test("decodeTree() gives back what was encoded", () =>
    forSeeds(100, (random) => {
      const value = randomTree(random);
      expect(decodeTree(encodeTree(value))).toEqual(value);
    }));

  test.each([
    ["bytes that are no CBOR", Uint8Array.of(0xff, 0x00)],
    ["no list", canonicalBytes({ a: 1 })],
    ["an entry with too few fields", canonicalBytes([["a", 0]])],
    ["entries out of order", encodeTree([entry("b", "file"), entry("a", "file")])],
    ["a path twice", encodeTree([entry("a", "file"), entry("a", "file")])],
    ["a way up", encodeTree([entry("..", "file")])],
    ["a NUL in a name", encodeTree([entry("a\0b", "file")])],
    ["an entry below a symlink", encodeTree([entry("a", "symlink"), entry("a/b", "file")])],
    ["an entry without its directory", encodeTree([entry("a/b", "file")])],
    ["an absolute path", encodeTree([entry("/etc", "file")])],
    ["a number in more bytes than it needs", replaced(SOUND, [0x19, 0x01, 0xa4], [0x1a, 0x00, 0x00, 0x01, 0xa4])],
    ["text as bytes", replaced(SOUND, [0x61, 0x66], [0x41, 0x66])],
    ["a boolean in two bytes", replaced(SOUND, [0xf4], [0xf8, 0x14])],
    ["a list without a length", replaced(SOUND, [0x81, 0x8a], [0x9f, 0x8a])],
    ["fewer bytes than entries", SOUND.subarray(0, -1)],
    ["more bytes than entries", Uint8Array.of(...SOUND, 0)],
    ["more entries than bytes could hold", Uint8Array.of(0x9a, 0xff, 0xff, 0xff, 0xff)],
    ["a digest of another length", replaced(SOUND, [0x58, 0x20], [0x58, 0x1f])],
  ])("decodeTree() refuses %s", (_, bytes) => {
    expect(() => decodeTree(bytes)).toThrow(expect.objectContaining({ code: "store.corrupt" }));
  });
});

describe("encodeParts()", () => {
  test("encodeParts() hashes the workspace and the rest as trees of their own", () =>
    forSeeds(50, (random) => {
      const value = randomTree(random);
      const parts = encodeParts(value);
      expect(parts.digest).toBe(digestOf(encodeTree(value)));
      expect(parts.workspace).toBe(treeDigest(value.filter(({ path }) => inWorkspace(path))));
      expect(parts.system).toBe(treeDigest(value.filter(({ path }) => !inWorkspace(path))));
    }));
});
