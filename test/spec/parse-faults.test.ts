import { describe, expect, test } from "bun:test";
import { LIMITS } from "../../src/base/limits.ts";
import { RULES, type RuleName } from "../../src/spec/diagnostic.ts";
import { parseDefinition } from "../../src/spec/parse.ts";
import { found, shortly, task, unmark } from "./marked.ts";

/** Name, the rule of every fault in the order of their places, and the text with those places marked. */
type Case = readonly [name: string, rules: RuleName | readonly RuleName[], marked: string, file?: string];

const run = "run: echo hi";

const CASES: readonly Case[] = [
  // The document.
  ["a quote that is never closed", "yaml-syntax", 'tasks:\n  - key: a\n    run: "echo«»'],
  ["a tab as indentation", "yaml-tab", "tasks:\n«\t»- key: a\n"],
  ["a second document", "yaml-documents", "tasks:\n  - key: a\n    run: x\n«---»\nb: 1\n"],
  ["an alias without its anchor", "yaml-alias", task("run: «*nothing»")],
  ["an alias inside its own anchor", "yaml-alias", `aliases: &all\n  - «*all»\n${task(run)}`],
  ["a key that is a list", "yaml-key", `«[»a, b]: 1\n${task(run)}`],
  ["a tag", "yaml-tag", task(run, "filter:", "  - «!node_modules»")],
  ["a merge key of text", "yaml-merge", task(run, "env:", "  «<<»: text")],
  ["lists nested too deeply", "too-large", `aliases: ${"[".repeat(63)}«[»[[${"]".repeat(66)}\n${task(run)}`],
  ["a key twice", "duplicate-key", task(run, "«run»: echo again")],
  ["an empty file", "missing-key", "«»"],
  ["a list of words", "wrong-type", "«-» a\n- b"],

  // Keys and types.
  ["a misspelt key", "unknown-key", task(run, "«filtr»: [src]")],
  ["a misspelt kind", "unknown-key", task("«runn»: echo hi")],
  ["a misspelt key at the top", "unknown-key", `«task»: []\n${task(run)}`],
  ["a key of another kind of task", "unknown-key", task("call: mesh/checkout", "«timeout»: 5m")],
  ["no tasks", "missing-key", "«base»:\n  image: host"],
  ["an empty list of tasks", "missing-key", "tasks: «[]»"],
  ["a map of tasks", "wrong-type", "tasks:\n  «build»:\n    run: x"],
  ["a task without kind", "missing-key", "tasks:\n  - «key»: a"],
  ["a task without key", "missing-key", "tasks:\n  - «run»: x"],
  ["an empty script", "missing-key", task("run: «''»")],
  ["a script that is a map", "wrong-type", task("run: «{a: 1}»")],
  ["env that is a list", "wrong-type", task(run, "env: «[A]»")],
  ["a docker mode that does not exist", "wrong-type", task(run, "docker: «perhaps»")],
  ["a key without value", "empty-value", task(run, "«use»:")],
  ["a version that loses a digit", "lossy-number", task(run, "env:", "  GO: «1.20»")],
  ["the old timeout", "deprecated", task(run, "«timeout-minutes»: 5")],
  ["the old runner", "deprecated", task(run, "«runner»: {cpus: 2}")],
  ["the old base", "deprecated", `base:\n  «os»: ubuntu 24.04\n  tag: 1.1\n${task(run)}`],
  ["both timeouts", ["deprecated", "mutually-exclusive"], task(run, "timeout: 5m", "«timeout-minutes»: 5")],
  ["image and os", ["deprecated", "mutually-exclusive"], `base:\n  image: host\n  «os»: ubuntu 24.04\n${task(run)}`],

  // Tasks.
  ["a key with a space", "task-key", "tasks:\n  - key: «a b»\n    run: x"],
  ["a path that ends with a dot in use", "task-key", task(run, "use: «a.»")],
  ["a path into no task", "unknown-task", task(run, "use: «x.b»")],
  ["a path into a command", "doubtful-context", `${task(run)}\n  - key: c\n    use: «a.b»\n    run: x`],
  ["the old root of contexts", "doubtful-context", task("run: echo ${{ «mint.run.git.branch» }}")],
  ["two tasks of one key", "duplicate-task", `${task(run)}\n  - key: «a»\n    run: y`],
  [
    "a used task that does not exist",
    "unknown-task",
    `${task(run)}\n  - key: bundle\n    run: y\n    use: [a, «bundel»]`,
  ],
  ["an awaited task that does not exist", "unknown-task", task(run, "after: «nobody»")],
  ["a target that does not exist", "unknown-task", `on:\n  github:\n    push:\n      target: «nobody»\n${task(run)}`],
  ["an inherited task that does not exist", "unknown-task", task(run, "env-config:", "  inherit: [«nobody»]")],
  ["a task that waits for itself", "cycle", task(run, "use: «a»")],
  ["two tasks that wait for one another", "cycle", `${task(run, "use: b")}\n  - key: b\n    run: y\n    after: «a»`],
  [
    "a circle through a value",
    "cycle",
    `${task("run: echo ${{ tasks.b.values.x }}")}\n  - key: b\n    run: echo 1 > $MESH_VALUES/x\n    use: «a»`,
  ],
  ["package.use in a run", "unknown-task", task(run, "use: «package.use»")],

  // Expressions.
  ["an expression that is never closed", "expression-syntax", task("run: echo «${{» init.x")],
  ["an expression with nothing in it", "expression-syntax", task("run: echo ${{ «}}»")],
  ["an operator that does not exist", "expression-syntax", task("run: echo ${{ 1 «+» 2 }}")],
  ["a text that is never closed", "expression-syntax", task("run: echo ${{ «'»x }}")],
  ["a second operand missing", "expression-syntax", task("run: echo ${{ run.id == «}}»")],
  ["a chain of comparisons", "expression-syntax", task("run: echo ${{ 1 < 2 «<» 3 }}")],
  ["a fault in a block, in its line", "expression-syntax", task("run: |", "  echo one", "  echo ${{ run.id «^» 2 }}")],
  ["a fault after an escape in quotes", "expression-syntax", task('run: "echo \\t\\"x\\" ${{ 1 «%» 2 }}"')],
  ["a fault in a folded block", "unknown-context", task("run: >", "  echo one", "  two ${{ «nope.x» }}")],
  ["a condition without braces", "expression-syntax", task(run, "if: «init.x == 'y'»")],
  ["a condition in two expressions", "expression-syntax", task(run, "if: «${{ run.id }} && ${{ run.dir }}»")],
  ["a function with one argument", "expression-syntax", task("run: echo ${{ «contains»('x') }}")],
  ["a pattern that cannot be", "expression-syntax", task("if: ${{ run.id =~ «'('» }}", run)],
  ["an expression in use", "expression-not-allowed", task(run, "use: «${{ init.x }}»")],
  [
    "an expression in a default",
    "expression-not-allowed",
    `package:\n  parameters:\n    x: {default: «"\${{ run.id }}"»}\n${task(run)}`,
  ],
  ["a context that does not exist", "unknown-context", task("run: echo ${{ «secret.X» }}")],
  ["text without quotes", "unknown-context", task("if: ${{ run.title == «main» }}", run)],
  ["tasks in a trigger", "unknown-context", `on:\n  cli:\n    init:\n      x: \${{ «tasks.a.id» }}\n${task(run)}`],
  [
    "tasks in the base",
    "unknown-context",
    `base:\n  image: \${{ «tasks.a.values.x» }}\n${task("run: echo 1 > $RWX_VALUES/x")}`,
  ],
  ["params outside of a package", "unknown-context", task("run: echo ${{ «params.x» }}")],
  ["a misspelt function", "unknown-function", task("if: ${{ «startswith»(run.id, 'x') }}", run)],
  [
    "an init that no trigger gives",
    "unknown-init",
    `on:\n  cli:\n    init:\n      commit: x\n${task("run: echo ${{ «init.comit» }}")}`,
  ],
  [
    "an init that no trigger gives, where the command line is free to",
    "doubtful-context",
    `on: {github: {push: {init: {commit: x}}}}\n${task("run: echo ${{ «init.dry-run» }}")}`,
  ],
  [
    "a misspelt init, where the command line is free",
    "unknown-init",
    `on: {github: {push: {init: {commit: x}}}}\n${task("run: echo ${{ «init.comit» }}")}`,
  ],
  [
    "a parameter that is not declared",
    "unknown-param",
    `package:\n  parameters:\n    version: {}\n${task("run: echo ${{ «params.verson» }}")}`,
  ],
  ["parallel in a single task", "unknown-parallel", task("run: echo ${{ «parallel.index» }}")],
  [
    "a name that the matrix does not have",
    "unknown-parallel",
    task("run: echo ${{ «parallel.oss» }}", "parallel:", "  matrix: {os: [a, b]}"),
  ],
  ["a misspelt member of run", "unknown-member", task("run: echo ${{ «run.dri» }}")],
  [
    "a member that tasks do not have",
    "unknown-member",
    `${task(run)}\n  - key: b\n    run: echo \${{ «tasks.a.value.x» }}`,
  ],
  [
    "a state that tasks do not have",
    "unknown-member",
    `${task(run)}\n  - key: b\n    run: x\n    after: \${{ «a.suceeded» }}`,
  ],
  ["a state of a task that does not exist", "unknown-task", task(run, "after: ${{ «nobody.failed» }}")],
  ["a task that does not exist in an expression", "unknown-task", task("run: echo ${{ «tasks.nobody.values.x» }}")],
  [
    "a value that cannot be written",
    "unknown-value",
    `${task(run)}\n  - key: b\n    run: echo \${{ «tasks.a.values.x» }}`,
  ],
  [
    "a value of another name",
    "unknown-value",
    `${task("run: echo 1 > $RWX_VALUES/version")}\n  - key: b\n    run: echo \${{ «tasks.a.values.verson» }}`,
  ],
  [
    "a value of mesh/checkout",
    "unknown-value",
    `${task("call: mesh/checkout")}\n  - key: b\n    run: echo \${{ «tasks.a.values.x» }}`,
  ],
  [
    "an artifact that cannot be made",
    "unknown-artifact",
    `${task(run, "outputs:", "  artifacts:", "    - {key: bin, path: bin}")}\n  - key: b\n    run: cp \${{ «tasks.a.artifacts.bni» }} .`,
  ],
  [
    "a value that another program may write",
    "doubtful-value",
    `${task("run: ./build.sh")}\n  - key: b\n    run: echo \${{ «tasks.a.values.x» }}`,
  ],
  [
    "an artifact that another program may make",
    "doubtful-artifact",
    `${task("run: make")}\n  - key: b\n    run: cp \${{ «tasks.a.artifacts.x» }} .`,
  ],
  ["a member of run that is not known", "doubtful-context", task("run: echo ${{ «run.commander» }}")],
  ["a function that is not known", "doubtful-context", task("run: echo ${{ «quadrangle»(1) }}")],
  [
    "a function that only resembles a known one",
    "doubtful-context",
    task("run: echo ${{ «contains-any»(run.id, 'x') }}"),
  ],
  [
    "a member that tasks may have",
    "doubtful-context",
    `${task(run)}\n  - key: b\n    run: echo \${{ «tasks.a.duration» }}`,
  ],
  ["a pattern with lookahead", "unsupported-pattern", task("if: ${{ run.id =~ «'(?=x)y'» }}", run)],

  // What the small things say.
  ["a variable with an equals sign", "env-name", task(run, "env:", "  «A=B»: x")],
  ["a variable that a shell cannot read", "odd-env-name", task(run, "env:", "  «npm.token»: x")],
  ["a variable without value or cache-key", "missing-key", task(run, "env:", "  A: «{}»")],
  ["a cache-key that does not exist", "invalid-value", task(run, "env:", "  A: {value: x, cache-key: «include»}")],
  ["a merge by join without by", "missing-key", task(run, "env-config:", "  merge:", "    A: {«strategy»: join}")],
  ["CPUs in words", "amount", task(run, "agent: {cpus: «two»}")],
  ["no CPUs", "amount", task(run, "agent: {cpus: «0»}")],
  ["memory without unit", "amount", task(run, "agent: {memory: «16»}")],
  ["GPUs below zero", "amount", task(run, "agent: {gpu: «-1»}")],
  ["a system that does not exist", "invalid-value", task(run, "agent: {os: «linx»}")],
  ["a network that does not exist", "invalid-value", task(run, "agent: {network: «bridge»}")],
  ["an architecture that does not exist", "invalid-value", `base: {image: host, arch: «amd64»}\n${task(run)}`],
  ["a timeout in words", "duration", task(run, "timeout: «soon»")],
  ["a timeout of nothing", "duration", task(run, "timeout: «0m»")],
  ["a timeout of a month", "duration", task(run, "timeout: «31 days»")],
  ["a ttl without unit", "duration", task(run, "cache: {ttl: «5»}")],
  ["a ttl on a package", "unknown-key", task("call: mesh/checkout", "cache: {enabled: true, «ttl»: 1 day}")],
  [
    "an exit code of 256",
    "exit-code",
    task(run, "outputs:", "  execution-status:", "    success-exit-codes: [0, «256»]"),
  ],
  ["an empty pattern", "filter-pattern", task(run, "filter: [«''»]")],
  ["a pattern that climbs", "filter-pattern", task(run, "filter: [«../x»]")],
  ["a pattern with half a brace", "filter-pattern", task(run, "filter: [«'a/{b,c'»]")],
  ["an absolute pattern", "absolute-filter", task(run, "filter: [«/src»]")],
  [
    "a relative system pattern",
    "filter-pattern",
    task(run, "outputs:", "  filesystem:", "    filter:", "      system: [«usr»]"),
  ],
  ["a filter map's odd key", "unknown-key", task(run, "filter:", "  «workspce»: [src]")],
  [
    "an artifact twice",
    "duplicate-key",
    task(run, "outputs:", "  artifacts:", "    - {key: x, path: a}", "    - {key: «x», path: b}"),
  ],
  [
    "an artifact's key with a slash",
    "invalid-value",
    task(run, "outputs:", "  artifacts:", "    - {key: «a/b», path: a}"),
  ],
  ["matcher and path", "mutually-exclusive", task(run, "outputs:", "  problems:", "    - {matcher: tsc, «path»: x}")],
  ["a cron with six numbers", "cron", `on:\n  cron:\n    - key: k\n      schedule: «0 0 * * * *»\n${task(run)}`],
  ["a minute of 60", "cron", `on:\n  cron:\n    - key: k\n      schedule: «"60 * * * *"»\n${task(run)}`],
  [
    "a time zone that does not exist",
    "cron",
    `on:\n  cron:\n    - key: k\n      schedule: «0 0 * * * Europe/Berln»\n${task(run)}`,
  ],
  ["a cron without key", "missing-key", `on:\n  cron:\n    - «schedule»: 0 0 * * *\n${task(run)}`],
  [
    "a default that is not among the values",
    "invalid-value",
    `on:\n  dispatch:\n    - key: d\n      params: [{key: p, values: [a, b], default: «c»}]\n${task(run)}`,
  ],
  ["a trigger that does not exist", "unknown-key", `on:\n  github:\n    «pull-request»: {}\n${task(run)}`],
  ["a pool without on-overflow", "missing-key", `concurrency-pools:\n  - «id»: x\n${task(run)}`],
  [
    "an overflow that does not exist",
    "invalid-value",
    `concurrency-pools:\n  - {id: x, on-overflow: «drop»}\n${task(run)}`,
  ],
  ["a package without version", "package-name", task("call: «nodejs/install»")],
  ["a package with half a version", "package-name", task("call: «nodejs/install 1.2»")],
  ["a path as package", "package-name", task("call: «./build.yml»")],
  ["a path as embedded run", "package-name", task("call: «build.yml»", "init: {x: y}")],
  [
    "a parameter that mesh/checkout does not take",
    "package-parameter",
    task("call: mesh/checkout", "with:", "  «pth»: x"),
  ],
  ["git/clone without repository", "package-parameter", task("call: «git/clone 2.1.0»")],
  [
    "a parameter that git/clone may not take",
    "doubtful-parameter",
    task("call: git/clone 2.1.0", "with:", "  repository: x", "  «wonderful-thing»: y"),
  ],
  ["a boolean parameter in words", "wrong-type", task("call: mesh/checkout", "with: {include-ignored: «maybe»}")],
  ["parallel without shape", "parallel", task(run, "parallel:", "  «key»: x")],
  ["parallel in two shapes", "mutually-exclusive", task(run, "parallel:", "  total: 2", "  «matrix»: {a: [1]}")],
  [
    "parallel values of different keys",
    "parallel",
    task(run, "parallel:", "  values:", "    - {a: 1}", "    - «{b: 2}»"),
  ],
  [
    "a problem matcher that is not built in",
    "unknown-matcher",
    task(run, "outputs: { problems: [{ matcher: «eslnt» }] }"),
  ],
  ["more parallel tasks than the limit", "parallel-limit", task(run, "«parallel»: 20")],
  ["a limit above the most", "invalid-value", task(run, "parallel: {total: 2, tasks-limit: «300»}")],
  [
    "a background process after none",
    "background-process",
    task(run, "background-processes:", "  - {key: db, run: x, after: «cache»}"),
  ],
  [
    "background processes in a circle",
    ["background-process", "background-process"],
    task(run, "background-processes:", "  - {key: x, run: x, after: «y»}", "  - {key: y, run: x, after: «x»}"),
  ],
  ["a retry in words", "wrong-type", task(run, "retry: «often»")],
  ["a grace period below zero", "invalid-value", task(run, "terminate-grace-period-seconds: «-1»")],
  ["a port that is too low", "invalid-value", task(run, "app: {endpoint: web, port: «80»}")],
  [
    "inherit-init against inherit",
    "mutually-exclusive",
    task("call: ${{ run.dir }}/b.yml", "init: inherit", "«inherit-init»: false"),
  ],
  ["a vault that is missing", "missing-key", `tool-cache: «{}»\n${task(run)}`],
  ["an included file without underscore", "invalid-value", `tasks:\n  - include: «more.yml»\n  - key: a\n    run: x`],
  [
    "a package's version with two numbers",
    "invalid-value",
    `name: a/b\nversion: «"1.0"»\nparameters: {}\n${task(run)}`,
    "rwx-package.yml",
  ],
  [
    "a package output without value",
    "missing-key",
    `package:\n  outputs:\n    values:\n      x: {«description»: y}\n${task(run)}`,
  ],
  [
    "values from a task that does not exist",
    "unknown-task",
    `package:\n  outputs:\n    values-from: [«b»]\n${task(run)}`,
  ],
  ["config release without host", "invalid-value", `base: {image: "ubuntu:24.04", config: «release»}\n${task(run)}`],
];

describe("parseDefinition()", () => {
  for (const [name, rules, marked, file] of CASES) {
    test(`finds ${name}, at its place`, () => {
      const { text, marks } = unmark(marked);
      const wanted = typeof rules === "string" ? [rules] : rules;
      const places = wanted.map((rule, index) => {
        const mark = marks[Math.min(index, marks.length - 1)];
        return `${rule} ${mark?.line}:${mark?.column}-${mark?.endColumn}`;
      });
      expect(found(text, file)).toEqual(places);
    });
  }

  test("has a case for every rule", () => {
    const covered = new Set(CASES.flatMap(([, rules]) => rules));
    const missing = Object.keys(RULES).filter((rule) => !covered.has(rule as RuleName) && rule !== "too-many");
    expect(missing).toEqual([]);
  });

  test("gives no definition when there is an error, and one when there are only remarks", () => {
    expect(parseDefinition(task("run: x", "use: b"), { file: "t.yml" }).definition).toBeNull();
    expect(parseDefinition(task("run: x", "timeout-minutes: 5"), { file: "t.yml" }).definition).not.toBeNull();
  });

  test("reports the faults of tasks that cannot be read, and of those beside them", () => {
    const { text, marks } = unmark(
      "tasks:\n  - key: a\n    «runn»: x\n    use: [«bb»]\n  - key: b\n    run: «''»\n    after: a",
    );
    const places = marks.map(({ line, column }) => `${line}:${column}`);
    expect(parseDefinition(text, { file: "t.yml" }).diagnostics.map(({ at }) => `${at.line}:${at.column}`)).toEqual(
      places,
    );
  });

  test("does not call a task unknown whose key is the fault", () => {
    expect(found("tasks:\n  - key: a b\n    run: x\n  - key: c\n    run: x")).toEqual(["task-key 2:10-13"]);
  });

  test("says a fault once that an alias brings to two places", () => {
    const text =
      "aliases:\n  - &agent {cpus: many}\ntasks:\n  - {key: a, run: x, agent: *agent}\n  - {key: b, run: x, agent: *agent}";
    expect(found(text)).toEqual(["amount 2:19-23"]);
  });

  test("shows a bounded number of faults, and how many more there are", () => {
    const lines = Array.from(
      { length: LIMITS.diagnostics + 50 },
      (_, index) => `  - {key: t${index}, run: x, nope: 1}`,
    );
    const { diagnostics } = parseDefinition(`tasks:\n${lines.join("\n")}`, { file: "t.yml" });
    expect(diagnostics).toHaveLength(LIMITS.diagnostics + 1);
    expect(diagnostics.at(-1)).toMatchObject({ rule: "too-many", message: "50 further findings not shown" });
  });

  test("shows a circle as the path that closes it", () => {
    const text = "tasks:\n  - {key: a, run: x, use: c}\n  - {key: b, run: x, use: a}\n  - {key: c, run: x, after: b}";
    const [fault] = parseDefinition(text, { file: "t.yml" }).diagnostics;
    expect(fault?.message).toBe("The tasks wait for one another: a -> c -> b -> a");
  });

  test("asks whether another word was meant, and says which are allowed", () => {
    const [fault] = parseDefinition(task("call: mesh/checkout", "wiht: {}"), { file: "t.yml" }).diagnostics;
    expect(fault?.message).toBe('Unknown key "wiht" in a package task (one with `call`)');
    expect(fault?.advice).toStartWith('Did you mean "with"? Allowed here: after, auto-cancel, ');
    expect(shortly(fault ?? expect.unreachable())).toBe("unknown-key 4:5-9");
  });
});
