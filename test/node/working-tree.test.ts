import { describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { checkoutRoot, listWorkingTree } from "../../src/node/working-tree.ts";
import { TestRepository } from "../fake/git-repository.ts";
import { testIf } from "../support/require.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temporary.ts";

const { signal } = new AbortController();
const listed = async (root: string, includeIgnored = false) =>
  (await listWorkingTree(root, includeIgnored, signal)).files;

function folderWith(files: Readonly<Record<string, string>>): TemporaryFolder {
  const folder = temporaryFolder();
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(folder.join(path)), { recursive: true });
    writeFileSync(folder.join(path), content);
  }
  return folder;
}

const FILES = {
  ".gitignore": "*.log\n/build/\n!keep.log\n",
  "a.txt": "",
  "x.log": "",
  "keep.log": "",
  "build/out": "",
  "sub/.gitignore": "!deep.log\nlocal\n",
  "sub/deep.log": "",
  "sub/local": "",
  "sub/build/in": "",
};
const KEPT = [".gitignore", "a.txt", "keep.log", "sub/.gitignore", "sub/build/in", "sub/deep.log"];

describe("listWorkingTree()", () => {
  testIf(
    "git",
    "listWorkingTree() takes what git tracks and what it would add, ignored files by nested rules not",
    async () => {
      using repository = new TestRepository({ "a.txt": "" });
      for (const [path, content] of Object.entries(FILES)) repository.write(path, content);
      expect(await listed(repository.path)).toEqual(KEPT);
    },
  );

  test("listWorkingTree() reads the same rules itself where there is no repository", async () => {
    using folder = folderWith(FILES);
    expect(await listed(folder.path)).toEqual(KEPT);
  });

  test("listWorkingTree() takes all but .git when ignored files are wanted", async () => {
    using folder = folderWith({ ...FILES, ".git/HEAD": "x" });
    expect(await listed(folder.path, true)).toEqual(Object.keys(FILES).toSorted());
  });

  testIf(
    "git",
    "listWorkingTree() takes a tracked file although it is ignored, and none that was deleted",
    async () => {
      using repository = new TestRepository({ "a.txt": "", "gone.txt": "", "x.log": "" });
      repository.write(".gitignore", "*.log\n");
      await Bun.file(`${repository.path}/gone.txt`).delete();
      expect(await listed(repository.path)).toEqual([".gitignore", "a.txt", "x.log"]);
    },
  );

  testIf("git", "listWorkingTree() takes the files of a submodule", async () => {
    using inner = new TestRepository({ "lib.c": "", ".gitignore": "*.o\n" });
    using repository = new TestRepository({ "a.txt": "" });
    repository.git("submodule", "add", "-q", inner.path, "vendor/lib");
    repository.write("vendor/lib/x.o", "");
    expect(await listed(repository.path)).toEqual([
      ".gitmodules",
      "a.txt",
      "vendor/lib/.gitignore",
      "vendor/lib/lib.c",
    ]);
  });

  test("listWorkingTree() takes links as they are, and names with newlines", async () => {
    using folder = folderWith({ "a\nb": "" });
    symlinkSync("/etc", folder.join("link"));
    symlinkSync("loop", folder.join("loop"));
    expect(await listed(folder.path)).toEqual(["a\nb", "link", "loop"]);
  });
});

test("checkoutRoot() is the repository, else the folder around .mesh or .rwx", () => {
  using folder = folderWith({ "p/.rwx/ci.yml": "", "q/tasks.yml": "", "r/.git/HEAD": "", "r/s/.mesh/ci.yml": "" });
  expect(["p/.rwx", "q", "r/s/.mesh"].map((path) => checkoutRoot(folder.join(path)))).toEqual(
    ["p", "q", "r"].map((path) => folder.join(path)),
  );
});
