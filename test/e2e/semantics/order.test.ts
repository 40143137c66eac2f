import { expect } from "bun:test";
import { testIf } from "../../support/require.ts";
import { outcomes, Project } from "../harness.ts";

const NEEDS = ["linux", "binary", "user-namespaces", "overlay-in-user-namespace"] as const;

testIf(NEEDS, "if decides by values, init and events, also for packages, and skips what needs the task", async () => {
  using project = new Project();
  const { run, task } = await project.run(
    `
on: { cli: { init: { deploy: "false", count: 3, branch: "" } } }
tasks:
  - key: makes
    run: printf yes > $RWX_VALUES/answer; printf false > $RWX_VALUES/no
  - key: by-value
    if: \${{ tasks.makes.values.answer == 'yes' }}
    run: echo by-value
  - key: by-false-text
    if: \${{ tasks.makes.values.no }}
    run: "true"
  - key: by-init
    if: \${{ init.deploy }}
    run: "true"
  - key: by-count
    if: \${{ init.count >= 3 && !init.branch }}
    run: echo by-count
  - key: by-pattern
    if: \${{ init.branch =~ '^main$' || starts-with(init.deploy, 'fal') }}
    run: echo by-pattern
  - key: package
    if: \${{ init.deploy == 'true' }}
    call: mesh/checkout
  - key: needs-package
    use: package
    run: "true"
  - key: reads-skipped
    run: echo \${{ tasks.by-init.id }}
  - key: after-skipped
    after: by-init
    run: "true"
  - key: plain-false
    if: false
    run: "true"
  - key: ternary
    run: |
      test "\${{ init.count > 2 ? 'many' : 'few' }}" = many
      test '\\\${{ text }}' = '$'"{{ text }}"
`,
    ["--init", "count=4"],
  );
  expect(outcomes(run)).toEqual({
    makes: "succeeded",
    "by-value": "succeeded",
    "by-false-text": "skipped",
    "by-init": "skipped",
    "by-count": "succeeded",
    "by-pattern": "succeeded",
    package: "skipped",
    "needs-package": "skipped",
    "reads-skipped": "skipped",
    "after-skipped": "skipped",
    "plain-false": "skipped",
    ternary: "succeeded",
  });
  expect(run.status.result).toBe("succeeded");
  expect(task("needs-package").messages[0]?.text).toContain("package");
  expect(task("reads-skipped").messages[0]?.text).toContain("by-init");
});

testIf(NEEDS, "after orders by states, brings no files, and runs clean-up after failures and skips", async () => {
  using project = new Project();
  const { run, code, task } = await project.run(`
tasks:
  - key: good
    run: echo g > g
  - key: bad
    run: exit 1
  - key: off
    if: \${{ false }}
    run: "true"
  - key: below-bad
    use: bad
    run: "true"
  - key: no-files
    after: good
    run: test ! -e g
  - key: both
    after: [good, no-files]
    run: echo both
  - key: any
    after: \${{ bad.failed || good.failed }}
    run: echo any
  - key: skipped-too
    after: \${{ off.skipped && below-bad.skipped }}
    run: echo skipped-too
  - key: not-failed
    after: \${{ !bad.failed }}
    run: echo never
  - key: whatever
    after: \${{ bad.succeeded || bad.failed || bad.skipped }}
    run: echo whatever
  - key: plain-list
    after: [good, bad]
    run: echo never
  - key: uses-good-after-bad
    use: good
    after: \${{ bad.failed }}
    run: test -e g
`);
  expect(code).toBe(1);
  expect(outcomes(run)).toEqual({
    good: "succeeded",
    bad: "failed",
    off: "skipped",
    "below-bad": "skipped",
    "no-files": "succeeded",
    both: "succeeded",
    any: "succeeded",
    "skipped-too": "succeeded",
    "not-failed": "skipped",
    whatever: "succeeded",
    "plain-list": "skipped",
    "uses-good-after-bad": "succeeded",
  });
  expect(task("plain-list").messages[0]?.text).toContain("bad");
  expect(task("not-failed").messages[0]?.text).toContain("bad");
});

testIf(NEEDS, "a timeout ends a task, at once or within its grace period, with all it started", async () => {
  using project = new Project();
  const { run, task } = await project.run(`
tasks:
  - key: slow
    timeout: 300ms
    run: sleep 60 & sleep 60
  - key: graceful
    timeout: 300ms
    terminate-grace-period-seconds: 5
    run: |
      trap 'echo cleaned > $RWX_VALUES/cleaned; exit 1' TERM
      sleep 60 & wait
  - key: by-expression
    timeout: \${{ init.limit }}
    run: sleep 60
  - key: in-time
    timeout: 1m
    run: echo fine
on: { cli: { init: { limit: 0.3s } } }
`);
  expect(run.status.result).toBe("failed");
  expect(task("slow").status).toMatchObject({ execution: "aborted", result: "failed", aborted: "timed-out" });
  expect(task("by-expression").status).toMatchObject({ aborted: "timed-out" });
  expect(task("graceful").outputs.values).toEqual({ cleaned: "cleaned" });
  expect(task("in-time").status.result).toBe("succeeded");
  expect(task("slow").messages[0]?.text).toContain("timeout");
});

testIf(
  NEEDS,
  "what no machine here has ends with exit code 3 and its reasons, and what does not need it runs",
  async () => {
    using project = new Project();
    const other = process.arch === "x64" ? "arm64" : "x86_64";
    const { code, run, task } = await project.run(`
defaults: { agent: { cpus: 0.1 } }
tasks:
  - key: os
    run: "true"
    agent: { os: windows }
  - key: arch
    run: "true"
    agent: { arch: ${other} }
  - key: labels
    run: "true"
    agent: { labels: [fast-disk, big] }
  - key: node
    run: "true"
    agent: { node: elsewhere }
  - key: cpus
    run: "true"
    agent: { cpus: 4000 }
  - key: here
    run: "true"
    agent: { os: linux, memory: 32mb }
  - key: needs
    use: os
    run: "true"
`);
    expect(code).toBe(3);
    expect(outcomes(run)).toEqual({
      os: "aborted",
      arch: "aborted",
      labels: "aborted",
      node: "aborted",
      cpus: "aborted",
      here: "succeeded",
      needs: "skipped",
    });
    const said = (key: string) => task(key).messages[0]?.text ?? "";
    expect(said("os")).toContain("windows");
    expect(said("arch")).toContain(other);
    expect(said("labels")).toContain("fast-disk");
    expect(said("node")).toContain("elsewhere");
    expect(said("cpus")).toContain("4000 CPU");
  },
);

testIf(NEEDS, "base host is keyed by its packages, or by its release alone", async () => {
  using project = new Project();
  const definition = (base: string) => `
base: ${base}
tasks:
  - key: a
    run: echo a
`;
  await project.run(definition("{ image: host }"));
  expect(outcomes((await project.run("tasks: [{ key: a, run: echo a }]")).run)).toEqual({ a: "cacheHit" });
  expect(outcomes((await project.run(definition("{ image: host, config: release }"))).run)).toEqual({ a: "succeeded" });
  expect(
    outcomes((await project.run(definition("{ image: 'ubuntu:24.04', config: none }"), ["--base", "host"])).run),
  ).toEqual({ a: "cacheHit" });
  expect(outcomes((await project.run(definition("{ os: ubuntu 22.04, tag: 1.1 }"), ["--base", "host"])).run)).toEqual({
    a: "cacheHit",
  });
});

testIf(NEEDS, "--init takes what the triggers name, with text, spaces and equals signs", async () => {
  using project = new Project();
  const definition = `
on:
  cli: { init: { a: default, b: "\${{ event.git.sha }}" } }
  github: { push: { init: { only-push: x } } }
tasks:
  - key: shows
    run: test "\${{ init.a }}" = "x=y z" && test -z "\${{ init.b }}" && test -z "\${{ init.only-push }}"
`;
  expect((await project.run(definition, ["--init", "a=x=y z"])).code).toBe(0);
  const { code, err } = await project.mesh(["run", "tasks.yml", "--init", "aa=1"]);
  expect(code).toBe(2);
  expect(err).toContain("aa");
});

testIf(NEEDS, "a list in a list, anchors and merge keys are the same definition as written out", async () => {
  using project = new Project();
  await project.run(`
tasks:
  - key: a
    run: |-
      echo one
      echo two
    env: { A: "1", B: "2" }
`);
  const again = await project.run(`
aliases:
  env: &env { A: "1" }
  lines: &lines [echo one]
tasks:
  - - key: a
      run: [*lines, [echo two]]
      env: { <<: *env, B: "2" }
  - [[{ key: b, use: [[a]], run: echo b }]]
`);
  expect(outcomes(again.run)).toEqual({ a: "cacheHit", b: "succeeded" });
});

testIf(NEEDS, "--init takes any name where the definition does not speak of the command line, save slips", async () => {
  using project = new Project();
  expect(
    (await project.run("tasks:\n  - key: a\n    run: test ${{ init.word }} = x\n", ["--init", "word=x"])).code,
  ).toBe(0);
  const definition = `
on: { github: { push: { init: { commit: x } } } }
tasks:
  - key: a
    run: test "\${{ init.word }}\${{ init.commit }}" = x
`;
  expect((await project.run(definition, ["--init", "word=x"])).code).toBe(0);
  expect((await project.mesh(["run", "tasks.yml", "--init", "comit=x"])).code).toBe(2);
});

testIf(NEEDS, "defaults of init may build on those before them", async () => {
  using project = new Project();
  const definition = `
on: { cli: { init: { name: x, image: "registry/\${{ init.name }}" } } }
tasks:
  - key: a
    run: test \${{ init.image }} = registry/y
`;
  expect((await project.run(definition, ["--init", "name=y"])).code).toBe(0);
});
