import { expect } from "bun:test";
import { testIf } from "../../support/require.ts";
import { outcomes, Project } from "../harness.ts";

const NEEDS = ["linux", "binary", "user-namespaces", "overlay-in-user-namespace"] as const;

testIf(
  NEEDS,
  "hooks run around the scripts of tasks that use their maker, in its shell, and travel along use",
  async () => {
    using project = new Project();
    const definition = `
tasks:
  - key: hooks
    run: |
      echo 'word() { echo from-function; }; export HOOKED=1; plain=2' > $RWX_HOOKS_BEFORE_TASK/10-before.sh
      echo 'test "$HOOKED$plain" = 12; echo "$(cat count 2>/dev/null)x" > count; echo after-ran' > $RWX_HOOKS_AFTER_TASK/after.sh
      echo 'exit 9' > $RWX_HOOKS_BEFORE_TASK/readme.txt
      test -z "\${HOOKED:-}"
  - key: user
    use: hooks
    run: test "$HOOKED$plain" = 12; test "$(word)" = from-function; test ! -e count; test "$PWD" = /workspace
  - key: user-of-user
    use: user
    run: test "$(cat count)" = x; test "$(word)" = from-function
  - key: by-two-ways
    use: [hooks, user]
    run: test "$(cat count)" = x
  - key: counts-once
    use: by-two-ways
    run: test "$(cat count)" = xx
  - key: exits
    use: hooks
    run: exit 0
  - key: after-exit
    use: exits
    run: test x = "$(cat count)"
  - key: not-used
    after: hooks
    run: test -z "\${HOOKED:-}"
`;
    const first = await project.run(definition);
    expect(outcomes(first.run)).toEqual(Object.fromEntries(first.run.tasks.map(({ key }) => [key, "succeeded"])));
    const second = await project.run(definition);
    expect(outcomes(second.run)).toEqual(Object.fromEntries(first.run.tasks.map(({ key }) => [key, "cacheHit"])));
  },
);

testIf(NEEDS, "hooks count in the keys of tasks that use them, and of no others", async () => {
  using project = new Project();
  const definition = (word: string) => `
tasks:
  - key: hooks
    run: echo 'echo ${word}' > $RWX_HOOKS_BEFORE_TASK/say.sh
  - key: user
    use: hooks
    run: echo user
  - key: other
    after: hooks
    run: echo other
`;
  await project.run(definition("one"));
  expect(outcomes((await project.run(definition("two"))).run)).toEqual({
    hooks: "succeeded",
    user: "succeeded",
    other: "cacheHit",
  });
});

testIf(
  NEEDS,
  "hooks that fail make their task fail; those after a script run although it failed, and keep its exit code",
  async () => {
    using project = new Project();
    const { run, task } = await project.run(`
tasks:
  - key: breaks-before
    run: echo 'false' > $RWX_HOOKS_BEFORE_TASK/x.sh
  - key: never-runs
    use: breaks-before
    run: echo ran > $RWX_VALUES/ran
  - key: breaks-after
    run: echo 'exit 4' > $RWX_HOOKS_AFTER_TASK/x.sh
  - key: undone
    use: breaks-after
    run: "true"
  - key: says
    run: echo 'echo cleaned > $RWX_VALUES/cleaned' > $RWX_HOOKS_AFTER_TASK/x.sh
  - key: fails-itself
    use: [says, breaks-after]
    run: false | cat; exit 7
  - key: trapped
    use: says
    run: trap 'echo trapped > $RWX_VALUES/trapped' EXIT; set -e; (exit 5); echo not here
`);
    expect(outcomes(run)).toMatchObject({
      "never-runs": "failed",
      undone: "failed",
      "fails-itself": "failed",
      trapped: "failed",
    });
    expect(task("never-runs").outputs.values).toEqual({});
    expect(task("undone").exitCode).toBe(4);
    expect(task("fails-itself").outputs.values).toEqual({ cleaned: "cleaned" });
    expect(task("trapped").exitCode).toBe(5);
    expect(task("trapped").outputs.values).toEqual({ cleaned: "cleaned", trapped: "trapped" });
  },
);
