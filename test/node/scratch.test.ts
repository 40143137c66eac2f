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
    await pool.give(first, { clean: true, gone: Promise.resolve() });
    await pool.give(second, { clean: false, gone: Promise.resolve() });
    const again = pool.take();
    await store.settled();
    expect([again.root, existsSync(second.root)]).toEqual([first.root, false]);
  });

  test("give() leaves a scratch alone as long as something holds it", async () => {
    using folder = temporaryFolder();
    using store = Store.open(folder.join("home"));
    await using pool = new ScratchPool(store);
    const [held, dirty] = [pool.take(), pool.take()];
    const gone = Promise.withResolvers<void>();
    const given = [
      pool.give(held, { clean: true, gone: gone.promise }),
      pool.give(dirty, { clean: false, gone: gone.promise }),
    ];
    await new Promise((resolve) => setImmediate(resolve));
    expect([pool.take().root === held.root, existsSync(dirty.root)]).toEqual([false, true]);
    gone.resolve();
    await Promise.all(given);
    expect([pool.take().root === held.root, existsSync(dirty.root)]).toEqual([true, false]);
  });

  test("dispose() removes all, also what is still in use or was not given back", async () => {
    using folder = temporaryFolder();
    using store = Store.open(folder.join("home"));
    const pool = new ScratchPool(store);
    mkdirSync(join(pool.take().upper, "workspace"));
    await pool.give(pool.take(), { clean: true, gone: Promise.resolve() });
    await pool[Symbol.asyncDispose]();
    expect(readdirSync(store.paths.tmp)).toEqual([]);
  });
});
