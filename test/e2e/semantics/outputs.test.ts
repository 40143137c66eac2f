import { expect } from "bun:test";
import { testIf } from "../../support/require.ts";
import { outcomes, Project } from "../harness.ts";

const NEEDS = ["linux", "binary", "user-namespaces", "overlay-in-user-namespace"] as const;

/** Keys of the tasks that ran, when the run succeeded. */
async function ran(project: Project, definition: string, args: readonly string[] = []): Promise<readonly string[]> {
  const { run, code, out, err } = await project.run(definition, args);
  if (code !== 0) throw new Error(`${JSON.stringify(outcomes(run))}\n${out.slice(-3000)}\n${err.slice(-3000)}`);
  return run.tasks.filter(({ status }) => status.finished === "executed").map(({ key }) => key);
}

testIf(NEEDS, "a hit replays values, variables, artifacts, links and files", async () => {
  using project = new Project();
  const definition = (remark: string) => `
tasks:
  - key: makes
    run: |
      date +%s%N > stamp; cp stamp $RWX_VALUES/stamp; cp stamp $RWX_ENV/STAMP; cp stamp $RWX_CACHE_KEY_EXCLUDED_ENV/QUIET
      mkdir tree; cp stamp tree/; ln -s stamp tree/link; cp stamp $RWX_ARTIFACTS/file; cp -r tree $RWX_ARTIFACTS/dir
      echo https://example.org/x > $RWX_LINKS/site; ln stamp hard
    outputs: { artifacts: [{ key: declared, path: tree }, { key: absolute, path: /workspace/stamp }] }
  - key: compares
    use: makes
    cache: false
    run: |
      # ${remark}
      test "$(cat stamp)" = "$STAMP"; test "$QUIET" = "$STAMP"; test "\${{ tasks.makes.values.stamp }}" = "$STAMP"
      test "$(cat \${{ tasks.makes.artifacts.file }})" = "$STAMP"
      test "$(cat \${{ tasks.makes.artifacts.dir }}/link)" = "$STAMP"
      test "$(cat \${{ tasks.makes.artifacts.declared }}/stamp)" = "$STAMP"
      test "$(cat \${{ tasks.makes.artifacts.absolute }})" = "$STAMP"
      test stamp -ef hard
`;
  const first = await project.run(definition("one"));
  const second = await project.run(definition("two"));
  expect([first.code, second.code]).toEqual([0, 0]);
  expect(second.task("makes").status.finished).toBe("cacheHit");
  expect(second.task("makes").outputs).toEqual(first.task("makes").outputs);
});

testIf(NEEDS, "values and artifacts that a script reads count in its key, others of the same task do not", async () => {
  using project = new Project();
  const definition = (parts: { value?: string; other?: string; file?: string; mode?: string }) => `
tasks:
  - key: makes
    run: |
      printf ${parts.value ?? "v"} > $RWX_VALUES/read; printf ${parts.other ?? "o"} > $RWX_VALUES/unread
      echo ${parts.file ?? "f"} > $RWX_ARTIFACTS/file; echo unread ${parts.other ?? "o"} > $RWX_ARTIFACTS/unread
      chmod ${parts.mode ?? "644"} $RWX_ARTIFACTS/file
  - key: value
    run: test "\${{ tasks.makes.values.read }}" = "\${{ tasks.makes.values['read'] }}"
  - key: artifact
    run: test -f "\${{ tasks.makes.artifacts.file }}"
  - key: in-env
    env: { V: "\${{ tasks.makes.values.read }}", F: "\${{ tasks.makes.artifacts.file }}" }
    run: test -f "$F" && test -n "$V"
  - key: after-only
    after: makes
    run: "true"
`;
  await ran(project, definition({}));
  expect(await ran(project, definition({ other: "o2" }))).toEqual(["makes"]);
  expect(await ran(project, definition({ value: "v2" }))).toEqual(["makes", "value", "in-env"]);
  expect(await ran(project, definition({ file: "f2" }))).toEqual(["makes", "artifact", "in-env"]);
  expect(await ran(project, definition({ mode: "755" }))).toEqual(["makes", "artifact", "in-env"]);
});

testIf(NEEDS, "artifacts of the same content keep their own names, modes and emptiness", async () => {
  using project = new Project();
  await ran(
    project,
    `
tasks:
  - key: makes
    run: |
      mkdir -p a b $RWX_ARTIFACTS/empty; echo same > a/one; echo same > b/two; printf '#!/bin/sh\\necho runs\\n' > $RWX_ARTIFACTS/prog; chmod +x $RWX_ARTIFACTS/prog
      cp $RWX_ARTIFACTS/prog $RWX_ARTIFACTS/text; chmod -x $RWX_ARTIFACTS/text; mkdir -p "$RWX_ARTIFACTS/with space"; echo x > "$RWX_ARTIFACTS/with space/f"
    outputs: { artifacts: [{ key: one, path: a/one }, { key: two, path: b/two }, { key: again, path: ./a/ }] }
  - key: reads
    run: |
      test "$(basename \${{ tasks.makes.artifacts.one }})" = one; test "$(basename \${{ tasks.makes.artifacts.two }})" = two
      cat \${{ tasks.makes.artifacts.one }} \${{ tasks.makes.artifacts.two }} \${{ tasks.makes.artifacts.again }}/one
      test "$(\${{ tasks.makes.artifacts.prog }})" = runs; test ! -x \${{ tasks.makes.artifacts.text }}
      test -d \${{ tasks.makes.artifacts.empty }}; test -z "$(ls -A \${{ tasks.makes.artifacts.empty }})"
      cat "\${{ tasks.makes.artifacts['with space'] }}/f"
      if echo x > \${{ tasks.makes.artifacts.one }}; then exit 1; fi
`,
  );
});

testIf(NEEDS, "outputs.filesystem prunes for every consumer, and its patterns count", async () => {
  using project = new Project();
  const definition = (name: string) => `
on: { cli: { init: { keep: dist } } }
tasks:
  - key: code
    run: mkdir src; echo s > src/s
  - key: build
    use: code
    run: mkdir -p dist tmp /opt/build /opt/cache; echo d > dist/d; echo t > tmp/t; echo b > /opt/build/b; echo c > /opt/cache/c; echo changed > src/s
    outputs: { filesystem: { filter: { workspace: ["\${{ init.keep }}"], system: ["/opt/build"] } } }
  - key: uses
    use: build
    run: test -e ${name}; test ! -e /opt/cache/c; test -e /opt/build/b; test "$(cat src/s)" = s
  - key: negated
    run: mkdir -p a b; echo a > a/a; echo b > b/b; mkdir /opt/n; echo n > /opt/n/n
    outputs: { filesystem: { filter: ["!b"] } }
  - key: uses-negated
    use: negated
    run: test -e a/a; test ! -e b/b; test -e /opt/n/n
  - key: nothing-kept
    run: echo a > a; mkdir /opt/k; echo k > /opt/k/k
    outputs: { filesystem: { filter: [] } }
  - key: uses-nothing-kept
    use: nothing-kept
    run: test ! -e a; test -e /opt/k/k
  - key: none
    run: echo x > x; printf 1 > $RWX_ENV/X; printf v > $RWX_VALUES/v; echo f > f
    outputs: { filesystem: false, artifacts: [{ key: f, path: f }] }
  - key: uses-none
    use: none
    run: test ! -e x; test "$X" = 1; test "\${{ tasks.none.values.v }}" = v; cat \${{ tasks.none.artifacts.f }}
`;
  await ran(project, definition("dist/d"));
  expect(await ran(project, definition("dist/d"))).toEqual([]);
  expect(await ran(project, definition("tmp/t"), ["--init", "keep=tmp"])).toEqual(["build", "uses"]);
});

testIf(NEEDS, "what a task must leave and does not makes it fail, and is said", async () => {
  using project = new Project();
  const { code, task, run } = await project.run(`
tasks:
  - key: no-artifact
    run: "true"
    outputs: { artifacts: [{ key: gone, path: nowhere }] }
  - key: no-value
    run: "true # $RWX_VALUES"
  - key: reads
    run: echo \${{ tasks.no-value.values.gone }}
  - key: system-file
    run: "true"
    outputs: { artifacts: [{ key: passwd, path: /etc/passwd }] }
  - key: dynamic
    run: 'echo "- { key: more, run: echo more }" > $RWX_DYNAMIC_TASKS/more.yml'
  - key: says-why
    run: echo "**Broken** on purpose" > $RWX_ERRORS/why; exit 3
`);
  expect(code).toBe(1);
  expect(outcomes(run)).toMatchObject({
    "no-artifact": "failed",
    "no-value": "succeeded",
    reads: "aborted",
    "system-file": "failed",
    "says-why": "failed",
  });
  expect(task("dynamic").status.result).toBe("failed");
  expect(JSON.stringify(task("dynamic").messages)).toContain("more.yml");
  expect(JSON.stringify(task("no-artifact").messages)).toContain("nowhere");
  expect(JSON.stringify(task("reads").messages)).toContain("gone");
  expect(JSON.stringify(task("says-why").messages)).toContain("**Broken**");
});
