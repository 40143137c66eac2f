import { expect, test } from "bun:test";
import { FakeArchive } from "../fake/archive.ts";
import { fakeContext, runCommand } from "../fake/context.ts";

test("mesh cache verify exits with 5 when something is damaged", async () => {
  const archive = new FakeArchive([]);
  expect(await runCommand(fakeContext({ archive }), "cache", "verify")).toMatchObject({
    code: 0,
    out: "✓ Everything in the cache matches its hashes.\n",
  });
  archive.damages = [{ kind: "blob", name: "sha256:1", problem: "its bytes have another digest" }];
  const said = await runCommand(fakeContext({ archive }), "cache", "verify");
  expect([said.code, said.out.split("\n")[0]]).toEqual([5, "✗ blob sha256:1: its bytes have another digest"]);
});
