import { describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { LIMITS } from "../../src/base/limits.ts";
import { IO_VARIABLES, Written, makeIoFolders } from "../../src/node/outputs.ts";
import { testIf } from "../support/require.ts";
import { HERE, makeFifoAt } from "../../src/store/io/raw-files.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temporary.ts";

function ioFolder(): TemporaryFolder {
  const folder = temporaryFolder();
  makeIoFolders(folder.path);
  return folder;
}

describe("Written.entries()", () => {
  test("entries() reads each file as text, without one trailing newline", () => {
    using io = ioFolder();
    for (const [name, text] of Object.entries({ a: "1\n", b: "2\r\n", c: "\n\n", d: "", e: "x\ny" }))
      writeFileSync(io.join("values", name), text);
    expect(new Written(io.path).entries("values")).toEqual({ a: "1", b: "2", c: "\n", d: "", e: "x\ny" });
  });

  test("entries() takes a name that means something to JavaScript as any other", () => {
    using io = ioFolder();
    writeFileSync(io.join("values", "__proto__"), "x");
    expect(Object.entries(new Written(io.path).entries("values"))).toEqual([["__proto__", "x"]]);
  });

  test("entries() refuses what is no regular file, and waits for none", () => {
    using io = ioFolder();
    writeFileSync(io.join("secret"), "s");
    makeFifoAt(HERE, io.join("values/fifo"), 0o600);
    mkdirSync(io.join("env/directory"));
    symlinkSync("../secret", io.join("links/link"));
    const written = new Written(io.path);
    for (const folder of ["values", "env", "links"] as const)
      expect(() => written.entries(folder)).toThrow("a regular file was expected");
  });

  test("entries() refuses a file that is too large, before it reads it", () => {
    using io = ioFolder();
    writeFileSync(io.join("values/big"), "");
    truncateSync(io.join("values/big"), 2 ** 40);
    expect(() => new Written(io.path).entries("values")).toThrow(`${LIMITS.outputEntryBytes} are the most`);
  });

  test("entries() refuses thousands of entries, before it reads them", () => {
    using io = ioFolder();
    for (let at = 0; at <= LIMITS.outputEntries; at++) writeFileSync(io.join(`values/${at}`), "");
    expect(() => new Written(io.path).entries("values")).toThrow(`${LIMITS.outputEntries} are the most`);
  });

  test("entries() follows no link that took the place of a folder", () => {
    using io = ioFolder();
    using elsewhere = temporaryFolder();
    mkdirSync(elsewhere.join("labels"));
    writeFileSync(elsewhere.join("secret"), "s");
    writeFileSync(elsewhere.join("labels/secret"), "s");
    for (const folder of ["values", "artifacts", "image"] as const) {
      rmSync(io.join(folder), { recursive: true });
      symlinkSync(elsewhere.path, io.join(folder));
    }
    const written = new Written(io.path);
    for (const folder of ["values", "artifacts", "image"] as const)
      expect(() => written.entries(folder)).toThrow("not a readable folder any more");
    expect(written.names("image/labels")).toEqual([]);
    expect(written.isNothing).toBe(false);
  });

  test("entries() finds nothing in a folder that was removed", () => {
    using io = ioFolder();
    rmSync(io.join("values"), { recursive: true });
    expect(new Written(io.path).entries("values")).toEqual({});
  });

  test("entries() reads the image's labels apart from its other entries", () => {
    using io = ioFolder();
    writeFileSync(io.join("image/user"), "me");
    writeFileSync(io.join("image/labels/a.b"), "c");
    const written = new Written(io.path);
    expect([written.entries("image"), written.entries("image/labels")]).toEqual([{ user: "me" }, { "a.b": "c" }]);
  });
});

describe("Written.isNothing", () => {
  test("isNothing holds for folders as they were made", () => {
    using io = ioFolder();
    expect(new Written(io.path).isNothing).toBe(true);
  });

  for (const folder of [...new Set(IO_VARIABLES.map((variable) => variable.folder)), "image/labels"])
    test(`isNothing fails when something is in ${folder}`, () => {
      using io = ioFolder();
      writeFileSync(io.join(folder, "x"), "");
      expect(new Written(io.path).isNothing).toBe(false);
    });

  test("isNothing fails when a folder is gone, or something lies beside the folders", () => {
    using removed = ioFolder();
    rmSync(removed.join("hooks-after"), { recursive: true });
    using added = ioFolder();
    symlinkSync("/etc", added.join("script"));
    using replaced = ioFolder();
    rmSync(replaced.join("image/labels"), { recursive: true });
    symlinkSync("/etc", replaced.join("image/labels"));
    expect([removed, added, replaced].map(({ path }) => new Written(path).isNothing)).toEqual([false, false, false]);
  });

  testIf("not-root", "isNothing fails when a folder is closed", () => {
    using io = ioFolder();
    chmodSync(io.join("values"), 0);
    const written = new Written(io.path);
    expect(written.isNothing).toBe(false);
    expect(() => written.entries("values")).toThrow("not a readable folder any more");
  });
});

test("IO_VARIABLES names every folder a task writes to under three families of names", () => {
  expect(new Set(IO_VARIABLES.map(({ name }) => name.split("_")[0]))).toEqual(new Set(["MESH", "RWX", "MINT"]));
  expect(IO_VARIABLES.filter(({ name }) => name.endsWith("_VALUES")).map(({ folder }) => folder)).toEqual([
    "values",
    "values",
    "values",
  ]);
});
