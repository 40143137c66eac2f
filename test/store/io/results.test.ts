import { describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdirSync, rmSync } from "node:fs";
import { digestOf } from "../../../src/base/digest.ts";
import { Store } from "../../../src/store/io/store.ts";
import { resultOf, TemporaryDirectory, writeFiles } from "../support.ts";

const KEY = digestOf("key");
const HOUR = 3_600_000;

describe("Results.get()", () => {
  test("get() answers what was put, parts included, and null for another key", () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    const result = resultOf(KEY, { values: { a: "ünï\n" }, links: { l: "http://x" } });
    store.results.put(result, { script: "make", "env A": "1" }, null);
    const stored = store.results.get(KEY, Date.now());
    expect(stored?.result).toEqual(result);
    expect(stored?.parts).toEqual({ script: "make", "env A": "1" });
    expect(store.results.get(digestOf("other"), Date.now())).toBeNull();
  });

  test("get() serves nothing that has expired, nor what may have when the clock was set back", () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    const now = Date.now();
    store.results.put(resultOf(KEY), {}, now + HOUR);
    store.results.put(resultOf(digestOf("forever")), {}, null);
    store.results.put(resultOf(digestOf("failure")), {}, 0);
    const served = (atMs: number): boolean[] =>
      ["key", "forever", "failure"].map((name) => store.results.get(digestOf(name), atMs) !== null);
    expect(served(now + 1)).toEqual([true, true, false]);
    expect(served(now + HOUR)).toEqual([false, true, false]);
    expect(served(now - 24 * HOUR)).toEqual([false, true, false]);
    expect(store.results.nearest("tasks.yml/build")?.key).toBe(digestOf("failure"));
  });

  test("get() drops a damaged row", () => {
    using directory = new TemporaryDirectory();
    {
      using store = Store.open(directory.path);
      store.results.put(resultOf(KEY), {}, null);
    }
    const db = new Database(`${directory.path}/index.sqlite`);
    db.run("UPDATE results SET body = replace(body, '\"exitCode\":0', '\"exitCode\":1')");
    db.close();
    using store = Store.open(directory.path);
    expect(store.results.get(KEY, Date.now())).toBeNull();
    expect(store.results.list()).toEqual([]);
    expect(store.warnings.map(({ code }) => code)).toEqual(["result-dropped"]);
  });

  test("get() drops a result whose layer or blob is missing", async () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    const upper = `${store.paths.scratch}/u`;
    mkdirSync(upper);
    writeFiles(upper, { "workspace/a": "a" });
    const layer = await store.layers.commit({ upper, maskedDirectories: new Set() });
    const log = { kind: "blob", digest: store.blobs.put(Buffer.from("log")), sizeBytes: 3 } as const;
    store.results.put(resultOf(KEY, { layer }), {}, null);
    store.results.put(resultOf(digestOf("logged"), { log }), {}, null);
    expect([KEY, digestOf("logged")].map((key) => store.results.get(key, Date.now())?.key)).toEqual([
      KEY,
      digestOf("logged"),
    ]);
    rmSync(store.layers.directory(layer.digest), { recursive: true });
    rmSync(store.blobs.path(log.digest));
    expect([KEY, digestOf("logged")].map((key) => store.results.get(key, Date.now()))).toEqual([null, null]);
    expect(store.results.list()).toEqual([]);
  });
});

describe("Results.nearest()", () => {
  test("nearest() is the latest of the same identity under another key", () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    for (const name of ["one", "two", "three"]) store.results.put(resultOf(digestOf(name)), { script: name }, null);
    store.results.put(resultOf(digestOf("other"), { identity: "tasks.yml/other" }), {}, null);
    expect(store.results.nearest("tasks.yml/build")?.parts).toEqual({ script: "three" });
    expect(store.results.nearest("tasks.yml/build", digestOf("three"))?.parts).toEqual({ script: "two" });
    expect(store.results.nearest("nothing")).toBeNull();
  });
});

describe("Results.touch()", () => {
  test("touch() moves results to the front, all at once", () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    for (const name of ["one", "two", "three"]) store.results.put(resultOf(digestOf(name)), {}, null);
    store.results.touch([digestOf("one"), digestOf("unknown")]);
    expect(store.results.list().map(({ key }) => key)).toEqual(["one", "three", "two"].map((name) => digestOf(name)));
  });

  test("touch() writes nothing for the results that were used last, and orders a part of them before the rest", () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    for (const name of ["one", "two", "three"]) store.results.put(resultOf(digestOf(name)), {}, null);
    const touch = (...names: string[]) => store.results.touch(names.map((name) => digestOf(name)));
    const order = () => {
      const { results } = store;
      return results.list().map(({ key }) => key);
    };
    touch("one", "two");
    using other = new Database(store.paths.index, { readonly: true });
    const version = () => other.query("PRAGMA data_version").get();
    const before = version();
    touch("two", "one");
    expect(version()).toEqual(before);
    touch("one");
    expect(version()).not.toEqual(before);
    expect(order()).toEqual(["one", "two", "three"].map((name) => digestOf(name)));
    touch("one", "three");
    expect(order()).toEqual(["three", "one", "two"].map((name) => digestOf(name)));
  });
});

describe("Definitions", () => {
  test("get() answers for the same checker alone", () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    store.definitions.put(KEY, "1", "{}");
    expect([store.definitions.get(KEY, "1"), store.definitions.get(KEY, "2")]).toEqual(["{}", null]);
  });
});

describe("Durations", () => {
  test("learn() follows what tasks take, the first values in full", () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    for (const durationMs of [100, 200, 200, 200, 200, 1_000]) store.durations.learn([{ identity: "a", durationMs }]);
    const known = store.durations.get(["a", "b"]);
    expect([...known.keys()]).toEqual(["a"]);
    expect(known.get("a")).toBeGreaterThan(200);
    expect(known.get("a")).toBeLessThan(500);
  });
});
