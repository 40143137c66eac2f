import { expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { resetWorkDirectory } from "../../../src/exec/io/work-directory.ts";
import { temporaryFolder } from "../../support/temporary.ts";

test("resetWorkDirectory() takes the mark of a volatile mount off every overlay of a context, and leaves the rest", async () => {
  using folder = temporaryFolder();
  for (const part of ["work", "part-etc", "part-var-lib"]) {
    const inner = part === "work" ? "work" : `${part}/work`;
    mkdirSync(folder.join(inner, "incompat/volatile"), { recursive: true });
    writeFileSync(folder.join(inner, "incompat/volatile/dirty"), "");
  }
  expect(await resetWorkDirectory(folder.path)).toBe(true);
  expect(existsSync(folder.join("work/incompat"))).toBe(false);
  expect(existsSync(folder.join("part-etc/work/incompat"))).toBe(false);
  expect(existsSync(folder.join("part-var-lib/work"))).toBe(true);
  expect(await resetWorkDirectory(folder.path)).toBe(true);
});
