import { expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { resetWorkDirectory } from "../../../src/exec/io/work-directory.ts";
import { temporaryFolder } from "../../support/temporary.ts";

test("resetWorkDirectory() takes the mark of a volatile mount from the root's and from every part's", async () => {
  using folder = temporaryFolder();
  const marks = ["work", "part-etc/work", "part-usr-lib/work"].map((inner) =>
    folder.join(inner, "incompat", "volatile"),
  );
  for (const mark of marks) {
    mkdirSync(mark, { recursive: true });
    writeFileSync(`${mark}/dirty`, "");
  }
  expect(await resetWorkDirectory(folder.path)).toBe(true);
  expect(marks.map((mark) => existsSync(mark))).toEqual([false, false, false]);
});

test("resetWorkDirectory() refuses what holds more than the mark, and takes what was never mounted over", async () => {
  using folder = temporaryFolder();
  expect(await resetWorkDirectory(folder.path)).toBe(true);
  const mark = folder.join("part-etc", "work", "incompat", "volatile");
  mkdirSync(mark, { recursive: true });
  for (const name of ["dirty", "other"]) writeFileSync(`${mark}/${name}`, "");
  expect(await resetWorkDirectory(folder.path)).toBe(false);
});
