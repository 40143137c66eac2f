// The commands that look at runs, over what real runs left.

import { describe, expect } from "bun:test";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { testIf } from "../support/require.ts";
import { Project } from "./harness.ts";

const NEEDS = ["binary", "user-namespaces"] as const;

const DEFINITION = `
tasks:
  - key: code
    call: mesh/checkout 1.0.0
  - key: build
    use: code
    filter: [src/**]
    env: { MODE: fast }
    run: |
      cat src/*; echo warned >&2
      mkdir out; cp -r src/* out; echo 7 > $MESH_VALUES/answer
    outputs:
      artifacts: [{ key: out, path: out }]
`;

/** A task that prints until it is stopped. */
const SLOW = 'tasks:\n  - { key: slow, run: "while true; do echo tick; sleep 0.05; done" }\n';

describe("after a run", () => {
  testIf(NEEDS, "results, logs, artifacts and explain show what it left", async () => {
    using project = new Project();
    project.write("src/a", "content of a\n");
    const { run } = await project.run(DEFINITION);
    const results = await project.mesh(["results"]);
    expect(results.code).toBe(0);
    expect(results.out).toMatch(/✓ {2}build {2}executed +\d+ ms {2}1 artifact/);
    expect((await project.mesh(["results", run.id.slice(0, 12), "--task", "build"])).out).toContain(
      "Values\n  answer  7\n",
    );
    expect(await project.mesh(["logs", "build"])).toMatchObject({ code: 0, out: "content of a\n", err: "warned\n" });
    expect((await project.mesh(["artifacts"])).out).toContain("build  out  out/");
    expect((await project.mesh(["artifacts", "download", "build", "out", "--output", "got"])).code).toBe(0);
    expect(readFileSync(join(project.directory, "got/out/a"), "utf8")).toBe("content of a\n");
    expect((await project.mesh(["explain", "build"])).out).toStartWith("build: executed on ");
    expect((await project.mesh(["explain", "tasks.yml"])).out).toContain("Longest path: code > build");
  });

  testIf(NEEDS, "why names the variable and the files that changed", async () => {
    using project = new Project();
    project.write("src/a", "a");
    project.write("src/gone", "x");
    await project.run(DEFINITION);
    expect((await project.mesh(["why", "build"])).out).toBe("build ran because there was no earlier result of it.\n");
    await project.run(DEFINITION);
    expect((await project.mesh(["why", "build"])).out).toStartWith("build came from the cache: run ");
    project.write("src/a", "A");
    project.write("src/new", "n");
    rmSync(join(project.directory, "src/gone"));
    await project.run(DEFINITION.replace("fast", "slow"));
    expect((await project.mesh(["why", "build"])).out.split("\n").slice(1)).toEqual([
      '  ~ env MODE differs: "fast" -> "slow"',
      "  ~ input file src/a changed",
      "  - input file src/gone removed",
      "  + input file src/new added",
      "",
    ]);
  });

  testIf(NEEDS, "verify finds a damaged blob, and the run after makes it again", async () => {
    using project = new Project();
    project.write("src/a", "a");
    const definition =
      'tasks:\n  - key: a\n    run: "echo hello > f"\n    outputs:\n      artifacts: [{ key: f, path: f }]\n';
    const { run } = await project.run(definition);
    const digest =
      (run.tasks[0]?.outputs.artifacts[0] as { digest: string } | undefined)?.digest.slice("sha256:".length) ?? "";
    expect((await project.mesh(["cache", "verify"])).code).toBe(0);
    await Bun.write(join(project.home, "blobs", digest.slice(0, 2), digest), "hellO\n");
    const verify = await project.mesh(["cache", "verify"]);
    expect([verify.code, verify.out.split("\n")[0]]).toEqual([
      5,
      `✗ blob sha256:${digest}: its bytes have another digest`,
    ]);
    expect((await project.run(definition)).task("a").status.finished).toBe("executed");
  });
});

describe("while a run goes on", () => {
  testIf(NEEDS, "runs, logs --follow and cancel work from another process", async () => {
    using project = new Project();
    project.write("tasks.yml", SLOW);
    const driver = project.start(["run", "tasks.yml", "--json"]);
    const lines = readerOf(driver);
    let seen = "";
    while (!seen.includes('"task-output"')) seen += new TextDecoder().decode((await lines.read()).value);
    const id = /"run":"([0-9a-z]{18})"/.exec(seen)?.[1] ?? "";
    const follower = project.start(["logs", id, "slow", "--follow"]);
    const followed = readerOf(follower);
    expect(new TextDecoder().decode((await followed.read()).value)).toStartWith("tick\n");
    expect((await project.mesh(["runs"])).out).toContain("●");
    expect((await project.mesh(["cancel", id])).code).toBe(0);
    const drained = (async () => {
      while (!(await lines.read()).done);
    })();
    await Promise.all([drained, driver.exited]);
    expect(driver.exitCode).toBe(130);
    while (!(await followed.read()).done);
    expect(await follower.exited).toBe(0);
    expect((await project.mesh(["cancel", id])).code).toBe(2);
  });

  testIf(NEEDS, "a run whose process was killed is called interrupted, and retry takes it up", async () => {
    using project = new Project();
    project.write(
      "tasks.yml",
      'tasks:\n  - { key: quick, run: "true" }\n  - { key: slow, use: quick, run: "[ -e /workspace/stop ] || sleep 60" }\n',
    );
    const driver = project.start(["run", "tasks.yml", "--json"]);
    const lines = readerOf(driver);
    let seen = "";
    while (!seen.includes('"task-started","task":"slow"')) seen += new TextDecoder().decode((await lines.read()).value);
    // what it has journalled is what others can see of it
    while (!(await project.mesh(["results"])).out.includes("slow   running"));
    driver.kill("SIGKILL");
    await driver.exited;
    expect((await project.mesh(["runs"])).out).toContain("!  ");
    expect((await project.mesh(["results"])).out).toContain("slow   interrupted");
    project.write(
      "tasks.yml",
      'tasks:\n  - { key: quick, run: "true" }\n  - { key: slow, use: quick, run: "echo done" }\n',
    );
    const retried = await project.mesh(["retry"]);
    expect(retried.code).toBe(0);
    expect(retried.out).toMatch(/✓ 2 tasks: 1 from cache, 1 executed in /);
  });
});

function readerOf(child: ReturnType<Project["start"]>) {
  return (child.stdout as ReadableStream<Uint8Array>).getReader();
}
