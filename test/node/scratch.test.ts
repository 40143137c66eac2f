import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Written } from "../../src/node/outputs.ts";
import { ScratchPool } from "../../src/node/scratch.ts";
import { Store } from "../../src/store/io/store.ts";
import { temporaryFolder } from "../support/temporary.ts";

describe("ScratchPool", () => {
  test("take() gives folders of its own to each, and uses again what came back clean", async () => {
    using folder = temporaryFolder();
    using store = Store.open(folder.join("home"));
    await using pool = new ScratchPool(store);
    const [first, second] = [pool.take(), pool.take()];
    expect(first.root).not.toBe(second.root);
    expect(new Written(first.io).isNothing).toBe(true);
    writeFileSync(join(second.upper, "left"), "");
    pool.give(first, true);
    pool.give(second, false);
    // a scratch is made ready beside the event loop
    let again = pool.take();
    for (let tries = 0; again.root !== first.root && tries < 10_000; tries++) {
      await new Promise((resolve) => setImmediate(resolve));
      again = pool.take();
    }
    await store.settled();
    expect([again.root, existsSync(second.root)]).toEqual([first.root, false]);
  });

  test("dispose() removes all, also what is still in use or was not given back", async () => {
    using folder = temporaryFolder();
    using store = Store.open(folder.join("home"));
    const pool = new ScratchPool(store);
    mkdirSync(join(pool.take().upper, "workspace"));
    pool.give(pool.take(), true);
    await pool[Symbol.asyncDispose]();
    expect(readdirSync(store.paths.tmp)).toEqual([]);
  });
});
