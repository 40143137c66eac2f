import { expect, test } from "bun:test";
import { fakeContext, runCommand } from "../fake/context.ts";

test("mesh cache stats shows counts and sizes", async () => {
  const said = await runCommand(fakeContext(), "cache");
  expect(said.out.split("\n")).toEqual([
    "         COUNT    SIZE",
    "results  1,200",
    "runs         3",
    "layers       2   2 KiB",
    "blobs        0     0 B",
    "index            4 KiB",
    "in all           6 KiB",
    "limit           10 KiB",
    "",
    "in /m",
    "",
  ]);
});
