import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { digestOf } from "../../../src/base/digest.ts";
import { MeshError } from "../../../src/base/errors.ts";
import { Claims } from "../../../src/store/io/claims.ts";
import type { Index } from "../../../src/store/io/index-db.ts";
import { currentOwner } from "../../../src/store/io/liveness.ts";
import type { Results } from "../../../src/store/io/results.ts";
import { Store } from "../../../src/store/io/store.ts";
import { resultOf, TemporaryDirectory } from "../support.ts";

const CAPACITY = { cpuMilli: 2_000, memoryBytes: 100, gpus: [{ index: 0, memoryBytes: 10 }] };

function claim(store: Store, name: string | null, more: object = {}) {
  return store.claims.claim({
    key: name === null ? null : digestOf(name),
    owner: store.claims.owner("run", name ?? "uncached"),
    cpuMilli: 1_000,
    memoryBytes: 10,
    gpus: 0,
    gpuMemoryBytes: null,
    capacity: CAPACITY,
    nowMs: Date.now(),
    ...more,
  });
}

function helper(...args: string[]) {
  return Bun.spawn([process.execPath, join(import.meta.dir, "claims-child.ts"), ...args], {
    stdout: "pipe",
    stderr: "inherit",
  });
}

describe("Claims.claim()", () => {
  test("claim() grants, refuses the same key, refuses what does not fit, and answers a result", () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    const first = claim(store, "a");
    expect(first).toMatchObject({ kind: "granted", gpus: [] });
    expect(claim(store, "a")).toMatchObject({ kind: "busy", by: { task: "a", pid: process.pid } });
    expect(claim(store, "b", { gpus: 1 })).toMatchObject({ kind: "granted", gpus: [{ index: 0, memoryBytes: null }] });
    expect(claim(store, "c")).toMatchObject({
      kind: "full",
      reasons: [{ kind: "cpu", freeMilli: 0 }],
      by: [{ task: "a" }, { task: "b" }],
    });
    if (first.kind === "granted") store.claims.release(first.id);
    store.results.put(resultOf(digestOf("a")), {}, null);
    expect(claim(store, "a")).toMatchObject({ kind: "hit" });
    expect(claim(store, "c").kind).toBe("granted");
  });

  test("releaseLater() frees the room at once, and removes the claim when that can be written", () => {
    const row = { id: 7, key: null, owner: JSON.stringify(currentOwner()), cpu_milli: 1, memory_bytes: 1, gpus: "[]" };
    const dead = { ...row, id: 6, owner: JSON.stringify({ ...currentOwner(), startTicks: "1" }) };
    let rows = [dead, row];
    let isFull = true;
    const index = {
      all: () => rows,
      run: (_: string, id: number) => {
        if (isFull) throw new MeshError("store.full", "no space left");
        rows = rows.filter((each) => each.id !== id);
      },
    };
    const claims = new Claims(index as unknown as Index, {} as Results);
    // a claim of a dead process counts no more, though it cannot be removed either
    expect(claims.list().map(({ id }) => id)).toEqual([7]);
    claims.releaseLater([7]);
    expect([claims.list(), rows]).toEqual([[], [dead, row]]);
    isFull = false;
    expect([claims.list(), rows]).toEqual([[], [dead]]);
  });

  test("claim() without a key never waits for another", () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    expect([claim(store, null).kind, claim(store, null).kind, claim(store, null).kind]).toEqual([
      "granted",
      "granted",
      "full",
    ]);
    expect(store.claims.list().map(({ key }) => key)).toEqual([null, null]);
  });

  test("claim() forgets claims of a process that was killed", async () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    const child = helper(directory.path, "a", "-1");
    const output = child.stdout.getReader();
    await output.read();
    expect(claim(store, "a")).toMatchObject({ kind: "busy", by: { pid: child.pid } });
    child.kill("SIGKILL");
    await child.exited;
    expect(claim(store, "a").kind).toBe("granted");
    expect(store.claims.list()).toHaveLength(1);
  });

  test("claim() forgets a process whose number another one has by now, and one of another boot", () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    const me = store.claims.owner("run", "old");
    for (const owner of [
      { ...me, startTicks: "1" },
      { ...me, bootId: "other" },
    ]) {
      expect(claim(store, "a", { owner }).kind).toBe("granted");
    }
    expect(claim(store, "a").kind).toBe("granted");
    const elsewhere = { ...me, pidNamespace: "pid:[1]" };
    expect(claim(store, "b", { owner: elsewhere }).kind).toBe("granted");
    expect(claim(store, "b").kind).toBe("busy");
  });

  test("claim() runs each key once among processes that share the store", async () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    const keys = Array.from({ length: 40 }, (_, index) => `key-${index}`);
    const children = [0, 1, 2, 3].map((turn) =>
      helper(directory.path, [...keys.slice(turn * 7), ...keys.slice(0, turn * 7)].join(","), "1"),
    );
    const counts = await Promise.all(children.map(async (child) => Number(await new Response(child.stdout).text())));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(keys.length);
    expect(store.results.list()).toHaveLength(keys.length);
    expect(store.claims.list()).toEqual([]);
    expect(store.warnings).toEqual([]);
  });
});
