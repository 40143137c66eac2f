import { expect } from "bun:test";
import { join } from "node:path";
import { testIf } from "../../support/require.ts";
import { outcomes, Project } from "../harness.ts";

const NEEDS = ["linux", "binary", "user-namespaces", "overlay-in-user-namespace", "git"] as const;

/** A git repository in the project's folder. */
class Repository {
  readonly path: string;
  readonly #project: Project;

  constructor(project: Project, name: string) {
    this.#project = project;
    this.path = join(project.directory, name);
    project.write(`${name}/first.txt`, "first\n");
    this.git("init", "-q", "-b", "main");
    this.commit("first");
  }

  git(...args: readonly string[]): string {
    const config = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"];
    const { stdout, stderr, exitCode } = Bun.spawnSync(["git", ...config, ...args], {
      cwd: this.path,
      env: { PATH: process.env["PATH"] ?? "", HOME: this.#project.directory },
    });
    if (exitCode !== 0) throw new Error(`git ${args.join(" ")}: ${stderr.toString()}`);
    return stdout.toString().trim();
  }

  commit(message: string): string {
    this.git("add", "-A");
    this.git("commit", "-q", "-m", message);
    return this.git("rev-parse", "HEAD");
  }
}

testIf(NEEDS, "git/clone takes a branch, a tag, a commit or the head, and says what it took", async () => {
  using project = new Project();
  const repository = new Repository(project, "origin.git");
  const first = repository.git("rev-parse", "HEAD");
  repository.git("tag", "-a", "v1", "-m", "annotated");
  project.write("origin.git/second.txt", "second\n");
  const second = repository.commit("second");
  repository.git("branch", "feature/x", first);
  repository.git("branch", "feature/main", first);
  const url = `file://${repository.path}`;
  const { run } = await project.run(`
on: { cli: { init: { url: ${url}, first: ${first}, second: ${second} } } }
tasks:
  - key: head
    call: git/clone 2.0.7
    with: { repository: "\${{ init.url }}" }
  - key: check-head
    use: head
    run: |
      test "$(cat second.txt)" = second; test ! -e .git
      test "$RWX_GIT_COMMIT_SHA" = \${{ init.second }}; test "$MESH_GIT_COMMIT_SHA" = "$RWX_GIT_COMMIT_SHA"
      test "$RWX_GIT_REPOSITORY_URL" = \${{ init.url }}
  - key: branch
    call: git/clone
    with: { repository: "\${{ init.url }}", ref: main }
  - key: check-branch
    use: branch
    run: test -e second.txt; test "$RWX_GIT_REF_NAME" = main
  - key: slash
    call: git/clone 1.9.0
    with: { repository: "\${{ init.url }}", ref: refs/heads/feature/x }
  - key: check-slash
    use: slash
    run: test ! -e second.txt; test "$RWX_GIT_REF_NAME" = feature/x; test "$RWX_GIT_COMMIT_SHA" = \${{ init.first }}
  - key: tag
    call: git/clone 2.0.7
    with: { repository: "\${{ init.url }}", ref: v1 }
  - key: check-tag
    use: tag
    run: test ! -e second.txt; test "$RWX_GIT_COMMIT_SHA" = \${{ init.first }}
  - key: commit
    call: git/clone 2.0.7
    with: { repository: "\${{ init.url }}", ref: "\${{ init.first }}" }
  - key: check-commit
    use: commit
    run: test ! -e second.txt; test "$(cat first.txt)" = first
  - key: in-folder
    call: git/clone 2.0.7
    with: { repository: "\${{ init.url }}", path: ./sub/folder, preserve-git-dir: true }
  - key: check-folder
    use: in-folder
    run: test -e sub/folder/second.txt; test ! -e second.txt; cd sub/folder; git log --oneline | wc -l | grep -qx 1; git status --porcelain | wc -l | grep -qx 0; test "$(git config remote.origin.url)" = \${{ init.url }}
  - key: full
    call: git/clone 2.0.7
    with: { repository: "\${{ init.url }}", preserve-git-dir: "true", fetch-full-depth: true, ref: main }
  - key: check-full
    use: full
    run: git log --oneline | wc -l | grep -qx 2; test "$(git rev-parse HEAD)" = \${{ init.second }}
  - key: two-clones
    call: git/clone 2.0.7
    use: branch
    with: { repository: "\${{ init.url }}", path: other, ref: v1 }
  - key: check-two
    use: two-clones
    run: test -e second.txt; test ! -e other/second.txt; test -e other/first.txt
`);
  // the head, the branch and the full clone are one commit; so are the other branch, the tag and the commit
  expect(run.tasks.flatMap(({ key, status }) => (status.result === "succeeded" ? [] : [key]))).toEqual([]);
});

testIf(
  NEEDS,
  "git/clone is keyed by commit: a hit says the ref that was asked for, and its tasks are hits",
  async () => {
    using project = new Project();
    const repository = new Repository(project, "origin.git");
    repository.git("branch", "release");
    const definition = (ref: string) => `
tasks:
  - key: code
    call: git/clone 2.0.7
    with: { repository: "file://${repository.path}", ref: ${ref} }
  - key: sees
    use: code
    run: test -e first.txt
  - key: ref
    use: code
    cache: false
    run: printf "$RWX_GIT_REF_NAME" > $RWX_VALUES/name
`;
    await project.run(definition("main"));
    const hit = await project.run(definition("release"));
    expect(outcomes(hit.run)).toEqual({ code: "cacheHit", sees: "cacheHit", ref: "succeeded" });
    expect(hit.task("ref").outputs.values).toEqual({ name: "release" });
    project.write("origin.git/more", "more");
    repository.commit("more");
    expect(outcomes((await project.run(definition("main"))).run)).toEqual({
      code: "succeeded",
      sees: "succeeded",
      ref: "succeeded",
    });
  },
);

testIf(NEEDS, "git/clone brings submodules unless told not to, also relative ones, at any depth", async () => {
  using project = new Project();
  const inner = new Repository(project, "inner.git");
  const middle = new Repository(project, "middle.git");
  middle.git("submodule", "--quiet", "add", "../inner.git", "inner");
  middle.commit("inner");
  const outer = new Repository(project, "outer.git");
  outer.git("submodule", "--quiet", "add", `file://${middle.path}`, "deep/middle");
  outer.commit("middle");
  project.write("inner.git/later", "later");
  inner.commit("not pinned");
  const { code, err, out } = await project.run(`
tasks:
  - key: code
    call: git/clone 2.0.7
    with: { repository: "file://${outer.path}" }
  - key: check
    use: code
    run: test ! -e deep/middle/.git; test -e deep/middle/first.txt; test -e deep/middle/inner/first.txt; test ! -e deep/middle/inner/later
  - key: without
    call: git/clone 2.0.7
    with: { repository: "file://${outer.path}", submodules: false }
  - key: check-without
    use: without
    run: test -e first.txt; test ! -e deep/middle/first.txt
`);
  expect({ code, err: err.slice(-2000), out: code === 0 ? "" : out.slice(-4000) }).toEqual({
    code: 0,
    err: "",
    out: "",
  });
});

testIf(NEEDS, "git/clone says what it cannot find", async () => {
  using project = new Project();
  const repository = new Repository(project, "origin.git");
  const { code, task } = await project.run(`
tasks:
  - key: no-ref
    call: git/clone 2.0.7
    with: { repository: "file://${repository.path}", ref: nowhere }
  - key: no-repository
    call: git/clone 2.0.7
    with: { repository: "file://${project.directory}/nowhere" }
  - key: needs
    use: no-ref
    run: "true"
`);
  expect(code).not.toBe(0);
  expect(JSON.stringify(task("no-ref").messages)).toContain("nowhere");
  expect(task("needs").status.execution).toBe("skipped");
  expect(JSON.stringify(task("needs").messages)).toContain("no-ref");
});

testIf(NEEDS, "mesh/checkout takes the repository around the definition, at any depth, into any folder", async () => {
  using project = new Project();
  const repository = new Repository(project, ".");
  project.write(".gitignore", "out/\n!kept.log\n*.log\n");
  for (const path of ["a.log", "out/o", "src/deep/.gitignore", "src/deep/b", "unadded", ".rwx/other.yml"])
    project.write(path, "x\n");
  project.write("src/deep/.gitignore", "b\n");
  Bun.spawnSync(["ln", "-s", "first.txt", join(project.directory, "link")]);
  Bun.spawnSync(["sh", "-c", "printf '#!/bin/sh\\necho runs\\n' > prog; chmod +x prog"], { cwd: project.directory });
  const sha = repository.git("rev-parse", "HEAD");
  project.write(
    ".mesh/ci.yml",
    `
on: { cli: { init: { sha: "\${{ event.git.sha }}", branch: "\${{ event.git.branch }}", ref: "\${{ event.git.ref }}" } } }
tasks:
  - key: code
    call: mesh/checkout
  - key: check
    use: code
    run: |
      test -e first.txt; test -e unadded; test -e .rwx/other.yml; test ! -e a.log; test ! -e out; test -e src/deep/.gitignore; test ! -e src/deep/b
      test "$(cat link)" = first; test "$(./prog)" = runs; test ! -e .git; test "$(git config --get core.bare || echo none)" = none
      test \${{ init.sha }} = ${sha}; test \${{ init.branch }} = main; test \${{ init.ref }} = refs/heads/main
  - key: all
    call: mesh/checkout
    with: { path: sub/dir, include-ignored: true }
  - key: check-all
    use: all
    run: test -e sub/dir/a.log; test -e sub/dir/out/o; test ! -e first.txt; test ! -e sub/dir/.git
  - key: run-dir
    run: test "$(ls -A \${{ run.dir }})" = ci.yml
`,
  );
  const { code, out, err } = await project.mesh(["run", ".mesh/ci.yml", "--json"]);
  expect({ code, err, out: code === 0 ? "" : out.slice(-4000) }).toEqual({ code: 0, err: "", out: "" });
});
