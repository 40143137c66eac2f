import { describe, expect, test } from "bun:test";
import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { findRepository, git, normaliseRemote, readHead } from "../../src/node/git.ts";
import { testIf } from "../support/require.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { TestRepository } from "../fake/git-repository.ts";

describe("readHead()", () => {
  testIf("git", "readHead() reads a branch, loose and packed, and a detached head", () => {
    using repository = new TestRepository({ a: "1" });
    const sha = repository.git("rev-parse", "HEAD");
    expect(readHead(repository.path)).toEqual({ sha, ref: "refs/heads/main" });
    repository.git("tag", "v1");
    repository.git("pack-refs", "--all");
    expect(readHead(repository.path)).toEqual({ sha, ref: "refs/heads/main" });
    repository.git("checkout", "-q", "--detach");
    expect(readHead(repository.path)).toEqual({ sha, ref: null });
  });

  testIf("git", "readHead() reads the head of a worktree, whose refs lie with the main one", () => {
    using repository = new TestRepository({ a: "1" });
    using other = temporaryFolder();
    repository.git("worktree", "add", "-q", "-b", "feature/x", other.join("tree"));
    expect(readHead(other.join("tree"))).toEqual({
      sha: repository.git("rev-parse", "HEAD"),
      ref: "refs/heads/feature/x",
    });
    repository.git("pack-refs", "--all");
    expect(readHead(other.join("tree"))?.ref).toBe("refs/heads/feature/x");
  });

  test("readHead() answers null without a commit, without a repository, and for what is none", () => {
    using folder = temporaryFolder();
    expect(readHead(folder.path)).toBeNull();
    mkdirSync(folder.join(".git"));
    expect(readHead(folder.path)).toBeNull();
    writeFileSync(folder.join(".git/HEAD"), "ref: refs/heads/main\n");
    expect(readHead(folder.path)).toBeNull();
    writeFileSync(folder.join(".git/HEAD"), "rubbish\n");
    expect(readHead(folder.path)).toBeNull();
  });
});

test("findRepository() finds the folder with .git above, a file or a folder", () => {
  using folder = temporaryFolder();
  const root = realpathSync(folder.path);
  mkdirSync(`${root}/a/b`, { recursive: true });
  writeFileSync(`${root}/a/.git`, "gitdir: elsewhere");
  expect(findRepository(`${root}/a/b`)).toBe(`${root}/a`);
});

describe("git()", () => {
  const signal = new AbortController().signal;

  testIf("git", "git() gives the output, and throws what git said", async () => {
    using repository = new TestRepository({ a: "1" });
    const options = { cwd: repository.path, timeoutMs: 10_000, signal };
    expect(await git(["rev-parse", "HEAD"], options)).toMatch(/^[0-9a-f]{40}\n$/);
    expect(git(["rev-parse", "--verify", "none"], options)).rejects.toThrow("Cannot run git rev-parse none");
  });

  testIf("git", "git() runs no hook of the repository", async () => {
    using repository = new TestRepository({ a: "1" });
    repository.write(".git/hooks/post-checkout", "#!/bin/sh\ntouch hooked\n", 0o755);
    await git(["checkout", "-q", "-b", "other"], { cwd: repository.path, timeoutMs: 10_000, signal });
    expect(await Bun.file(`${repository.path}/hooked`).exists()).toBe(false);
  });
});

test("normaliseRemote() gives one form for all ways to write a remote", () => {
  const forms = [
    "git@github.com:Owner/Repo.git",
    "ssh://git@github.com/owner/repo",
    "https://github.com/owner/repo.git/",
    "https://token@github.com/owner/repo",
  ];
  expect(new Set(forms.map(normaliseRemote))).toEqual(new Set(["https://github.com/owner/repo"]));
});
