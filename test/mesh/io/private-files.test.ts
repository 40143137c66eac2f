import { expect, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { MeshError } from "../../../src/base/errors.ts";
import {
  createPrivateFile,
  ensurePrivateFolder,
  readPrivateFile,
  replacePrivateFile,
} from "../../../src/mesh/io/private-files.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { testIf } from "../../support/require.ts";

const BYTES = new TextEncoder().encode("secret");

function codeOf(act: () => unknown): string | null {
  try {
    act();
    return null;
  } catch (error) {
    if (error instanceof MeshError) return error.code;
    throw error;
  }
}

test("createPrivateFile() puts a file where none is, replacePrivateFile() wherever", () => {
  using folder = temporaryFolder();
  const path = folder.join("file");
  expect(readPrivateFile(path, 100)).toBeNull();
  expect(createPrivateFile(path, BYTES)).toBe(true);
  expect(createPrivateFile(path, BYTES.subarray(1))).toBe(false);
  expect(readPrivateFile(path, 100)).toEqual(BYTES);
  replacePrivateFile(path, BYTES.subarray(1));
  expect(readPrivateFile(path, 100)).toEqual(BYTES.subarray(1));
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder.path)).toEqual(["file"]);
});

test("a mask of the process that takes nothing away leaves files and folders private all the same", () => {
  using folder = temporaryFolder();
  const before = process.umask(0);
  try {
    ensurePrivateFolder(folder.join("a/b"));
    replacePrivateFile(folder.join("a/b/file"), BYTES);
  } finally {
    process.umask(before);
  }
  expect(statSync(folder.join("a/b")).mode & 0o777).toBe(0o700);
  expect(statSync(folder.join("a/b/file")).mode & 0o777).toBe(0o600);
});

test("what a writer that was killed left behind goes with the next write, what another one writes stays", () => {
  using folder = temporaryFolder();
  const gone = Bun.spawnSync(["true"]).pid;
  const kept = [`.file.${process.ppid}.x`, ".other.1.x", "file"];
  for (const name of [`.file.${gone}.x`, ...kept.slice(0, 2)]) writeFileSync(folder.join(name), "key");
  replacePrivateFile(folder.join("file"), BYTES);
  expect(readdirSync(folder.path).toSorted()).toEqual(kept.toSorted());
});

test("readPrivateFile() refuses what is exposed, no plain file, or too large", () => {
  using folder = temporaryFolder();
  const path = folder.join("file");
  replacePrivateFile(path, BYTES);
  expect(codeOf(() => readPrivateFile(path, 5))).toBe("mesh.state-corrupt");
  symlinkSync(path, folder.join("link"));
  expect(codeOf(() => readPrivateFile(folder.join("link"), 100))).toBe("mesh.state-exposed");
  mkdirSync(folder.join("folder"));
  expect(codeOf(() => readPrivateFile(folder.join("folder"), 100))).toBe("mesh.state-exposed");
  expect(codeOf(() => ensurePrivateFolder(path))).toBe("mesh.state-exposed");
  chmodSync(path, 0o660);
  expect(codeOf(() => readPrivateFile(path, 100))).toBe("mesh.state-exposed");
});

testIf("root", "readPrivateFile() refuses a file of another user", async () => {
  using folder = temporaryFolder();
  const path = folder.join("file");
  replacePrivateFile(path, BYTES);
  await Bun.spawn(["chown", "12345", path]).exited;
  expect(codeOf(() => readPrivateFile(path, 100))).toBe("mesh.state-exposed");
});
