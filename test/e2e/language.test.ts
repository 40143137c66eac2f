import { expect } from "bun:test";
import { testIf } from "../support/require.ts";
import { Project, outcomes } from "./harness.ts";

const NEEDS = ["linux", "binary", "user-namespaces", "overlay-in-user-namespace"] as const;

testIf(NEEDS, "mesh run hands files, values, variables and artifacts from task to task", async () => {
  using project = new Project();
  const { code, err, task } = await project.run(`
tasks:
  - key: make
    run: |
      echo content > file.txt
      mkdir -p "$MESH_VALUES" && printf hello > "$RWX_VALUES/word"
      printf "from make" > "$MESH_ENV/NOTE"
      printf artifact > "$MINT_ARTIFACTS/gift.txt"
      echo https://example.org > "$MESH_LINKS/site"
    outputs:
      artifacts:
        - key: declared
          path: file.txt
  - key: take
    use: make
    run: |
      test "$(cat file.txt)" = content
      test "$NOTE" = "from make"
      test "\${{ tasks.make.values.word }}" = hello
      test "$(cat "\${{ tasks.make.artifacts.declared }}")" = content
      test "$(cat "\${{ tasks.make.artifacts['gift.txt'] }}")" = artifact
      test "$PWD" = /workspace
`);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(task("make").outputs.values).toEqual({ word: "hello" });
  expect(task("make").outputs.links).toEqual({ site: "https://example.org" });
  expect(task("make").outputs.artifacts.map(({ key }) => key).sort()).toEqual(["declared", "gift.txt"]);
});

testIf(NEEDS, "mesh run answers unchanged tasks from the cache, and runs what a change reaches", async () => {
  using project = new Project();
  const definition = (word: string) => `
tasks:
  - key: a
    run: echo ${word} > a.txt; echo same > b.txt
  - key: reads-a
    use: a
    filter: [a.txt]
    run: cat a.txt
  - key: reads-b
    use: a
    filter: [b.txt]
    run: cat b.txt; test ! -e a.txt
`;
  expect(outcomes((await project.run(definition("one"))).run)).toEqual({ a: "succeeded", "reads-a": "succeeded", "reads-b": "succeeded" });
  expect(outcomes((await project.run(definition("one"))).run)).toEqual({ a: "cacheHit", "reads-a": "cacheHit", "reads-b": "cacheHit" });
  expect(outcomes((await project.run(definition("two"))).run)).toEqual({ a: "succeeded", "reads-a": "succeeded", "reads-b": "cacheHit" });
});

testIf(NEEDS, "mesh run keys on content, not on lineage", async () => {
  using project = new Project();
  const definition = (remark: string) => `
tasks:
  - key: a
    run: |
      # ${remark}
      echo same > a.txt
  - key: b
    use: a
    run: cat a.txt
`;
  await project.run(definition("first"));
  expect(outcomes((await project.run(definition("second"))).run)).toEqual({ a: "succeeded", b: "cacheHit" });
});

testIf(NEEDS, "mesh run brings back files that a filter hid for one task only", async () => {
  using project = new Project();
  const { code, run } = await project.run(`
tasks:
  - key: code
    run: mkdir -p src && echo x > src/x && echo y > package.json
  - key: install
    use: code
    filter: [package.json]
    run: test ! -e src && mkdir -p node_modules src && echo dep > node_modules/dep && echo new > src/new
  - key: build
    use: install
    run: cat src/x src/new node_modules/dep package.json
`);
  expect({ code, outcomes: outcomes(run) }).toEqual({ code: 0, outcomes: { code: "succeeded", install: "succeeded", build: "succeeded" } });
});

testIf(NEEDS, "mesh run lets later layers win, and carries removals", async () => {
  using project = new Project();
  const { code } = await project.run(`
tasks:
  - key: one
    run: echo one > file.txt; echo keep > keep.txt; mkdir d; echo x > d/x
  - key: two
    run: echo two > file.txt
  - key: removes
    use: one
    run: rm keep.txt; rm -r d
  - key: order
    use: [two, one]
    run: test "$(cat file.txt)" = one
  - key: other-order
    use: [one, two]
    run: test "$(cat file.txt)" = two
  - key: gone
    use: removes
    run: test ! -e keep.txt && test ! -e d && test "$(cat file.txt)" = one
`);
  expect(code).toBe(0);
});

testIf(NEEDS, "mesh run obeys if, after and their conditions, and says what was skipped and why", async () => {
  using project = new Project();
  const { code, run, task } = await project.run(`
tasks:
  - key: fails
    run: exit 7
  - key: fine
    run: "true"
  - key: off
    if: \${{ 1 == 2 }}
    run: "true"
  - key: needs-off
    use: off
    run: "true"
  - key: uses-failed
    use: fails
    run: "true"
  - key: after-plain
    after: fails
    run: "true"
  - key: after-failure
    after: \${{ fails.failed && fine.succeeded }}
    run: echo after the failure
  - key: after-nothing
    after: \${{ fails.succeeded }}
    run: "true"
`);
  expect(code).toBe(1);
  expect(outcomes(run)).toEqual({
    fails: "failed",
    fine: "succeeded",
    off: "skipped",
    "needs-off": "skipped",
    "uses-failed": "skipped",
    "after-plain": "skipped",
    "after-failure": "succeeded",
    "after-nothing": "skipped",
  });
  expect(task("fails").exitCode).toBe(7);
  expect(run.status).toEqual({ execution: "finished", result: "failed" });
});

testIf(NEEDS, "mesh run stops all at the first failure under --fail-fast, and runs only what --target needs", async () => {
  using project = new Project();
  const definition = `
tasks:
  - key: fails
    run: exit 1
  - key: slow
    run: sleep 30
  - key: later
    use: slow
    run: "true"
`;
  const fast = await project.run(definition, ["--fail-fast"]);
  expect(fast.code).toBe(1);
  expect(outcomes(fast.run)).toEqual({ fails: "failed", slow: "aborted", later: "skipped" });
  const target = await project.run(definition, ["--target", "fails"]);
  expect(target.run.tasks.map(({ key }) => key)).toEqual(["fails"]);
});

testIf(NEEDS, "mesh run takes init values, success exit codes, env with excluded parts, and a base PATH", async () => {
  using project = new Project();
  const definition = (noise: string) => `
on:
  cli:
    init:
      who: world
tasks:
  - key: greet
    run: test "$GREETING" = "hello \${{ init.who }}"; exit 3
    env:
      GREETING: hello \${{ init.who }}
      NOISE:
        value: "${noise}"
        cache-key: excluded
    outputs:
      execution-status:
        success-exit-codes: [0, 3]
  - key: tool
    run: |
      mkdir -p /opt/tool/bin && printf '#!/bin/sh\\necho tool ran\\n' > /opt/tool/bin/the-tool && chmod +x /opt/tool/bin/the-tool
      echo /opt/tool/bin > "$MESH_ENV/PATH"
  - key: uses-tool
    use: tool
    run: the-tool && ls / > /dev/null
`;
  const first = await project.run(definition("1"), ["--init", "who=mesh"]);
  expect({ code: first.code, err: first.err }).toEqual({ code: 0, err: "" });
  expect(first.task("greet").exitCode).toBe(3);
  const again = await project.run(definition("2"), ["--init", "who=mesh"]);
  expect(again.task("greet").status.finished).toBe("cacheHit");
  const other = await project.run(definition("2"), ["--init", "who=you"]);
  expect(other.task("greet").status.finished).toBe("executed");
  expect((await project.mesh(["run", "tasks.yml", "--init", "whoo=x"])).code).toBe(2);
});

testIf(NEEDS, "mesh run checks out the working tree without what .gitignore names, and hits while it is unchanged", async () => {
  using project = new Project();
  project.write("src/main.txt", "main");
  project.write("ignored.log", "noise");
  project.write(".gitignore", "*.log\ntasks.yml\n");
  const definition = `
tasks:
  - key: code
    call: mesh/checkout
  - key: look
    use: code
    run: test "$(cat src/main.txt)" = main && test ! -e ignored.log
`;
  expect((await project.run(definition)).code).toBe(0);
  project.write("ignored.log", "more noise");
  expect(outcomes((await project.run(definition)).run)).toEqual({ code: "cacheHit", look: "cacheHit" });
  project.write("src/main.txt", "changed");
  const changed = await project.run(definition);
  expect(outcomes(changed.run)).toEqual({ code: "succeeded", look: "failed" });
});

testIf([...NEEDS, "git"], "mesh run clones from the local repository when its remote is asked for", async () => {
  using project = new Project();
  project.write("hello.txt", "hello");
  const git = (...args: string[]) => Bun.spawnSync(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", ...args], { cwd: project.directory, env: { PATH: process.env["PATH"] ?? "", HOME: project.directory } });
  git("init", "-q", "-b", "main");
  git("remote", "add", "origin", "https://example.org/team/project.git");
  git("add", "hello.txt");
  git("commit", "-q", "-m", "first");
  const { code, err, task } = await project.run(`
on:
  cli:
    init:
      sha: \${{ event.git.sha }}
tasks:
  - key: code
    call: git/clone 2.0.7
    with:
      repository: git@example.org:team/project.git
      ref: \${{ init.sha }}
  - key: look
    use: code
    run: test "$(cat hello.txt)" = hello && test -n "$RWX_GIT_COMMIT_SHA" && printf "$MESH_GIT_COMMIT_SHA" > "$MESH_VALUES/sha"
`);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(task("look").outputs.values["sha"]).toMatch(/^[0-9a-f]{40}$/);
});

testIf(NEEDS, "mesh run serves no failure and nothing of cache: false from the cache, and honours a ttl", async () => {
  using project = new Project();
  const definition = `
tasks:
  - key: fails
    run: exit 1
  - key: never
    cache: false
    run: "true"
  - key: reads-never
    use: never
    run: "true"
  - key: short
    cache:
      ttl: 1 second
    run: "true"
`;
  await project.run(definition);
  await Bun.sleep(1_100);
  const again = await project.run(definition);
  expect(outcomes(again.run)).toEqual({ fails: "failed", never: "succeeded", "reads-never": "cacheHit", short: "succeeded" });
});

testIf(NEEDS, "mesh run leaves pruned and dropped output behind", async () => {
  using project = new Project();
  const { code } = await project.run(`
tasks:
  - key: makes
    run: mkdir -p dist tmp && echo keep > dist/keep && echo drop > tmp/drop
    outputs:
      filesystem:
        filter: [dist]
  - key: makes-nothing
    run: echo x > x
    outputs:
      filesystem: false
  - key: looks
    use: [makes, makes-nothing]
    run: test -e dist/keep && test ! -e tmp/drop && test ! -e x
`);
  expect(code).toBe(0);
});

testIf(NEEDS, "mesh run says before anything runs what it does not execute", async () => {
  using project = new Project();
  project.write("tasks.yml", "base:\n  image: ubuntu:24.04\ntasks:\n  - key: a\n    run: touch /tmp/a\n    parallel: 2\n");
  const { code, err } = await project.mesh(["run", "tasks.yml"]);
  expect(code).toBe(2);
  expect(err).toContain("tasks.yml:1");
  expect(err).toContain("tasks.yml:6:5: task a: parallel");
  expect(err).toContain("--base host");
});
