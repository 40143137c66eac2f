import { describe, expect, test } from "bun:test";
import type { CommandTask, Definition, PackageTask } from "../../src/spec/definition.ts";
import { parseDefinition } from "../../src/spec/parse.ts";
import { found, task } from "./marked.ts";

function definitionOf(text: string, file = "tasks.yml"): Definition {
  const { definition, diagnostics } = parseDefinition(text, { file });
  if (!definition) throw new Error(`Expected no errors, found ${JSON.stringify(diagnostics)}`);
  return definition;
}

function commandOf(...lines: readonly string[]): CommandTask {
  const [first] = definitionOf(task(...lines)).tasks;
  if (first?.kind !== "command") throw new Error("Expected a command task");
  return first;
}

function featuresOf(text: string): readonly string[] {
  const { tasks, notExecuted } = definitionOf(text);
  return [...notExecuted, ...tasks.flatMap((one) => one.notExecuted)].map(
    ({ feature, at }) => `${feature} ${at.line}:${at.column}`,
  );
}

const run = "run: echo hi";

/** Definitions in which nothing is to be found. */
const CLEAN: readonly (readonly [name: string, text: string, file?: string])[] = [
  ["one task", task(run)],
  ["a script as a list, with lists inside", task("run:", "  - echo a", "  - [echo b, [echo c]]")],
  ["numbers and booleans as text", "tasks:\n  - key: true\n    run: 5\n    env: {A: 1, B: true, C: 0.5}"],
  ["anchors and aliases under aliases", `aliases:\n  - &files [src, test]\n${task(run, "filter: [*files, docs]")}`],
  [
    "merge keys, one and several",
    `aliases:\n  one: &one {A: "1"}\n  two: &two {B: "2"}\n${task(run, "env:", "  <<: [*one, *two]", '  C: "3"')}`,
  ],
  [
    "a merge key in a task",
    `aliases:\n  - &defaults\n    agent: {cpus: 2}\n    timeout: 5m\n${task(run, "<<: *defaults")}`,
  ],
  ["triggers without a value", `on:\n  github:\n    push:\n    pull_request: {}\n  cache-rebuild:\n${task(run)}`],
  [
    "a list of triggers",
    `on:\n  github:\n    push:\n      - if: \${{ event.git.branch == 'main' }}\n        init: {sha: "\${{ event.git.sha }}"}\n      - title: x\n${task("run: echo ${{ init.sha }}")}`,
  ],
  [
    "gitlab and forgejo",
    `on:\n  gitlab: {push: {}, tag-push: {}, merge-request: {actions: [open]}}\n  forgejo: {push: {}, pull-request: {}}\n${task(run)}`,
  ],
  [
    "crons with zones, names and steps",
    `on:\n  cron:\n    - {key: a, schedule: "0 9 * * 1-5 America/New_York"}\n    - {key: b, schedule: "*/15 0-6/2 L jan,JUL sun"}\n${task(run)}`,
  ],
  [
    "a dispatch with params as keys",
    `on:\n  dispatch:\n    - key: go\n      params: [version, {key: kind, values: [a, b], default: a}]\n${task(run)}`,
  ],
  [
    "status checks in all their forms",
    `on:\n  github:\n    push:\n      - {status-checks: false}\n      - {status-checks: [{tasks: [a], name: x}]}\n      - {status-checks: {default: {enabled: true}, custom: [{tasks: a}]}}\n${task(run)}`,
  ],
  [
    "an unknown package with any parameter",
    task("call: nodejs/install 1.1.14", "with: {anything: 1, node-version: 20.1.0}"),
  ],
  ["a package by digest", task(`call: ${"0a".repeat(32)}`)],
  [
    "tokens of integrations",
    task("run: echo ${{ github['x'].token }} ${{ github-apps.x.token }} ${{ origin.token }} ${{ github.token }}"),
  ],
  [
    "secrets and vaults",
    task(
      "run: echo ${{ secrets.X }} ${{ vaults.v.secrets.y }} ${{ vaults.v.vars.z }} ${{ vaults.v.service-accounts.s.token }}",
    ),
  ],
  ["any event", task("run: echo ${{ event.github.pull_request.pull_request.labels[0]?.name }}")],
  ["init without triggers, which a caller gives", task("run: echo ${{ init.whatever }}")],
  ["tmpfs by an expression", task(run, "agent: {tmpfs: '${{ init.fast }}'}")],
  ["init behind ?.", `on: {cli: {init: {a: x}}}\n${task("run: echo ${{ init?.b }}")}`],
  [
    "conditions of all operators",
    task(
      "if: >",
      "  ${{ !(init.a == 'x' || init.b != \"y\") && init.c =~ '^v\\d+$'",
      "  && 1 < 2 && init.d !~ 'z' ? true : false }}",
      run,
    ),
  ],
  ["a condition that is a boolean", task("if: false", run)],
  ["after by states", `${task(run)}\n  - key: b\n    run: x\n    after: \${{ a.failed && !a.skipped }}`],
  [
    "a value written by a loop",
    `${task('run: for x in a b; do echo 1 > "$RWX_VALUES/$x"; done')}\n  - key: b\n    run: echo \${{ tasks.a.values.b }}`,
  ],
  [
    "a value copied into the folder",
    `${task("run: cp version $MINT_VALUES")}\n  - key: b\n    run: echo \${{ tasks.a.values.version }}`,
  ],
  [
    "a value declared the old way",
    `${task(run, "env: {A: x}")}\n  - key: b\n    call: a/b 1.0.0\n    with: {x: "\${{ tasks.a.id }}"}`,
  ],
  [
    "an artifact that is declared",
    `${task(run, "outputs:", "  artifacts: [{key: bin, path: out}]")}\n  - key: b\n    run: cp \${{ tasks.a.artifacts.bin }} .`,
  ],
  [
    "things of an embedded run's tasks",
    `${task("call: ${{ run.dir }}/build.yml", "init: inherit")}\n  - key: b\n    run: cp \${{ tasks.a.tasks.build.artifacts.bin }} .`,
  ],
  [
    "a task that parallel makes",
    `${task(run, "parallel:", "  key: test-${{ parallel.os }}", "  matrix: {os: [linux, darwin]}")}\n  - key: b\n    run: x\n    after: test-linux`,
  ],
  [
    "parallel values by an expression",
    task("run: echo ${{ parallel.anything }}", "parallel:", "  values: ${{ tasks.a2.values.list }}") +
      "\n  - key: a2\n    run: echo 1 > $RWX_VALUES/list",
  ],
  ["braces that are text", task("run: echo \\${{ not an expression }} ${VAR} $(date) {{x}}")],
  [
    "filters by artifact",
    `${task(run, "outputs:", "  artifacts: [{key: bin, path: out}]")}\n  - key: b\n    run: x\n    filter:\n      workspace: ["src/**/*.{ts,js}", "!**/test", {path: x, cache-key: excluded}]\n      \${{ tasks.a.artifacts.bin }}: ["*.js"]`,
  ],
  ["files of frameworks with brackets", task(run, "filter: ['app/[id]/page.tsx', 'package*.json']")],
  ["an empty filter", task(run, "filter: []")],
  [
    "an included file, and what it may hold",
    "tasks:\n  - include: _common.yml\n  - key: a\n    run: x\n    use: from-common",
  ],
  ["a file of tasks", "- key: a\n  run: x\n  use: sibling\n- key: b\n  run: echo ${{ tasks.other.values.x }}"],
  ["a single task as a file", "key: a\nrun: x", "_one.yml"],
  ["an included list of words", "- src\n- test", "_files.yml"],
  [
    "a local package",
    `package:\n  parameters:\n    version: {required: true, description: x}\n  outputs:\n    values: {v: {value: "\${{ tasks.a.values.v }}"}}\n    values-from: [a]\n${task("use: package.use", "run: echo ${{ params.version }} > $RWX_VALUES/v")}`,
  ],
  [
    "paths into what a package brings",
    `tasks:\n  - key: setup\n    call: \${{ run.dir }}/setup.yml\n  - key: a\n    use: [setup, setup.system]\n    after: \${{ setup.deep.er.succeeded }}\n    run: x\n  - key: b\n    after: [setup.tools]\n    run: echo \${{ tasks.setup.tasks.system.values.v }}`,
  ],
  ["a package that is just true", `package: true\n${task("use: [package.use]", run)}`],
  [
    "a published package",
    `name: ns/name\nversion: 1.2.3\ndescription: x\nsource_code_url: https://x\nissue_tracker_url: https://y\nparameters: {p: {description: x, default: 5}}\n${task("run: echo ${{ params.p }}")}`,
    "rwx-package.yml",
  ],
  [
    "git/clone with what it takes",
    task(
      "call: git/clone 2.1.0",
      "with: {repository: x, ref: main, path: p, preserve-git-dir: true, fetch-full-depth: '${{ init.full }}', submodules: false, lfs: false, github-token: x, ssh-key: y}",
    ),
  ],
  ["git/clone without version", task("call: git/clone", "with: {repository: .}")],
  [
    "agents of mesh",
    task(
      run,
      "agent: {cpus: 0.5, memory: 512mb, disk: {size: 50gb}, gpu: 2, gpu-memory: 8gb, os: linux, arch: arm64, labels: [fast], node: box, network: none, tmpfs: true}",
    ),
  ],
  [
    "agents of RWX",
    task(
      run,
      "agent: {cpus: 16, memory: 64gb, disk: 100gb, gpu: a10g, spot: true, ipv6: false, nested-virtualization: true, static-ips: '${{ vaults.x.static-ips.y }}'}",
    ),
  ],
  ["the base of RWX", `base: {image: "ubuntu:24.04", config: rwx/base 1.2.0, arch: x86_64}\n${task(run)}`],
  [
    "states of a task named like a context",
    `tasks:\n  - {key: run, run: x}\n  - {key: b, run: x, after: "\${{ run.failed }}"}`,
  ],
  ["a base that is called", `base: {call: "\${{ run.dir }}/base.yml", target: base, init: {a: b}}\n${task(run)}`],
  [
    "pools",
    `concurrency-pools:\n  - {id: "x-\${{ init.kind }}", capacity: 2, on-overflow: cancel-running, if: "\${{ event.git.branch != 'main' }}"}\n${task(run)}`,
  ],
  ["a byte order mark and CRLF", `\ufefftasks:\r\n  - key: a\r\n    run: |\r\n      echo \${{ run.id }}\r\n`],
];

describe("parseDefinition() accepts", () => {
  for (const [name, text, file] of CLEAN) {
    test(name, () => {
      expect(found(text, file)).toEqual([]);
    });
  }

  for (const name of ["cli-ci", "cli-release", "language-server-ci", "sandbox-background"]) {
    test(`the real definition ${name}.yml`, async () => {
      const text = await Bun.file(new URL(`../fixtures/rwx/${name}.yml`, import.meta.url)).text();
      expect(found(text, `${name}.yml`)).toEqual([]);
    });
  }
});

describe("parseDefinition() makes", () => {
  test("the host the base when none is named", () => {
    expect(definitionOf(task(run)).base).toEqual({
      kind: "image",
      image: "host",
      config: null,
      arch: null,
      at: { line: 1, column: 1 },
    });
  });

  test("an image of an old os and tag", () => {
    expect(definitionOf(`base: {os: ubuntu 24.04, tag: "1.1"}\n${task(run)}`).base).toMatchObject({
      image: "ubuntu:24.04",
      config: "tag 1.1",
    });
  });

  test("a command with everything that is executed", () => {
    const command = commandOf(
      "run: [echo a, 'echo ${{ run.id }}']",
      "use: []",
      "if: ${{ run.id }}",
      "env: {A: x, B: {value: y, cache-key: excluded}, C: {cache-key: included}}",
      "env-config: {inherit: all-used-tasks, merge: {P: {strategy: join, by: ','}, Q: {strategy: override}}}",
      "cache: {enabled: true, ttl: 2 hrs}",
      "timeout: 30m",
      "terminate-grace-period-seconds: 5",
      "outputs:",
      "  artifacts: [{key: k, path: p}]",
      "  test-results: [{path: r.json, options: {framework: f, language: l}}]",
      "  problems: [{matcher: tsc}, {path: p.json, format: problem-json}]",
      "  execution-status: {success-exit-codes: [0, 3]}",
      "  filesystem: {deduplicate: true, filter: {workspace: ['!x'], system: [/usr]}}",
    );
    expect(command).toMatchObject({
      kind: "command",
      run: { pieces: ["echo a\necho ", { kind: "member", name: "id", at: { line: 3, column: 29 } }] },
      if: { kind: "member", name: "id" },
      env: [
        { name: "A", value: "x", cacheKey: "included" },
        { name: "B", value: "y", cacheKey: "excluded" },
        { name: "C", value: null, cacheKey: "included" },
      ],
      envConfig: {
        inherit: "all-used-tasks",
        merge: { P: { strategy: "join", by: "," }, Q: { strategy: "override" } },
      },
      cache: { enabled: true, ttlMs: 7_200_000, ttl: null },
      timeout: "30m",
      terminateGraceSeconds: 5,
      outputs: {
        artifacts: [{ key: "k", path: "p" }],
        testResults: [{ path: "r.json", framework: "f", language: "l" }],
        problems: [
          { kind: "matcher", matcher: "tsc" },
          { kind: "file", path: "p.json", format: "problem-json" },
        ],
        successExitCodes: [0, 3],
        filesystem: {
          enabled: true,
          deduplicate: true,
          workspaceFilter: [{ path: "!x", cacheKey: "included" }],
          systemFilter: [{ path: "/usr", cacheKey: "included" }],
        },
      },
      notExecuted: [],
    });
  });

  test("plain JSON data", () => {
    const definition = definitionOf(task("run: 'echo ${{ init.a ? 5 : tasks }}'", "parallel: 3", "agent: {cpus: 1}"));
    expect(JSON.parse(JSON.stringify(definition))).toEqual(definition);
  });

  test("defaults part of every agent that says nothing else", () => {
    const text = `defaults: {agent: {cpus: 4, memory: 1gb}}\n${task(run, "agent: {memory: 2gb}")}\n  - {key: b, run: x}`;
    const agents = definitionOf(text).tasks.map((one) =>
      one.kind === "command" ? [one.agent.cpus, one.agent.memory] : [],
    );
    expect(agents).toEqual([
      ["4", "2gb"],
      ["4", "1gb"],
    ]);
  });

  test("references of the tasks that expressions name, sorted and once each", () => {
    const text =
      "tasks:\n  - {key: a, run: 'echo ${{ tasks.c.id }} ${{ tasks.b.id }} ${{ tasks.c.id }}'}\n  - {key: b, run: x}\n  - {key: c, run: x}";
    expect(definitionOf(text).tasks[0]?.references).toEqual(["b", "c"]);
  });

  test("a condition's tasks part of `after`", () => {
    const text =
      "tasks:\n  - {key: a, run: x}\n  - {key: b, run: x}\n  - {key: c, run: x, after: '${{ b.failed && a.succeeded }}'}";
    expect(definitionOf(text).tasks[2]?.after).toMatchObject({
      tasks: ["a", "b"],
      condition: { kind: "binary", operator: "&&" },
    });
  });

  test("a package task of its name, version and parameters", () => {
    const [first] = definitionOf(task("call: git/clone 2.1.0", "with: {repository: x, lfs: true}")).tasks;
    expect(first as PackageTask).toMatchObject({
      kind: "package",
      name: "git/clone",
      version: "2.1.0",
      with: { repository: { value: "x", at: { line: 4, column: 12 } }, lfs: { value: "true" } },
      notExecuted: [],
    });
  });

  test("one list of init names from all triggers", () => {
    const { triggers } = definitionOf(
      `on:\n  cli: {init: {b: x}}\n  github: {push: {init: {a: y, b: z}}}\n${task(run)}`,
    );
    expect(triggers.initNames).toEqual(["a", "b"]);
    expect(triggers.cli?.init).toEqual({ b: "x" });
    expect(triggers.others.map(({ path }) => path)).toEqual(["github.push"]);
  });

  test("a merge key's values only of keys that are not there, the later source first", () => {
    const text = `aliases:\n  one: &one {A: "1", B: "1"}\n  two: &two {B: "2", C: "2"}\n${task(run, "env:", '  C: "3"', "  <<: [*one, *two]")}`;
    const [first] = definitionOf(text).tasks;
    expect(first?.kind === "command" && first.env.map(({ name, value }) => `${name}${String(value)}`)).toEqual([
      "C3",
      "A1",
      "B2",
    ]);
  });

  test("names like __proto__ names like any other", () => {
    const definition = definitionOf(task("call: a/b 1.0.0", "with: {__proto__: x, constructor: y}"));
    const [first] = definition.tasks;
    expect(first?.kind === "package" && Object.keys(first.with)).toEqual(["__proto__", "constructor"]);
  });

  test("a list of what is valid and not executed, with places", () => {
    expect(
      featuresOf(
        task(
          run,
          "docker: true",
          "parallel: 2",
          "retry: {count: 1, action: echo}",
          "tool-cache: x",
          "agent: {static-ips: x}",
        ),
      ),
    ).toEqual(["docker 4:5", "parallel 5:5", "retry 6:5", "tool-cache 7:5", "static-ips 8:13"]);
    expect(featuresOf(task(run, "background-processes: [{key: b, run: x, ready-check: y}]"))).toEqual([
      "background-processes 4:5",
    ]);
    expect(featuresOf(task("call: nodejs/install 1.0.0"))).toEqual(["package 3:5"]);
    expect(featuresOf(task("call: mesh/checkout"))).toEqual([]);
    expect(featuresOf(task("call: ${{ run.dir }}/x.yml"))).toEqual(["local-package 3:5"]);
    expect(featuresOf(task("call: ${{ run.dir }}/x.yml", "init: inherit"))).toEqual(["embedded-run 3:5"]);
    expect(featuresOf(task(run, "app: {endpoint: web, port: 3000}"))).toEqual(["app-task 4:5"]);
    expect(featuresOf(`base: {call: "\${{ run.dir }}/b.yml"}\n${task(run)}`)).toEqual(["base-call 1:1"]);
    expect(featuresOf(`concurrency-pools: [{id: x, on-overflow: queue}]\n${task(run)}`)).toEqual([
      "concurrency-pools 1:1",
    ]);
    expect(featuresOf("tasks:\n  - include: _x.yml")).toEqual(["include 2:5"]);
    expect(featuresOf(task("if: ${{ run.id =~ '(?=x)' }}", run))).toEqual(["unsupported-pattern 3:23"]);
  });
});
