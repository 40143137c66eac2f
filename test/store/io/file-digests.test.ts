import { describe, expect, test } from "bun:test";
import { renameSync, utimesSync, writeFileSync } from "node:fs";
import { Database } from "bun:sqlite";
import { digestOf } from "../../../src/base/digest.ts";
import { Store } from "../../../src/store/io/store.ts";
import { TemporaryDirectory } from "../support.ts";

/** What is kept of files, to be looked at and spoilt. */
function kept(store: Store, change = (body: string) => body): string[] {
  using index = new Database(store.paths.index);
  const rows = index.query("SELECT scope, body FROM file_digests").all() as { scope: string; body: string }[];
  for (const { scope, body } of rows)
    index.query("UPDATE file_digests SET body = ? WHERE scope = ?").run(change(body), scope);
  return rows.map(({ body }) => body);
}

/** Later than what this test writes, so that a file's times tell of its next change. */
const LATER = Date.now() + 60_000;

describe("FileDigests.of()", () => {
  test("answers from memory while a file stays as it is, and anew once it was changed or replaced", () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(`${directory.path}/home`);
    const path = `${directory.path}/file`;
    writeFileSync(path, "one");
    expect(store.fileDigests.of(path, LATER)).toBe(digestOf("one"));
    // what it answers now can only come from memory
    kept(store, (body) => body.replace(digestOf("one"), digestOf("remembered")));
    expect(store.fileDigests.of(path, LATER)).toBe(digestOf("remembered"));
    writeFileSync(path, "two");
    utimesSync(path, 1, 1);
    expect(store.fileDigests.of(path, LATER)).toBe(digestOf("two"));
    writeFileSync(`${directory.path}/other`, "six");
    renameSync(`${directory.path}/other`, path);
    expect(store.fileDigests.of(path, LATER)).toBe(digestOf("six"));
  });

  test("remembers nothing of a file that has just been written, and reads again what its row spoilt", () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(`${directory.path}/home`);
    const path = `${directory.path}/file`;
    writeFileSync(path, "young");
    expect(store.fileDigests.of(path, Date.now())).toBe(digestOf("young"));
    expect(kept(store)).toEqual([]);
    writeFileSync(path, "old");
    store.fileDigests.of(path, LATER);
    kept(store, (body) => body.slice(0, -1));
    expect(store.fileDigests.of(path, LATER)).toBe(digestOf("old"));
    expect(() => store.fileDigests.of(`${directory.path}/missing`, LATER)).toThrow(
      expect.objectContaining({ code: "ENOENT" }),
    );
  });
});
