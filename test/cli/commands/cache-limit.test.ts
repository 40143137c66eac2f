import { expect, test } from "bun:test";
import { FakeArchive } from "../fake/archive.ts";
import { fakeContext, runCommand } from "../fake/context.ts";

test("mesh cache limit shows the limit, sets it and refuses what is no size", async () => {
  const archive = new FakeArchive([]);
  const run = (...args: string[]) => runCommand(fakeContext({ archive }), "cache", "limit", ...args);
  expect((await run()).out).toBe("10 KiB (a tenth of the disk; nobody has set another)\n");
  expect((await run("500mb")).out).toBe("500 MiB\n");
  expect((await run("none", "--json")).out).toBe('{"limitBytes":null,"isSet":true}\n');
  expect((await run("much")).error?.code).toBe("usage.invalid");
});
