import { describe, expect } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { FakeBackend } from "../fake/backend.ts";
import { TestRepository } from "../fake/git-repository.ts";
import { NodeFixture, outcomesOf, taskOf } from "../fake/node-run.ts";
import { testIf } from "../support/require.ts";

const REMOTE = "git@example.org:team/project.git";
const definition = (ref: string, more = "") => `
tasks:
  - { key: code, call: git/clone 2.0.7, with: { repository: "${REMOTE}", ref: "${ref}"${more} } }
  - { key: look, use: code, run: look }`;

function looking() {
  const seen: { files: readonly string[]; sha: string | undefined } = { files: [], sha: undefined };
  const backend = new FakeBackend({
    look: ({ execution }) => {
      seen.files = readdirSync(join(execution.layers[0] ?? "", "workspace")).toSorted();
      seen.sha = execution.env["MESH_GIT_COMMIT_SHA"];
    },
  });
  return { seen, backend };
}

describe("git/clone", () => {
  testIf("git", "the local repository serves a clone of its own remote, and the commit is the key", async () => {
    await using fixture = new NodeFixture();
    using repository = new TestRepository({ "a.txt": "1" });
    repository.git("remote", "add", "origin", "https://example.org/team/project");
    const { seen, backend } = looking();
    const run = (ref: string) => fixture.run(definition(ref), backend, { directory: repository.path });
    expect(outcomesOf(await run("main"))).toEqual({ code: "succeeded", look: "succeeded" });
    const sha = repository.git("rev-parse", "HEAD");
    expect(seen).toEqual({ files: ["a.txt"], sha });
    repository.git("tag", "v1");
    repository.write("uncommitted.txt", "");
    expect(outcomesOf(await run("v1"))).toEqual({ code: "cacheHit", look: "cacheHit" });
    repository.commit("second");
    expect(outcomesOf(await run("main"))).toEqual({ code: "succeeded", look: "succeeded" });
    expect(seen.files).toEqual(["a.txt", "uncommitted.txt"]);
  });

  testIf("git", "a ref that is not there, and a path out of the workspace, refuse the task", async () => {
    await using fixture = new NodeFixture();
    using repository = new TestRepository({ "a.txt": "1" });
    repository.git("remote", "add", "origin", REMOTE);
    const run = (yaml: string) => fixture.run(yaml, new FakeBackend(), { directory: repository.path });
    const missing = await run(definition("none"));
    expect(outcomesOf(missing)).toEqual({ code: "aborted", look: "skipped" });
    expect(taskOf(missing, "code").messages[0]?.text).toContain('Cannot find "none" in the local repository');
    const outside = await run(definition("main", ", path: ../up"));
    expect(taskOf(outside, "code").messages[0]?.text).toContain("outside the workspace");
  });
});
