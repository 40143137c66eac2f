import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import type { Artifact } from "../../src/store/result.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { FakeArchive } from "./fake/archive.ts";
import { fakeContext, runCommand } from "./fake/context.ts";
import { STATUS, runJson, taskJson } from "./fake/run-json.ts";

const BINARY: Artifact = {
  key: "binary",
  digest: "sha256:0" as Artifact["digest"],
  kind: "file",
  name: "app",
  sizeBytes: 3,
  mode: 0o755,
};

function archiveWith(path: string): FakeArchive {
  const outputs = {
    values: {},
    artifacts: [{ key: "binary", digest: "sha256:0", sizeBytes: 3, path: "app" }],
    links: {},
    testResults: [],
    problems: [],
  };
  const archive = new FakeArchive([
    runJson([taskJson("build", STATUS.succeeded, { outputs }), taskJson("other", STATUS.hit)]),
  ]);
  archive.artifactsOf.set("build", [BINARY]);
  archive.paths.set("binary", path);
  return archive;
}

describe("mesh artifacts", () => {
  test("lists what a run left", async () => {
    const said = await runCommand(fakeContext({ archive: archiveWith("") }), "artifacts", "list");
    expect(said.out).toBe("TASK   KEY     NAME  SIZE\nbuild  binary  app    3 B\n");
    expect((await runCommand(fakeContext({ archive: archiveWith("") }), "artifacts", "list", "other")).out).toBe(
      "No artifacts in run 01jb000000.\n",
    );
  });

  test("downloads all below task and key, and one to where it was asked", async () => {
    using folder = temporaryFolder();
    writeFileSync(folder.join("blob"), "abc");
    const run = (...argv: string[]) =>
      runCommand(
        fakeContext({ archive: archiveWith(folder.join("blob")), cwd: folder.path }),
        "artifacts",
        "download",
        ...argv,
      );
    expect((await run()).out).toBe("build/binary/app  1 file, 3 B\n");
    expect((await run("01jb", "build", "-o", "out")).out).toBe("out/binary/app  1 file, 3 B\n");
    expect((await run("build", "binary", "--output", "bin")).out).toBe("bin/app  1 file, 3 B\n");
    expect(readFileSync(folder.join("bin/app"), "utf8")).toBe("abc");
    expect((await run("build", "binary", "--output", "bin")).error?.message).toContain("it exists");
    expect((await run("build", "binary", "--output", "bin", "--force")).code).toBe(0);
  });

  test("suggests the key that was meant", async () => {
    const said = await runCommand(
      fakeContext({ archive: archiveWith("") }),
      "artifacts",
      "download",
      "build",
      "binray",
    );
    expect(said.error?.toJSON()).toMatchObject({ code: "artifact.not-found", hint: "Did you mean binary?" });
  });
});
