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

testIf(
  NEEDS,
  "variables travel along use under all names, in its order, and stop where nothing uses them",
  async () => {
    using project = new Project();
    await ran(
      project,
      `
tasks:
  - key: one
    run: |
      printf 1 > $RWX_ENV/A; echo 1 > $MESH_ENV/B; printf 'two\\nlines\\n' > $MINT_ENV/LINES; printf x > $RWX_ENV/EMPTY_NEXT
      test -d "$RWX_ENV" && test "$RWX_ENV" = "$MESH_ENV" && test "$MINT_ENV" = "$RWX_ENV"
      for name in VALUES ARTIFACTS LINKS ERRORS TEST_RESULTS CACHE_KEY_EXCLUDED_ENV DYNAMIC_TASKS IMAGE HOOKS_BEFORE_TASK HOOKS_AFTER_TASK; do
        rwx="RWX_$name"; mesh="MESH_$name"; mint="MINT_$name"
        test -d "\${!rwx}" && test "\${!rwx}" = "\${!mesh}" && test "\${!rwx}" = "\${!mint}"
      done
      test -z "\${A:-}"
  - key: two
    run: printf 2 > $RWX_ENV/B; printf "" > $RWX_ENV/EMPTY
  - key: after-one
    use: one
    run: test "$A$B" = 11; test "$LINES" = "$(printf 'two\\nlines')"; printf 3 > $RWX_ENV/A
  - key: through
    use: after-one
    run: test "$A$B" = 31
  - key: both
    use: [one, two]
    run: test "$B" = 2; test "\${EMPTY-unset}" = ""
  - key: other-order
    use: [two, one]
    run: test "$B" = 1
  - key: own-wins
    use: one
    env: { A: own, C: "\${{ tasks.one.id }}", N: 5, T: true, NOTHING: }
    run: test "$A" = own; test -n "$C"; test "$N$T" = 5true; test "\${NOTHING-unset}" = ""
  - key: own-stays
    use: own-wins
    run: test "$A" = 1; test -z "\${C:-}"
  - key: unrelated
    after: one
    run: test -z "\${A:-}"
  - key: inherits-some
    use: [one, two]
    env-config: { inherit: [two] }
    run: test -z "\${A:-}"; test "$B" = 2
  - key: inherits-none
    use: [one, two]
    env-config: { inherit: [] }
    run: test -z "\${A:-}\${B:-}"
  - key: joined
    use: [one, two]
    env-config: { merge: { B: { strategy: join, by: "," } } }
    run: test "$B" = 1,2
  - key: reads-joined
    use: joined
    run: test "$B" = 1,2
`,
    );
  },
);

testIf(NEEDS, "PATH is joined along use, the later first, and keeps the system's", async () => {
  using project = new Project();
  const tool = (dir: string, word: string) =>
    `mkdir -p ${dir} && printf '#!/bin/sh\\necho ${word}\\n' > ${dir}/word && chmod +x ${dir}/word && printf ${dir} > $RWX_ENV/PATH`;
  await ran(
    project,
    `
tasks:
  - key: one
    run: |
      ${tool("/opt/one", "one")}
  - key: two
    run: |
      ${tool("/opt/two", "two")}
  - key: uses-one
    use: one
    run: test "$(word)" = one; ls > /dev/null; printf "$PATH" > $RWX_VALUES/path
  - key: both
    use: [one, two]
    run: test "$(word)" = two; case "$PATH" in *"/opt/one"*) ;; *) exit 1 ;; esac
  - key: other
    use: [two, one]
    run: test "$(word)" = one
  - key: extends
    use: one
    run: echo "/opt/three:$PATH" > $RWX_ENV/PATH
  - key: extended
    use: extends
    run: |
      test "$(word)" = one; case "$PATH" in /opt/three:*) ;; *) exit 1 ;; esac; test "$(echo $PATH | tr : '\\n' | sort | uniq -d)" = ""
  - key: overridden
    use: [one, two]
    env-config: { merge: { PATH: { strategy: override } } }
    run: test "$(word)" = two; case "$PATH" in *"/opt/one"*) exit 1 ;; esac; ls > /dev/null
  - key: plain
    run: ls > /dev/null; if command -v word; then exit 1; fi
`,
  );
});

testIf(NEEDS, "variables count in the key unless they are excluded, whoever excludes them", async () => {
  using project = new Project();
  const definition = (parts: { env?: string; excluded?: string; own?: string; written?: string }) => `
tasks:
  - key: makes
    run: |
      printf ${parts.env ?? "e"} > $RWX_ENV/COUNTED
      printf ${parts.excluded ?? "x"} > $RWX_CACHE_KEY_EXCLUDED_ENV/UNCOUNTED
      printf ${parts.written ?? "w"} > $RWX_ENV/OTHER
  - key: sees
    use: makes
    env: { OTHER: { cache-key: excluded }, OWN: { value: "${parts.own ?? "o"}", cache-key: excluded } }
    run: test "$COUNTED$UNCOUNTED$OTHER$OWN" = $(cat all 2>/dev/null || echo "$COUNTED$UNCOUNTED$OTHER$OWN")
  - key: includes-again
    use: makes
    env: { UNCOUNTED: { cache-key: included }, OTHER: { cache-key: excluded } }
    run: test -n "$UNCOUNTED"
  - key: own-counts
    env: { OWN: "${parts.own ?? "o"}" }
    run: test -n "$OWN"
  - key: passes
    use: makes
    env: { OTHER: { cache-key: excluded } }
    run: echo same
  - key: below
    use: passes
    env: { OTHER: { cache-key: excluded } }
    run: test -n "$COUNTED$UNCOUNTED"
`;
  await ran(project, definition({}));
  expect(await ran(project, definition({}))).toEqual([]);
  expect(await ran(project, definition({ env: "e2" }))).toEqual(["makes", "sees", "includes-again", "passes", "below"]);
  expect(await ran(project, definition({ excluded: "x2" }))).toEqual(["makes", "includes-again"]);
  expect(await ran(project, definition({ written: "w2" }))).toEqual(["makes"]);
  expect(await ran(project, definition({ own: "o2" }))).toEqual(["own-counts"]);
});

testIf(NEEDS, "every task finds who and where it is, under all names, and none of it counts", async () => {
  using project = new Project();
  const definition = `
tasks:
  - key: who
    run: |
      for name in RUN_ID RUN_URL RUN_TITLE TASK_ID TASK_URL TASK_ATTEMPT_NUMBER CACHE_KEY ACTOR; do
        rwx="RWX_$name"; mesh="MESH_$name"
        test -n "\${!rwx}" && test "\${!rwx}" = "\${!mesh}"
      done
      test "$RWX" = true && test "$MESH" = true && test "$RWX_TASK_ATTEMPT_NUMBER" = 1
      test "$PWD" = /workspace && test "$HOME" = /root && test "$(id -u)" = 0
      test "$RWX_RUN_TITLE" = tasks.yml -o "$RWX_RUN_TITLE" = named
`;
  expect(await ran(project, definition)).toEqual(["who"]);
  expect(await ran(project, definition, ["--title", "named"])).toEqual([]);
});

testIf(NEEDS, "a login file that an upstream task wrote takes effect, and the machine's own does not", async () => {
  using project = new Project();
  await ran(
    project,
    `
tasks:
  - key: bash-profile
    run: echo 'export FROM_PROFILE=1; PATH="/opt/from-profile:$PATH"' >> ~/.bash_profile; echo 'export WRONG=1' > ~/.profile
  - key: sees
    use: bash-profile
    run: test "$FROM_PROFILE" = 1; case "$PATH" in /opt/from-profile:*) ;; *) exit 1 ;; esac; test -z "\${WRONG:-}"
  - key: profile
    run: echo 'export NAME=profile' > ~/.profile; mkdir -p ~/bin; printf '#!/bin/sh\\necho hi\\n' > ~/bin/hi; chmod +x ~/bin/hi; echo 'export PATH="$HOME/bin:$PATH"' >> ~/.profile
  - key: sees-profile
    use: profile
    run: test "$NAME" = profile; test "$(hi)" = hi
  - key: sloppy
    run: printf 'false\\nexport SLOPPY=1\\n[ -f /nowhere ] && . /nowhere\\n' > ~/.bash_profile
  - key: sees-sloppy
    use: sloppy
    run: test "$SLOPPY" = 1
  - key: own-env-after
    use: profile
    env: { OTHER: "1" }
    run: test "$OTHER" = 1
  - key: none
    run: test -z "\${FROM_PROFILE:-}"; case $- in *e*) ;; *) exit 1 ;; esac; [[ -o pipefail ]]
`,
  );
});
