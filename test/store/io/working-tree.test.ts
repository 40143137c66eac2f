import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { chmodSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { digestOf } from "../../../src/base/digest.ts";
import { SourceFixture as Fixture } from "./source-fixture.ts";

describe("Store.fromFiles()", () => {
  test("fromFiles() copies a working tree under /workspace with plain modes and its times", async () => {
    using fixture = new Fixture({ "a.txt": "a", "src/run.sh": "run" });
    chmodSync(`${fixture.source}/a.txt`, 0o664);
    chmodSync(`${fixture.source}/src/run.sh`, 0o775);
    symlinkSync("a.txt", `${fixture.source}/link`);
    utimesSync(`${fixture.source}/a.txt`, 1_000_000, 1_000_000);
    const layer = await fixture.take("a.txt", "src/run.sh", "link", "vanished");
    const tree = fixture.store.layers
      .tree(layer.digest)
      .map(({ path, kind, mode, uid, digest, target }) => [path, kind, mode, uid, digest ?? target]);
    expect(tree).toEqual([
      ["workspace", "directory", 0o755, 0, null],
      ["workspace/a.txt", "file", 0o644, 0, digestOf("a")],
      ["workspace/link", "symlink", 0, 0, "a.txt"],
      ["workspace/src", "directory", 0o755, 0, null],
      ["workspace/src/run.sh", "file", 0o755, 0, digestOf("run")],
    ]);
    expect(statSync(`${fixture.store.layers.directory(layer.digest)}/workspace/a.txt`).mtimeMs).toBe(1_000_000_000);
    expect(await fixture.store.layers.verify(layer.digest)).toBe(true);
  });

  test("fromFiles() copies nothing when the layer is there, and sees every change", async () => {
    using fixture = new Fixture({ "a.txt": "one" });
    const first = await fixture.take("a.txt");
    const { mtimeMs } = statSync(fixture.store.paths.layers);
    expect(await fixture.take("a.txt")).toEqual(first);
    expect(statSync(fixture.store.paths.layers).mtimeMs).toBe(mtimeMs);
    // Same size, and as close in time as can be.
    for (let round = 0; round < 50; round++) {
      writeFileSync(`${fixture.source}/a.txt`, `${round}`.padStart(3, "0"));
      const layer = await fixture.take("a.txt");
      expect(fixture.store.layers.tree(layer.digest).at(-1)?.digest).toBe(digestOf(`${round}`.padStart(3, "0")));
    }
  });

  test("fromFiles() does not read again what has not changed", async () => {
    using fixture = new Fixture({ "a.txt": "first", "b.txt": "b" });
    // The change time of a file just written is too young to be believed.
    while (Date.now() < statSync(`${fixture.source}/b.txt`).ctimeMs + 30) await Bun.sleep(5);
    await fixture.take("a.txt", "b.txt");
    const db = new Database(fixture.store.paths.index);
    db.run("UPDATE file_digests SET body = replace(body, ?, ?)", [
      digestOf("first").slice(7),
      digestOf("remembered").slice(7),
    ]);
    db.close();
    const again = await fixture.take("a.txt");
    expect(fixture.store.layers.tree(again.digest).at(-1)?.digest).toBe(digestOf("remembered"));
  });

  test.each(["../out", "a/../../out", "/etc/passwd", "a//b", ""])("fromFiles() refuses the path %j", async (path) => {
    using fixture = new Fixture({ a: "a" });
    const outcome = await fixture.store
      .fromFiles([{ source: `${fixture.source}/a`, path }], { scope: "x" })
      .catch((error: unknown) => error);
    expect(outcome).toMatchObject({ code: "io.failed" });
  });
});
