import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { FakeBackend } from "../fake/backend.ts";
import { TestRepository } from "../fake/git-repository.ts";
import { NodeFixture, outcomesOf } from "../fake/node-run.ts";
import { testIf } from "../support/require.ts";

testIf("git", "checkoutWork() is a hit as long as the files are what they were", async () => {
  await using fixture = new NodeFixture();
  using repository = new TestRepository({ "a.txt": "1", ".gitignore": "*.log\n" });
  const yaml = "tasks:\n  - { key: code, call: mesh/checkout }\n  - { key: use, use: code, run: use }";
  let seen = "";
  const backend = new FakeBackend({
    use: ({ execution }) => {
      seen = readFileSync(join(execution.layers[0] ?? "", "workspace/a.txt"), "utf8");
    },
  });
  const run = () => fixture.run(yaml, backend, { directory: repository.path });
  expect(outcomesOf(await run())).toEqual({ code: "succeeded", use: "succeeded" });
  repository.write("x.log", "ignored");
  expect(outcomesOf(await run())).toEqual({ code: "cacheHit", use: "cacheHit" });
  repository.write("a.txt", "2");
  expect(outcomesOf(await run())).toEqual({ code: "succeeded", use: "succeeded" });
  expect(seen).toBe("2");
});
