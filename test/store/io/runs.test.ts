import { describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { digestOf } from "../../../src/base/digest.ts";
import { Store } from "../../../src/store/io/store.ts";
import { TemporaryDirectory } from "../support.ts";

const RUN = { id: "r1", title: "CI", definition: "tasks.yml" };

function withStore(body: (store: Store, home: string) => void): void {
  using directory = new TemporaryDirectory();
  using store = Store.open(directory.path);
  body(store, directory.path);
}

/** Makes the run look as if its process had died. */
function orphan(home: string): void {
  const db = new Database(`${home}/index.sqlite`);
  db.run(`UPDATE runs SET owner = json_set(owner, '$.startTicks', '1')`);
  db.close();
}

describe("Runs", () => {
  test("append() numbers events without gaps and events() gives those after a number", () =>
    withStore((store) => {
      store.runs.create(RUN, 5);
      expect(store.runs.append("r1", [{ kind: "a" }, { kind: "b" }])).toBe(2);
      expect(store.runs.append("r1", [])).toBe(2);
      expect(store.runs.append("r1", [{ kind: "c" }])).toBe(3);
      expect(store.runs.events("r1", 1)).toEqual([
        { seq: 2, event: { kind: "b" } },
        { seq: 3, event: { kind: "c" } },
      ]);
      expect(store.runs.events("r1").length).toBe(3);
      expect(store.runs.events("unknown")).toEqual([]);
    }));

  test("get() and list() tell running, finished and interrupted apart", () =>
    withStore((store, home) => {
      store.runs.create(RUN, 5);
      expect(store.runs.get("r1")).toMatchObject({
        ...RUN,
        state: "running",
        createdAtMs: 5,
        finishedAtMs: null,
        summary: null,
      });
      orphan(home);
      expect(store.runs.get("r1")?.state).toBe("interrupted");
      expect(store.runs.adopt("r1")).toBe(true);
      expect(store.runs.get("r1")?.state).toBe("running");
      expect(store.runs.adopt("r1")).toBe(false);
      store.runs.finish("r1", { ok: true }, 9);
      store.runs.create({ ...RUN, id: "r2" }, 10);
      expect(store.runs.list().map(({ id, state, summary }) => [id, state, summary])).toEqual([
        ["r2", "running", null],
        ["r1", "finished", { ok: true }],
      ]);
      expect(store.runs.get("r3")).toBeNull();
    }));

  test("send() reaches the process that drives the run, once", () =>
    withStore((store, home) => {
      store.runs.create(RUN, 5);
      expect(store.runs.receive("r1")).toEqual([]);
      expect([store.runs.send("r1", "cancel"), store.runs.send("r1", { kind: "x" })]).toEqual([true, true]);
      expect(store.runs.receive("r1")).toEqual(["cancel", { kind: "x" }]);
      expect(store.runs.receive("r1")).toEqual([]);
      orphan(home);
      expect(store.runs.send("r1", "cancel")).toBe(false);
      expect(store.runs.send("unknown", "cancel")).toBe(false);
    }));

  test("pin() names what is not there any more", () =>
    withStore((store) => {
      store.runs.create(RUN, 5);
      const digest = store.blobs.put(Buffer.from("x"));
      expect(store.runs.pin("r1", [digest, digestOf("gone")])).toEqual([digestOf("gone")]);
    }));
});
