import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { isWritable, readText, readTextOrNull } from "../../../src/base/io/text-files.ts";
import { temporaryFolder } from "../../support/temporary.ts";

test("readText() and readTextOrNull() tell an empty file from none only where that is asked", () => {
  using folder = temporaryFolder();
  writeFileSync(folder.join("full"), "text\n");
  writeFileSync(folder.join("empty"), "");
  const paths = ["full", "empty", "absent", "full/below"].map((name) => folder.join(name));
  expect(paths.map(readTextOrNull)).toEqual(["text\n", "", null, null]);
  expect(paths.map(readText)).toEqual(["text\n", "", "", ""]);
});

test("isWritable() is false for what is not there", () => {
  using folder = temporaryFolder();
  expect([isWritable(folder.path), isWritable(folder.join("absent"))]).toEqual([true, false]);
});
