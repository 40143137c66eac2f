import { expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sweepStaleFolders, temporaryFolder } from "./temporary.ts";

/** Above the kernel's largest pid, so that nobody has it. */
const DEAD_PID = 4_194_305;

test("temporaryFolder() goes with its scope, folders without permissions included", () => {
  let path: string;
  {
    using folder = temporaryFolder();
    path = folder.path;
    mkdirSync(folder.join("work", "inner"), { recursive: true });
    writeFileSync(folder.join("work", "inner", "file"), "x");
    chmodSync(folder.join("work", "inner"), 0o000);
    chmodSync(folder.join("work"), 0o000);
  }
  expect(existsSync(path)).toBe(false);
});

test("sweepStaleFolders() removes what dead test processes left, and nothing else", () => {
  using root = temporaryFolder();
  const stale = `mesh-test-${DEAD_PID}-a`;
  const others = [`mesh-test-${process.pid}-b`, "mesh-test-c", "else"];
  for (const name of [stale, ...others]) mkdirSync(join(root.path, name));
  const twoHoursMs = 7_200_000;
  expect(sweepStaleFolders(root.path, Date.now())).toEqual([]);
  expect(sweepStaleFolders(root.path, Date.now() + twoHoursMs)).toEqual([stale]);
  expect(readdirSync(root.path).toSorted()).toEqual(others.toSorted());
});
