import { expect } from "bun:test";
import { testIf } from "../../support/require.ts";
import { outcomes, Project } from "../harness.ts";

const NEEDS = ["linux", "binary", "user-namespaces", "overlay-in-user-namespace"] as const;

testIf(
  NEEDS,
  "the key is the resolved definition: not the task's name, its timeout, its order, or the run",
  async () => {
    using project = new Project();
    await project.run(`
on: { cli: { init: { a: x, unused: 1 } } }
tasks:
  - key: one
    run: echo \${{ init.a }}
    timeout: 1m
`);
    const again = await project.run(
      `
on: { cli: { init: { other: x, unused: 2 } }, github: { push: { init: { other: y } } } }
tasks:
  - key: before
    run: "true"
  - key: renamed
    after: [before]
    if: \${{ init.other == 'x' }}
    run: echo \${{ init.other }}
    timeout: 2m
    terminate-grace-period-seconds: 1
    retry: 2
`,
    );
    expect(outcomes(again.run)).toEqual({ before: "succeeded", renamed: "cacheHit" });
  },
);

testIf(NEEDS, "what the agent asks for counts, where the definition says it", async () => {
  using project = new Project();
  const definition = (agent: string) => `
tasks:
  - key: a
    run: echo a
    agent: ${agent}
`;
  await project.run(definition("{ cpus: 1, memory: 64mb }"));
  expect(outcomes((await project.run(definition("{ cpus: 1, memory: 64mb }"))).run)).toEqual({ a: "cacheHit" });
  expect(outcomes((await project.run(definition("{ cpus: 1, memory: 65mb }"))).run)).toEqual({ a: "succeeded" });
  expect(outcomes((await project.run(definition("{ cpus: 0.5, memory: 64mb }"))).run)).toEqual({ a: "succeeded" });
});

testIf(NEEDS, "the same key twice in a run runs once, also far apart, and each has all of it", async () => {
  using project = new Project();
  const { code, run } = await project.run(`
tasks:
  - key: one
    run: sleep 0.1; date +%s%N > $RWX_VALUES/at; cp $RWX_VALUES/at file
  - key: two
    run: sleep 0.1; date +%s%N > $RWX_VALUES/at; cp $RWX_VALUES/at file
  - key: late
    after: [one]
    run: sleep 0.1; date +%s%N > $RWX_VALUES/at; cp $RWX_VALUES/at file
  - key: same
    use: late
    run: |
      test "\${{ tasks.one.values.at }}" = "\${{ tasks.two.values.at }}"
      test "\${{ tasks.one.values.at }}" = "\${{ tasks.late.values.at }}"
      test "$(cat file)" = "\${{ tasks.one.values.at }}"
`);
  expect({ code, ran: run.tasks.filter(({ status }) => status.finished === "executed").length }).toEqual({
    code: 0,
    ran: 2,
  });
});

testIf(
  NEEDS,
  "cache: false is for one task: what builds on the same bytes is a hit, and its twin may be one",
  async () => {
    using project = new Project();
    const definition = (twin: string) => `
tasks:
  - key: never
    cache: false
    run: echo same > f; date +%s%N > $RWX_VALUES/at
  - key: never-by-expression
    cache: \${{ 1 == 2 }}
    run: echo never
  - key: never-by-map
    cache: { enabled: false }
    run: echo never-by-map
  - key: below
    use: never
    run: cat f
  - key: reads
    run: test -n "\${{ tasks.never.values.at }}"
${twin}`;
    await project.run(definition(""));
    expect(outcomes((await project.run(definition(""))).run)).toEqual({
      never: "succeeded",
      "never-by-expression": "succeeded",
      "never-by-map": "succeeded",
      below: "cacheHit",
      reads: "succeeded",
    });
    const twin = "  - key: twin\n    run: echo never\n";
    expect((await project.run(definition(twin))).task("twin").status.finished).toBe("executed");
    expect((await project.run(definition(twin))).task("twin").status.finished).toBe("cacheHit");
  },
);

testIf(NEEDS, "a ttl bounds what is stored and what is taken", async () => {
  using project = new Project();
  const definition = (cache: string) => `
on: { cli: { init: { ttl: 1 second } } }
tasks:
  - key: a
    run: echo a
    cache: ${cache}
`;
  await project.run(definition("true"));
  expect(outcomes((await project.run(definition("{ ttl: 1 day }"))).run)).toEqual({ a: "cacheHit" });
  await Bun.sleep(1_050);
  expect(outcomes((await project.run(definition("{ ttl: 1 second }"))).run)).toEqual({ a: "succeeded" });
  expect(outcomes((await project.run(definition("{ enabled: true, ttl: '${{ init.ttl }}' }"))).run)).toEqual({
    a: "cacheHit",
  });
});

testIf(NEEDS, "content, not lineage: permissions and links count, times and who made it do not", async () => {
  using project = new Project();
  const definition = (script: string) => `
tasks:
  - key: makes
    run: ${script}
  - key: uses
    use: makes
    run: ls -A
`;
  await project.run(definition("echo 1 > f"));
  const hit = async (script: string) => (await project.run(definition(script))).task("uses").status.finished;
  expect(await hit("echo 1 > f; touch -d 2020-01-01 f")).toBe("cacheHit");
  expect(await hit("echo 2 > f; echo 1 > f; mkdir d; rmdir d")).toBe("cacheHit");
  expect(await hit("umask 022; echo 1 > g; mv g f")).toBe("cacheHit");
  expect(await hit("echo 1 > f; chmod 600 f")).toBe("executed");
  expect(await hit("echo 1 > g; ln -s g f")).toBe("executed");
  expect(await hit("echo 1 > f; mkdir d")).toBe("executed");
  expect(await hit("echo 1 > f; echo 1 > /opt/f")).toBe("executed");
  expect(await hit("echo 1 > f; echo 1 > ~/f")).toBe("executed");
});

testIf(NEEDS, "a failure is served to nobody, and a retry has another attempt", async () => {
  using project = new Project();
  const definition = `
tasks:
  - key: fails
    run: exit 3
  - key: second-time
    retry: 2
    run: echo dirt > dirt; test ! -e more; test "$RWX_TASK_ATTEMPT_NUMBER" = 2 || { echo x > more; exit 1; }; echo "$RWX_TASK_ATTEMPT_NUMBER" > $RWX_VALUES/attempt
  - key: too-often
    retry: { count: 1 }
    run: exit 1
  - key: below
    use: second-time
    run: test -e dirt; test ! -e more
`;
  const first = await project.run(definition);
  expect(outcomes(first.run)).toEqual({
    fails: "failed",
    "second-time": "succeeded",
    "too-often": "failed",
    below: "succeeded",
  });
  expect(first.task("second-time").outputs.values).toEqual({ attempt: "2" });
  expect(outcomes((await project.run(definition)).run)).toEqual({
    fails: "failed",
    "second-time": "cacheHit",
    "too-often": "failed",
    below: "cacheHit",
  });
});
