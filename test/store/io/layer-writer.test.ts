import { describe, expect, test } from "bun:test";
import { closeSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { digestOf } from "../../../src/base/digest.ts";
import { singleId } from "../../../src/store/ids.ts";
import { type ForeignJob, nameOf, ownFiles } from "../../../src/store/io/ownership.ts";
import { Store } from "../../../src/store/io/store.ts";
import type { Tree } from "../../../src/store/tree.ts";
import { encodeTree, treeDigest } from "../../../src/store/tree-codec.ts";
import { randomLayer } from "../random-layer.ts";
import { entry, forSeeds, tree } from "../support.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { testIf } from "../../support/require.ts";

function learn(store: Store, value: Tree) {
  const digest = treeDigest(value);
  store.layers.learn(digest, encodeTree(value));
  return digest;
}

function textOf(path: string): Uint8Array {
  return Buffer.from(`content of ${path}`);
}

describe("LayerWriter", () => {
  test("put() takes nothing but the content, and finish() shows the whole layer", async () => {
    using folder = temporaryFolder();
    using store = Store.open(folder.path);
    const digest = learn(store, tree(entry("workspace/a", "file"), entry("workspace/b", "file", { mode: 0o400 })));
    expect(store.layers.has(digest)).toBe(false);
    using writer = store.writeLayer(digest);
    await writer.prepare();
    expect(writer.put(0, Buffer.from("content of workspace/X"), null)).toBe(false);
    expect(writer.put(0, textOf("workspace/b"), null)).toBe(false);
    expect(writer.put(99, textOf("workspace/a"), null)).toBe(false);
    expect(readdirSync(`${writer.directory}/workspace`)).toEqual([]);
    expect(writer.put(0, textOf("workspace/a"), { seconds: 5, nanoseconds: 0 })).toBe(true);
    expect(writer.put(0, textOf("workspace/a"), null)).toBe(true);
    expect(store.layers.has(digest)).toBe(false);
    expect(writer.put(1, textOf("workspace/b"), null)).toBe(true);
    expect((await writer.finish()).digest).toBe(digest);
    expect(await store.layers.verify(digest)).toBe(true);
    expect(lstatSync(`${store.layers.directory(digest)}/workspace/a`).mtimeMs).toBe(5_000);
    await store.settled();
    expect(readdirSync(store.paths.tmp)).toEqual([]);
  });

  test("a writer that is disposed of leaves nothing", async () => {
    using folder = temporaryFolder();
    using store = Store.open(folder.path);
    const digest = learn(store, tree(entry("workspace/a", "file")));
    {
      using writer = store.writeLayer(digest);
      await writer.prepare();
      writer.put(0, textOf("workspace/a"), null);
    }
    await store.settled();
    expect([readdirSync(store.paths.tmp), readdirSync(store.paths.layers)]).toEqual([[], []]);
  });

  test("a layer with an owner that no id stands for is refused before anything is made", () => {
    using folder = temporaryFolder();
    const ids = singleId(process.getuid?.() ?? 0, process.getgid?.() ?? 0);
    const names = { mapped: nameOf(ids), plain: nameOf(ids) };
    using store = Store.open(folder.path, { ids: () => ids, names: () => names, perform: null });
    const digest = learn(store, tree(entry("workspace/a", "file", { uid: 33 })));
    expect(() => store.writeLayer(digest)).toThrow(expect.objectContaining({ code: "layer.unfit" }));
    expect(readdirSync(store.paths.tmp)).toEqual([]);
  });

  testIf("root", "what this process may not own is dressed by the one that may, before it shows", async () => {
    using folder = temporaryFolder();
    const own = ownFiles();
    const jobs: string[] = [];
    const perform = async (job: ForeignJob): Promise<unknown> => {
      jobs.push(job.kind);
      return await store.owned.perform(job);
    };
    using store: Store = Store.open(folder.path, { ...own, perform });
    const value = tree(
      entry("workspace/d", "directory", { mode: 0o2500, uid: 7, gid: 8 }),
      entry("workspace/d/a", "file", { mode: 0o4711, uid: 33 }),
      entry("workspace/l", "symlink", { uid: 9 }),
    );
    const digest = learn(store, value);
    using writer = store.writeLayer(digest);
    await writer.prepare();
    writer.put(0, textOf("workspace/d/a"), null);
    expect(lstatSync(`${writer.directory}/workspace/d/a`).mode & 0o7777).toBe(0o600);
    await writer.finish();
    expect(jobs).toEqual(["dress"]);
    expect(await store.layers.verify(digest)).toBe(true);
  });

  test("links are made and never followed", async () => {
    using folder = temporaryFolder();
    using store = Store.open(folder.path);
    const value = tree(
      entry("workspace/a", "file"),
      entry("workspace/out", "symlink", { target: `${folder.path}/target` }),
      entry("workspace/z", "file"),
    );
    const digest = learn(store, value);
    using writer = store.writeLayer(digest);
    await writer.prepare();
    for (const [index, content] of writer.contents.entries())
      writer.put(index, textOf(value[content.entries[0] ?? 0]?.path ?? ""), null);
    await writer.finish();
    expect(await store.layers.verify(digest)).toBe(true);
    expect(readdirSync(folder.path)).not.toContain("target");
  });

  testIf("whiteouts", "random layers are rebuilt, so that they verify, from contents in any order", async () => {
    using folder = temporaryFolder();
    using store = Store.open(folder.path);
    await forSeeds(40, async (random) => {
      const value = randomLayer(random);
      const texts = new Map<string, Uint8Array>();
      // The contents of random layers are named by their digests alone: others that are known stand for them.
      const known = value.map((each) => {
        if (each.digest === null) return each;
        const bytes = Buffer.from(`${each.digest} as content`);
        texts.set(digestOf(bytes), bytes);
        return { ...each, digest: digestOf(bytes), size: bytes.length };
      });
      const digest = learn(store, known);
      if (store.layers.has(digest)) return;
      using writer = store.writeLayer(digest);
      await writer.prepare();
      const reused = await writer.reuse();
      for (const [index, content] of [...writer.contents.entries()].toReversed())
        expect(writer.put(index, texts.get(content.digest) ?? new Uint8Array(0), null)).toBe(true);
      expect(reused).toBeGreaterThanOrEqual(0);
      await writer.finish();
      expect(await store.layers.verify(digest)).toBe(true);
    });
  });

  test("open() reads what is there already while the rest is missing", async () => {
    using folder = temporaryFolder();
    using store = Store.open(folder.path);
    const digest = learn(store, tree(entry("workspace/a", "file"), entry("workspace/b", "file")));
    using writer = store.writeLayer(digest);
    await writer.prepare();
    writer.put(1, textOf("workspace/b"), null);
    expect(writer.open(0)).toBe(-1);
    const fd = writer.open(1);
    expect(readFileSync(fd, "utf8")).toBe("content of workspace/b");
    closeSync(fd);
  });
});
