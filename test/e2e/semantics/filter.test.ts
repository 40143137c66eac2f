import { expect } from "bun:test";
import { testIf } from "../../support/require.ts";
import { outcomes, Project } from "../harness.ts";

const NEEDS = ["linux", "binary", "user-namespaces", "overlay-in-user-namespace"] as const;

/** A small tree: files at the top, in nested directories, hidden ones, and ones outside of the workspace. */
const TREE = `
  - key: tree
    run: |
      mkdir -p src/deep/er docs .hidden "with space" empty
      echo 1 > a.txt; echo 2 > b.json; echo 3 > src/main.ts; echo 4 > src/main.test.ts; echo 5 > src/deep/x.ts
      echo 6 > src/deep/er/y.ts; echo 7 > docs/readme.md; echo 8 > .hidden/h; echo 9 > "with space/f"; echo 10 > a.txt.bak
      ln -s ../a.txt docs/link
      mkdir -p /opt/tool && echo tool > /opt/tool/t && echo rc > ~/.toolrc`;

/** Lists what a filter leaves, as one line of paths of files and links. */
const LIST = `find . \\( -type f -o -type l \\) | LC_ALL=C sort | tr '\\n' ' ' | sed 's/ $//' > $MESH_VALUES/files`;

const CASES: readonly (readonly [filter: string, files: string])[] = [
  ["[a.txt]", "./a.txt"],
  ["[./a.txt]", "./a.txt"],
  ["[src]", "./src/deep/er/y.ts ./src/deep/x.ts ./src/main.test.ts ./src/main.ts"],
  ["[src/]", "./src/deep/er/y.ts ./src/deep/x.ts ./src/main.test.ts ./src/main.ts"],
  ["[src/deep]", "./src/deep/er/y.ts ./src/deep/x.ts"],
  ['["src/*.ts"]', "./src/main.test.ts ./src/main.ts"],
  ['["src/**/*.ts"]', "./src/deep/er/y.ts ./src/deep/x.ts ./src/main.test.ts ./src/main.ts"],
  ['["**/*.ts", "!**/*.test.ts"]', "./src/deep/er/y.ts ./src/deep/x.ts ./src/main.ts"],
  ['["**/*.{json,md}"]', "./b.json ./docs/readme.md"],
  ['["*.{txt,json}"]', "./a.txt ./b.json"],
  ['["{src,docs}/*.md"]', "./docs/readme.md"],
  ['["!src"]', "./.hidden/h ./a.txt ./a.txt.bak ./b.json ./docs/link ./docs/readme.md ./with space/f"],
  ['["!src/", "!**/*.md", "!.hidden"]', "./a.txt ./a.txt.bak ./b.json ./docs/link ./with space/f"],
  ['["src", "!src/deep", "src/deep/er/y.ts"]', "./src/deep/er/y.ts ./src/main.test.ts ./src/main.ts"],
  ['["src/deep/er/y.ts", "!src/deep", src/main.ts]', "./src/main.ts"],
  ['["!a.txt", "a.txt"]', "./a.txt"],
  ['["a.txt", "!a.txt"]', ""],
  ["[with space]", "./with space/f"],
  [
    '["**"]',
    "./.hidden/h ./a.txt ./a.txt.bak ./b.json ./docs/link ./docs/readme.md ./src/deep/er/y.ts ./src/deep/x.ts ./src/main.test.ts ./src/main.ts ./with space/f",
  ],
  [
    '["**/*"]',
    "./.hidden/h ./a.txt ./a.txt.bak ./b.json ./docs/link ./docs/readme.md ./src/deep/er/y.ts ./src/deep/x.ts ./src/main.test.ts ./src/main.ts ./with space/f",
  ],
  ["[]", ""],
  ["{ workspace: [a.txt] }", "./a.txt"],
  ["{ workspace: [] }", ""],
  ["[[a.txt], [[b.json], src/main.ts]]", "./a.txt ./b.json ./src/main.ts"],
  ["[{ path: a.txt, cache-key: excluded }, b.json]", "./a.txt ./b.json"],
  ["${{ init.one }}", "./a.txt"],
  ['["${{ init.one }}", "src/${{ init.part }}.ts"]', "./a.txt ./src/main.ts"],
  ['["docs/**/*", a.txt]', "./a.txt ./docs/link ./docs/readme.md"],
];

testIf(
  NEEDS,
  "filter leaves on disk what its patterns say, in all its forms, and never touches the system",
  async () => {
    using project = new Project();
    const tasks = CASES.map(
      ([filter], index) => `
  - key: case-${index}
    use: tree
    filter: ${filter}
    run: |
      ${LIST}
      test "$(cat /opt/tool/t)" = tool && test "$(cat ~/.toolrc)" = rc`,
    );
    const { task, run } = await project.run(
      `on: { cli: { init: { one: a.txt, part: main } } }\ntasks:${TREE}${tasks.join("")}\n`,
    );
    expect(run.status.result).toBe("succeeded");
    const found = CASES.map(([filter], index) => [filter, task(`case-${index}`).outputs.values["files"]]);
    expect(found).toEqual(CASES.map(([filter, files]) => [filter, files]));
  },
);

testIf(NEEDS, "filter takes what it hides out of the key, and what is excluded is seen without counting", async () => {
  using project = new Project();
  const definition = (parts: { a?: string; b?: string; mode?: string; extra?: string }) => `
tasks:
  - key: tree
    run: |
      mkdir -p src/deep; echo ${parts.a ?? "a"} > a; echo ${parts.b ?? "b"} > src/deep/b; chmod ${parts.mode ?? "644"} a; ${parts.extra ?? ":"}
  - key: only-a
    use: tree
    filter: [a]
    run: cat a; test ! -e src
  - key: only-b
    use: tree
    filter: ["src/**"]
    run: cat src/deep/b; test ! -e a
  - key: a-uncounted
    use: tree
    filter: [{ path: a, cache-key: excluded }, src]
    run: cat a src/deep/b
  - key: all-but-b
    use: tree
    filter: ["!src"]
    run: cat a && test ! -e src
  - key: all-b-uncounted
    use: tree
    filter: ["**", { path: "src/**/b", cache-key: excluded }]
    run: cat a src/deep/b
  - key: nothing
    use: tree
    filter: []
    run: test -z "$(ls -A)"
`;
  const ran = async (parts: Parameters<typeof definition>[0]) => {
    const { run, code } = await project.run(definition(parts));
    expect(code).toBe(0);
    return run.tasks.filter(({ status }) => status.finished === "executed").map(({ key }) => key);
  };
  await ran({});
  expect(await ran({})).toEqual([]);
  expect(await ran({ a: "other" })).toEqual(["tree", "only-a", "all-but-b", "all-b-uncounted"]);
  expect(await ran({ b: "other" })).toEqual(["tree", "only-b", "a-uncounted"]);
  expect(await ran({ mode: "755" })).toEqual(["tree", "only-a", "all-but-b", "all-b-uncounted"]);
  expect(await ran({ extra: "touch -d 2001-01-01 a" })).toEqual(["tree"]);
  expect(await ran({ extra: "echo n > new" })).toEqual(["tree", "all-but-b", "all-b-uncounted"]);
});

testIf(NEEDS, "filter hides for one task what the next one sees again, changed where it was written anew", async () => {
  using project = new Project();
  const { code, run } = await project.run(`
tasks:
  - key: tree
    run: mkdir -p src/lib; echo 1 > src/lib/one; echo 2 > src/two; echo 3 > three; ln -s src/two link
  - key: writes
    use: tree
    filter: [three]
    run: |
      test "$(ls)" = three
      mkdir -p src/lib; echo new > src/lib/new; echo changed > src/two; rm three
  - key: sees-all
    use: writes
    run: |
      test "$(cat src/lib/one)" = 1; test "$(cat src/lib/new)" = new; test "$(cat src/two)" = changed
      test "$(cat link)" = changed; test ! -e three
  - key: filtered-again
    use: writes
    filter: [src/lib/one]
    run: test "$(find . -type f)" = ./src/lib/one
  - key: both
    use: [tree, writes]
    run: test ! -e three; test "$(cat src/two)" = changed
  - key: other-order
    use: [writes, tree]
    run: test ! -e three; test "$(cat src/two)" = changed
`);
  expect({ code, outcomes: outcomes(run) }).toMatchObject({ code: 0 });
});

testIf(NEEDS, "filter of an artifact narrows what is seen of it, and what of it counts", async () => {
  using project = new Project();
  const definition = (parts: { a?: string; b?: string }) => `
tasks:
  - key: make
    run: mkdir -p out/sub; echo ${parts.a ?? "a"} > out/a; echo ${parts.b ?? "b"} > out/sub/b
    outputs: { artifacts: [{ key: out, path: out }] }
  - key: reads-a
    filter:
      workspace: []
      \${{ tasks.make.artifacts.out }}: [a]
    run: test "$(cd \${{ tasks.make.artifacts.out }}; find . -type f)" = ./a
  - key: not-a
    filter:
      \${{ tasks.make.artifacts.out }}: ["!a"]
    run: test "$(cd \${{ tasks.make.artifacts.out }}; find . -type f)" = ./sub/b
  - key: b-uncounted
    filter:
      \${{ tasks.make.artifacts.out }}: [a, { path: sub, cache-key: excluded }]
    run: test -e \${{ tasks.make.artifacts.out }}/sub/b && test -e \${{ tasks.make.artifacts.out }}/a
`;
  const ran = async (parts: Parameters<typeof definition>[0]) => {
    const { run, code } = await project.run(definition(parts));
    expect({ code, outcomes: outcomes(run) }).toMatchObject({ code: 0 });
    return run.tasks.filter(({ status }) => status.finished === "executed").map(({ key }) => key);
  };
  await ran({});
  expect(await ran({ a: "other" })).toEqual(["make", "reads-a", "b-uncounted"]);
  expect(await ran({ b: "other" })).toEqual(["make", "not-a"]);
});

testIf(NEEDS, "filter of run.dir narrows the definition's folder, on disk and in the key", async () => {
  using project = new Project();
  project.write("data/a", "1");
  project.write("data/b", "1");
  const definition = `
tasks:
  - key: all
    run: test -e \${{ run.dir }}/data/b && test -e \${{ run.dir }}/tasks.yml
  - key: only-a
    run: test "$(cd \${{ run.dir }}; find . -type f)" = ./data/a
    filter:
      \${{ run.dir }}: [data/a]
  - key: b-uncounted
    run: test -e \${{ run.dir }}/data/b; test ! -e \${{ run.dir }}/tasks.yml
    filter:
      \${{ run.dir }}: [data/a, { path: data/b, cache-key: excluded }]
  - key: none
    run: "true"
`;
  expect((await project.run(definition)).code).toBe(0);
  expect(outcomes((await project.run(definition)).run)).toEqual({
    all: "cacheHit",
    "only-a": "cacheHit",
    "b-uncounted": "cacheHit",
    none: "cacheHit",
  });
  project.write("data/b", "2");
  expect(outcomes((await project.run(definition)).run)).toEqual({
    all: "succeeded",
    "only-a": "cacheHit",
    "b-uncounted": "cacheHit",
    none: "cacheHit",
  });
  project.write("data/a", "2");
  expect(outcomes((await project.run(definition)).run)).toEqual({
    all: "succeeded",
    "only-a": "succeeded",
    "b-uncounted": "succeeded",
    none: "cacheHit",
  });
});

testIf(NEEDS, "filter hides a file from what the task leaves as well: artifacts, reports, problems", async () => {
  using project = new Project();
  const { code, task } = await project.run(`
tasks:
  - key: tree
    run: echo a > a; echo secret > b
  - key: takes-hidden
    use: tree
    filter: [a]
    run: cat a
    outputs: { artifacts: [{ key: hidden, path: b }] }
`);
  expect(code).toBe(1);
  expect(task("takes-hidden").status.result).toBe("failed");
});

testIf(NEEDS, "filter says which of its patterns match nothing", async () => {
  using project = new Project();
  const { code, out, err } = await project.run(`
tasks:
  - key: tree
    run: echo a > a
  - key: filtered
    use: tree
    filter: [a, "src/**/*.ts", "!gone"]
    run: cat a
`);
  expect(code).toBe(0);
  expect(out + err).toContain("src/**/*.ts");
  expect(out + err).not.toContain("gone");
});
