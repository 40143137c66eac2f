import { expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { Store } from "../../../src/store/io/store.ts";
import { removeTree } from "../../../src/store/io/remove-tree.ts";
import { testIf } from "../../support/require.ts";
import { TemporaryDirectory } from "../support.ts";

/** A process that has ended: the longest number that a process can't have. */
const NOBODY = "4194305.1";

/** Makes folders in folders, more than one slice of time removes. */
function makeWideTree(root: string): void {
  for (let outer = 0; outer < 40; outer++)
    for (let inner = 0; inner < 25; inner++) {
      const folder = `${root}/${outer}/${inner}`;
      mkdirSync(folder, { recursive: true });
      for (const name of ["a", "b", "c"]) writeFileSync(`${folder}/${name}`, "");
    }
}

test("removeTree() ends well when another one removes the same at the same time", async () => {
  using directory = new TemporaryDirectory();
  for (let round = 0; round < 2; round++) {
    const root = `${directory.path}/doomed`;
    makeWideTree(root);
    await Promise.all([removeTree(root), removeTree(root), removeTree(root)]);
    expect(existsSync(root)).toBe(false);
  }
});

test("Store.sweep() of two stores of one home at once leaves nothing and fails in neither", async () => {
  using directory = new TemporaryDirectory();
  using one = Store.open(`${directory.path}/home`);
  using other = Store.open(`${directory.path}/home`);
  for (let entry = 0; entry < 3; entry++) makeWideTree(`${one.paths.tmp}/${NOBODY}.${entry}`);
  expect(await Promise.all([one.sweep(), other.sweep()])).toEqual([0, 0]);
  for (let entry = 0; entry < 3; entry++) expect(existsSync(`${one.paths.tmp}/${NOBODY}.${entry}`)).toBe(false);
});

testIf("mount", "Store.sweep() counts what it cannot remove yet, and removes it when it can", async () => {
  using directory = new TemporaryDirectory();
  using store = Store.open(`${directory.path}/home`);
  const held = `${store.paths.tmp}/${NOBODY}.0`;
  mkdirSync(`${held}/mounted`, { recursive: true });
  mkdirSync(`${store.paths.tmp}/${NOBODY}.1`);
  Bun.spawnSync(["mount", "-t", "tmpfs", "none", `${held}/mounted`]);
  try {
    expect([await store.sweep(), existsSync(held), existsSync(`${store.paths.tmp}/${NOBODY}.1`)]).toEqual([
      1,
      true,
      false,
    ]);
  } finally {
    Bun.spawnSync(["umount", `${held}/mounted`]);
  }
  expect([await store.sweep(), existsSync(held)]).toEqual([0, false]);
});
