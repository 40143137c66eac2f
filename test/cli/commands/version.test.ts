import { expect, test } from "bun:test";
import { fakeContext, runCommand } from "../fake/context.ts";

test("mesh version --json says what a bug report needs", async () => {
  const said = await runCommand(fakeContext(), "version", "--json");
  expect(Object.keys(JSON.parse(said.out) as object)).toEqual(["version", "commit", "runtime", "os", "arch"]);
});
