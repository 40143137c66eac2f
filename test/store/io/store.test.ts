import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { Database } from "bun:sqlite";
import { digestOf } from "../../../src/base/digest.ts";
import { Store } from "../../../src/store/io/store.ts";
import { resultOf, TemporaryDirectory, writeFiles } from "../support.ts";
import { describeIf, testIf } from "../../support/require.ts";

const NONE: ReadonlySet<string> = new Set();

describe("Store.open()", () => {
  test("Store.open() makes a home and finds everything again", () => {
    using directory = new TemporaryDirectory();
    const home = `${directory.path}/a/b/home`;
    const key = digestOf("key");
    {
      using store = Store.open(home);
      store.results.put(resultOf(key), { script: "x" }, null);
    }
    using store = Store.open(home);
    expect(store.results.get(key, Date.now())?.result).toEqual(resultOf(key));
    expect(store.warnings).toEqual([]);
  });

  test("Store leaves a short log to the next one, which goes on in it, and closes a long one", () => {
    using directory = new TemporaryDirectory();
    const log = `${directory.path}/index.sqlite-wal`;
    const put = (name: string, parts: Readonly<Record<string, string>>) => {
      using store = Store.open(directory.path);
      store.results.put(resultOf(digestOf(name)), parts, null);
    };
    put("one", {});
    const { size } = statSync(log);
    put("two", {});
    expect(statSync(log).size).toBeGreaterThan(size);
    put("three", { script: "x".repeat(5 << 20) });
    expect(existsSync(log)).toBe(false);
    using store = Store.open(directory.path);
    for (const name of ["one", "two", "three"])
      expect(store.results.get(digestOf(name), Date.now())?.result).toEqual(resultOf(digestOf(name)));
    expect(store.warnings).toEqual([]);
  });

  test("Store.open() says what is wrong with a home that can't be written", () => {
    using directory = new TemporaryDirectory();
    writeFileSync(`${directory.path}/file`, "");
    expect(() => Store.open(`${directory.path}/file/home`)).toThrow(
      expect.objectContaining({ code: "store.unwritable" }),
    );
  });

  testIf("not-root", "Store.open() refuses a read-only home", () => {
    using directory = new TemporaryDirectory();
    chmodSync(directory.path, 0o500);
    expect(() => Store.open(`${directory.path}/home`)).toThrow(expect.objectContaining({ code: "store.unwritable" }));
  });

  test("Store.open() sets an index aside that is no database, and keeps content on disk", async () => {
    using directory = new TemporaryDirectory();
    const digest = await (async () => {
      using store = Store.open(directory.path);
      store.results.put(resultOf(digestOf("key")), {}, null);
      return store.blobs.put(Buffer.from("content"));
    })();
    writeFileSync(`${directory.path}/index.sqlite`, "this is no database at all, but long enough to be looked at");
    using store = Store.open(directory.path);
    expect(store.results.get(digestOf("key"), 0)).toBeNull();
    expect(store.warnings.map(({ code }) => code)).toEqual(["index-set-aside"]);
    expect(readdirSync(directory.path).some((name) => name.startsWith("index.sqlite.corrupt-"))).toBe(true);
    expect(store.blobs.put(Buffer.from("content"))).toBe(digest);
    expect(store.blobs.has(digest)).toBe(true);
  });

  test("Store.open() sets an index of another version aside", () => {
    using directory = new TemporaryDirectory();
    Store.open(directory.path)[Symbol.dispose]();
    const db = new Database(`${directory.path}/index.sqlite`);
    db.run("PRAGMA user_version = 999");
    db.close();
    using store = Store.open(directory.path);
    expect(store.warnings.map(({ code }) => code)).toEqual(["index-set-aside"]);
    store.results.put(resultOf(digestOf("key")), {}, null);
  });

  test("Store goes on with an empty index when a page turns out to be corrupt", () => {
    using directory = new TemporaryDirectory();
    {
      using store = Store.open(directory.path);
      for (let index = 0; index < 500; index++)
        store.results.put(resultOf(digestOf(`${index}`)), { filler: "x".repeat(500) }, null);
    }
    // All pages but the first, so that opening works and reading does not.
    const path = `${directory.path}/index.sqlite`;
    const fd = openSync(path, "r+");
    for (let at = 4096; at < statSync(path).size; at += 4096) writeSync(fd, Buffer.alloc(4096, 0xa5), 0, 4096, at);
    using store = Store.open(directory.path);
    expect(store.results.get(digestOf("1"), 0)).toBeNull();
    expect(store.warnings.map(({ code }) => code)).toEqual(["index-set-aside"]);
    store.results.put(resultOf(digestOf("1")), {}, null);
    expect(store.results.get(digestOf("1"), Date.now())).not.toBeNull();
  });

  test("Store survives an index that was cut short", () => {
    using directory = new TemporaryDirectory();
    {
      using store = Store.open(directory.path);
      for (let index = 0; index < 200; index++)
        store.results.put(resultOf(digestOf(`${index}`)), { filler: "x".repeat(500) }, null);
    }
    truncateSync(`${directory.path}/index.sqlite`, 8192);
    using store = Store.open(directory.path);
    for (let index = 0; index < 200; index++) store.results.get(digestOf(`${index}`), Date.now());
    store.results.put(resultOf(digestOf("new")), {}, null);
    expect(store.results.get(digestOf("new"), Date.now())).not.toBeNull();
  });
});

describe("Blobs", () => {
  test("put() and read() give the same bytes, and a repeat is one file", async () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    const digest = store.blobs.put(Buffer.from("hello"));
    expect(digest).toBe(digestOf("hello"));
    writeFileSync(`${directory.path}/file`, "hello");
    expect(await store.blobs.putFile(`${directory.path}/file`, { move: true })).toBe(digest);
    expect(Buffer.from(store.blobs.read(digest)).toString()).toBe("hello");
    expect(readdirSync(store.paths.tmp)).toEqual([]);
    expect(readdirSync(directory.path)).not.toContain("file");
  });

  test("read() drops a corrupt blob and says so; a missing one is missing", () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    const digest = store.blobs.put(Buffer.from("hello"));
    writeFileSync(store.blobs.path(digest), "hellO");
    expect(() => store.blobs.read(digest)).toThrow(expect.objectContaining({ code: "blob.corrupt" }));
    expect(store.blobs.has(digest)).toBe(false);
    expect(() => store.blobs.read(digest)).toThrow(expect.objectContaining({ code: "blob.missing" }));
    store.blobs.put(Buffer.from("hello"));
    expect(store.blobs.has(digest)).toBe(true);
  });
});

describe("content of an earlier boot", () => {
  test("is verified before its first use, and trusted after a sync", async () => {
    using directory = new TemporaryDirectory();
    const setBoot = (boot: string): void => {
      const db = new Database(`${directory.path}/index.sqlite`);
      for (const table of ["layers", "blobs"]) db.run(`UPDATE ${table} SET boot = ? WHERE boot <> 'synced'`, [boot]);
      db.close();
    };
    const [good, bad] = [digestOf("good"), digestOf("bad")];
    {
      using store = Store.open(directory.path);
      for (const name of ["good", "bad"]) {
        const upper = `${store.paths.scratch}/${name}`;
        mkdirSync(upper);
        writeFiles(upper, { [`workspace/${name}`]: name });
        const layer = await store.layers.commit({ upper, maskedDirectories: NONE });
        store.results.put(resultOf(digestOf(name), { layer }), {}, null);
        store.blobs.put(Buffer.from(`blob ${name}`));
        if (name === "bad") truncateSync(`${store.layers.directory(layer.digest)}/workspace/bad`, 0);
      }
      truncateSync(store.blobs.path(digestOf("blob bad")), 0);
    }
    setBoot("earlier");
    {
      using store = Store.open(directory.path);
      const stored = [good, bad].map((key) => store.results.get(key, Date.now()));
      expect(stored.map((each) => each && store.results.untrusted(each).length)).toEqual([1, 1]);
      expect(await Promise.all(stored.flatMap((each) => (each ? [store.trust(each)] : [])))).toEqual([true, false]);
      expect(store.results.get(bad, Date.now())).toBeNull();
      expect([store.blobs.has(digestOf("blob good")), store.blobs.has(digestOf("blob bad"))]).toEqual([true, false]);
      const again = store.results.get(good, Date.now());
      expect(again && store.results.untrusted(again)).toEqual([]);
      store.sync();
      await store.settled();
    }
    setBoot("yet another");
    using store = Store.open(directory.path);
    const stored = store.results.get(good, Date.now());
    expect(stored && store.results.untrusted(stored)).toEqual([]);
  });
});

describeIf("mount", "a full disk", () => {
  test("every write fails with store.full and leaves the store sound", async () => {
    using directory = new TemporaryDirectory();
    mkdirSync(`${directory.path}/small`);
    Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", `${directory.path}/small`]);
    try {
      const store = Store.open(`${directory.path}/small/home`);
      const upper = `${store.paths.scratch}/upper`;
      mkdirSync(upper);
      writeFiles(upper, { "workspace/a": "kept" });
      store.results.put(resultOf(digestOf("before")), {}, null);
      let filler = 900_000;
      const failures = new Set<string>();
      // Ever smaller pieces, so that each kind of write meets the end of the disk.
      for (let index = 0; index < 400 && filler > 500; index++) {
        try {
          store.blobs.put(Buffer.alloc(filler, index));
        } catch (error) {
          failures.add(codeOf(error));
          filler = Math.floor(filler / 1.5);
        }
      }
      for (let index = 0; index < 300; index++) {
        try {
          store.results.put(resultOf(digestOf(`r${index}`)), { filler: "x".repeat(20_000) }, null);
        } catch (error) {
          failures.add(codeOf(error));
        }
      }
      const outcome = await store.layers
        .commit({ upper, maskedDirectories: NONE })
        .catch((error: unknown) => codeOf(error));
      if (typeof outcome === "string")
        expect([outcome, readFileSync(`${upper}/workspace/a`, "utf8")]).toEqual(["store.full", "kept"]);
      expect([...failures]).toEqual(["store.full"]);
      expect(readdirSync(store.paths.tmp)).toEqual([]);
      expect(store.results.get(digestOf("before"), Date.now())?.result.exitCode).toBe(0);
      await store.prune({ maxBytes: 0, olderThanMs: null, nowMs: Date.now() + 7_200_000 });
      expect(store.stats().blobs).toEqual({ count: 0, bytes: 0 });
      store.results.put(resultOf(digestOf("after")), {}, null);
      await store.layers.commit({ upper, maskedDirectories: NONE });
      store[Symbol.dispose]();
      using again = Store.open(`${directory.path}/small/home`);
      expect(again.results.get(digestOf("after"), Date.now())).not.toBeNull();
      expect(again.warnings).toEqual([]);
    } finally {
      Bun.spawnSync(["umount", "-l", `${directory.path}/small`]);
    }
  });
});

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
