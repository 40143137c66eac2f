import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../../../src/base/errors.ts";
import type { IdMaps } from "../../../src/store/ids.ts";
import { isRefusal, nameOf, type Ownership, ownFiles } from "../../../src/store/io/ownership.ts";
import { Store } from "../../../src/store/io/store.ts";
import type { LayerRef } from "../../../src/store/layer.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const PLAIN = "root alone";

/** Maps in which this process's user looks like the user `inside`. */
function seenAs(inside: number): Ownership {
  const map = (outside: number) => [{ inside, outside, count: 1 }];
  const ids: IdMaps = { uids: map(process.geteuid?.() ?? 0), gids: map(process.getegid?.() ?? 0) };
  return { ids: () => ids, names: () => ({ mapped: nameOf(ids), plain: PLAIN }), perform: null };
}

async function commitOne(home: string, ownership: Ownership): Promise<LayerRef> {
  using store = Store.open(home, ownership);
  const upper = join(home, "upper");
  mkdirSync(join(upper, "workspace"), { recursive: true });
  writeFileSync(join(upper, "workspace", "file"), "content");
  return await store.layers.commit({ upper, maskedDirectories: new Set() });
}

function hasUnder(home: string, digest: LayerRef["digest"], ownership: Ownership): boolean {
  using store = Store.open(home, ownership);
  return store.layers.has(digest) && store.layers.ref(digest) !== null;
}

test("a layer with owners is one only under the maps that it was made under", async () => {
  using folder = temporaryFolder();
  const home = folder.join("home");
  const { digest } = await commitOne(home, seenAs(8));
  expect([hasUnder(home, digest, seenAs(8)), hasUnder(home, digest, seenAs(9))]).toEqual([true, false]);
});

test("a layer in which root owns all is one under all maps of its user", async () => {
  using folder = temporaryFolder();
  const home = folder.join("home");
  const { digest } = await commitOne(home, seenAs(0));
  expect([hasUnder(home, digest, seenAs(0)), hasUnder(home, digest, seenAs(9))]).toEqual([true, true]);
  expect(hasUnder(home, digest, ownFiles())).toBe(false);
});

test("what other maps left is replaced by the same layer made under these", async () => {
  using folder = temporaryFolder();
  const home = folder.join("home");
  const { digest } = await commitOne(home, seenAs(8));
  const other: Ownership = { ...seenAs(8), names: () => ({ mapped: "another range", plain: PLAIN }) };
  expect(hasUnder(home, digest, other)).toBe(false);
  expect((await commitOne(home, other)).digest).toBe(digest);
  expect([hasUnder(home, digest, other), hasUnder(home, digest, seenAs(8))]).toEqual([true, false]);
});

test("isRefusal() knows a refusal also below an error of ours", () => {
  const refused = Object.assign(new Error("no"), { code: "EACCES" });
  const full = Object.assign(new Error("no"), { code: "ENOSPC" });
  const wrapped = new MeshError("store.unwritable", "Cannot commit", { cause: refused });
  expect(
    [refused, wrapped, full, new MeshError("store.full", "Cannot commit", { cause: full })].map(isRefusal),
  ).toEqual([true, true, false, false]);
});
