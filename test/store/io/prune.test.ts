import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { type Digest, digestOf } from "../../../src/base/digest.ts";
import type { LayerRef } from "../../../src/store/layer.ts";
import { Store } from "../../../src/store/io/store.ts";
import { resultOf, TemporaryDirectory, writeFiles } from "../support.ts";

const HOUR = 3_600_000;

class Fixture implements Disposable {
  readonly directory = new TemporaryDirectory();
  readonly store = Store.open(this.directory.path);

  async layer(name: string): Promise<LayerRef> {
    const upper = `${this.store.paths.scratch}/${name}`;
    mkdirSync(upper);
    writeFiles(upper, { [`workspace/${name}`]: name.padEnd(1_000) });
    return await this.store.layers.commit({ upper, maskedDirectories: new Set() });
  }

  /** A result with a layer of 1,000 bytes of its own. */
  async result(name: string, layer?: LayerRef): Promise<Digest> {
    const key = digestOf(name);
    this.store.results.put(resultOf(key, { layer: layer ?? (await this.layer(name)) }), {}, null);
    return key;
  }

  keys(): readonly Digest[] {
    return this.store.results.list().map(({ key }) => key);
  }

  [Symbol.dispose](): void {
    this.store[Symbol.dispose]();
    this.directory[Symbol.dispose]();
  }
}

describe("Store.prune()", () => {
  test("prune() removes the least recently used until the rest fits, and their layers", async () => {
    using fixture = new Fixture();
    const { store } = fixture;
    for (const name of ["a", "b", "c"]) await fixture.result(name);
    store.results.touch([digestOf("a")]);
    const report = await store.prune({ maxBytes: 2_500, olderThanMs: null, nowMs: Date.now() });
    expect(report).toMatchObject({ results: 1, layers: 1, freedBytes: 1_000, remainingBytes: 2_000 });
    expect(fixture.keys()).toEqual([digestOf("a"), digestOf("c")]);
    expect(readdirSync(store.paths.layers)).toHaveLength(2);
    expect(readdirSync(store.paths.tmp)).toEqual([]);
  });

  test("prune() keeps what a newer result needs", async () => {
    using fixture = new Fixture();
    const shared = await fixture.layer("shared");
    await fixture.result("old", shared);
    await fixture.result("new", shared);
    await fixture.store.prune({ maxBytes: 1_000, olderThanMs: null, nowMs: Date.now() });
    expect(fixture.store.layers.has(shared.digest)).toBe(true);
    expect(fixture.keys()).toContain(digestOf("new"));
  });

  test("prune() keeps what a living run pins, and not what a dead one did", async () => {
    using fixture = new Fixture();
    const { store } = fixture;
    const layer = await fixture.layer("pinned");
    await fixture.result("a", layer);
    store.runs.create({ id: "r1", title: "", definition: "" }, 0);
    store.runs.pin("r1", [layer.digest]);
    expect(await store.prune({ maxBytes: 0, olderThanMs: 0, nowMs: Date.now() + HOUR })).toMatchObject({
      results: 0,
      layers: 0,
    });
    store.runs.finish("r1", {}, 1);
    expect(await store.prune({ maxBytes: 0, olderThanMs: null, nowMs: Date.now() })).toMatchObject({
      results: 1,
      layers: 1,
    });
  });

  test("prune() goes by age, and a clock that was set back makes nothing old", async () => {
    using fixture = new Fixture();
    await fixture.result("a");
    const old = (nowMs: number) => fixture.store.prune({ maxBytes: null, olderThanMs: HOUR, nowMs });
    expect((await old(Date.now() - 100 * HOUR)).results).toBe(0);
    expect((await old(Date.now() + HOUR / 2)).results).toBe(0);
    expect(await old(Date.now() + 2 * HOUR)).toMatchObject({ results: 1, layers: 1 });
  });

  test("prune() leaves fresh content without a result alone, then takes it", async () => {
    using fixture = new Fixture();
    const layer = await fixture.layer("fresh");
    fixture.store.blobs.put(Buffer.from("fresh"));
    expect(await fixture.store.prune({ maxBytes: null, olderThanMs: null, nowMs: Date.now() })).toMatchObject({
      layers: 0,
      blobs: 0,
    });
    const later = await fixture.store.prune({
      maxBytes: null,
      olderThanMs: null,
      nowMs: Date.now() + 2 * HOUR,
      protect: new Set([layer.digest]),
    });
    expect(later).toMatchObject({ layers: 0, blobs: 1 });
  });

  test("prune() of a dry run changes nothing", async () => {
    using fixture = new Fixture();
    await fixture.result("a");
    expect(
      await fixture.store.prune({ maxBytes: 0, olderThanMs: null, nowMs: Date.now(), dryRun: true }),
    ).toMatchObject({ results: 1, freedBytes: 1_000 });
    expect(fixture.keys()).toEqual([digestOf("a")]);
  });

  test("prune() removes what no row vouches for, and rubbish of dead processes", async () => {
    using fixture = new Fixture();
    const { paths } = fixture.store;
    mkdirSync(`${paths.layers}/${"0".repeat(64)}`);
    mkdirSync(`${paths.tmp}/999999999.1.0/deep`, { recursive: true });
    mkdirSync(`${paths.blobs}/00`, { recursive: true });
    writeFileSync(`${paths.blobs}/00/${"0".repeat(64)}`, "x");
    await fixture.store.prune({ maxBytes: null, olderThanMs: null, nowMs: Date.now() });
    expect([paths.layers, paths.tmp, `${paths.blobs}/00`].map((path) => readdirSync(path))).toEqual([[], [], []]);
  });

  test("prune() forgets the oldest finished runs", async () => {
    using fixture = new Fixture();
    const { runs } = fixture.store;
    for (const id of ["r1", "r2", "r3"]) {
      runs.create({ id, title: "", definition: "" }, 0);
      runs.append(id, [1]);
      if (id !== "r2") runs.finish(id, {}, 1);
    }
    await fixture.store.prune({ maxBytes: null, olderThanMs: null, nowMs: Date.now(), keepRuns: 1 });
    expect(runs.list().map(({ id }) => id)).toEqual(["r3", "r2"]);
    expect(runs.events("r1")).toEqual([]);
  });
});
