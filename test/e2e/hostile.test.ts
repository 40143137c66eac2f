import { expect } from "bun:test";
import { existsSync, readFileSync, readdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LIMITS } from "../../src/base/limits.ts";
import { testIf } from "../support/require.ts";
import { Project, outcomes } from "./harness.ts";

const NEEDS = ["linux", "binary", "user-namespaces", "overlay-in-user-namespace"] as const;

/** A time to sleep that no other test run on this machine sleeps: by it the sleeper is found. */
function napOf(seconds: number): string {
  return `${seconds}.${process.pid}`;
}

/** Processes of this machine whose command line holds `text`. */
function processesWith(text: string): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, "utf8").includes(text);
      } catch {
        return false;
      }
    })
    .map(Number);
}

async function until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("The condition did not come true in time");
    await Bun.sleep(20);
  }
}

testIf(NEEDS, "a task's setsid child does not survive it", async () => {
  using project = new Project();
  const { code } = await project.run(`
tasks:
  - key: leaves
    run: setsid sleep ${napOf(31415)} > /dev/null 2>&1 < /dev/null & sleep 0.1
`);
  expect(code).toBe(0);
  await until(() => processesWith(napOf(31415)).length === 0);
});

testIf(NEEDS, "a task without end is stopped at its timeout, with its children, and says so", async () => {
  using project = new Project();
  const { code, task } = await project.run(`
tasks:
  - key: sleeps
    timeout: 1s
    run: sleep ${napOf(27182)} & sleep ${napOf(27182)}
`);
  expect(code).toBe(1);
  expect(
    task("sleeps")
      .messages.map(({ text }) => text)
      .join(),
  ).toContain("timeout");
  expect(processesWith(napOf(27182))).toEqual([]);
});

testIf(NEEDS, "a grace period lets a task end by itself after SIGTERM", async () => {
  using project = new Project();
  const { out } = await project.run(`
tasks:
  - key: graceful
    timeout: 1s
    terminate-grace-period-seconds: 10
    run: |
      trap 'echo cleaned up; exit 0' TERM
      while true; do sleep 0.1; done
`);
  const log = await project.mesh(["logs", "graceful"]);
  expect(out).toContain("timed-out");
  expect(log.out).toContain("cleaned up");
});

testIf([...NEEDS, "root"], "a task over its memory is reported as out of memory", async () => {
  using project = new Project();
  const { code, task } = await project.run(`
tasks:
  - key: hog
    agent:
      memory: 64mb
    run: head -c 300000000 /dev/zero | tail -c 300000000 | wc -c
`);
  expect(code).toBe(1);
  expect(
    task("hog")
      .messages.map(({ text }) => text)
      .join(),
  ).toContain("memory");
});

testIf(
  [...NEEDS, "perl"],
  "a fork bomb ends at the pids limit and takes nothing with it",
  async () => {
    using project = new Project();
    const { code, run, task } = await project.run(`
tasks:
  - key: bomb
    timeout: 60s
    # Bare forks that stay reach the bound in a moment. A shell that starts programs may take longer than any timeout.
    run: |
      exec perl -e '$| = 1; while (1) {
        my $child = fork;
        if (!defined $child) { print "refused after $born"; exit 3 }
        if ($child == 0) { sleep 600; exit }
        $born++;
      }'
  - key: neighbour
    run: "true"
`);
    expect(code).toBe(1);
    expect(run.tasks.map(({ status }) => status.result)).toEqual(["failed", "succeeded"]);
    // where nothing refuses root a process, its context is ended instead
    const { exitCode, signal, messages } = task("bomb");
    expect([exitCode, signal]).toEqual(signal === null ? [3, null] : [null, "SIGKILL"]);
    expect(messages.map(({ text }) => text).join()).not.toContain("timeout");
    const { out } = await project.mesh(["logs", "bomb"]);
    if (signal === null) expect(Number(/^refused after (\d+)/.exec(out)?.[1])).toBeWithin(1_000, LIMITS.taskPids);
  },
  90_000,
);

testIf(
  NEEDS,
  "100 MB of output are cut, and what was cut is said",
  async () => {
    using project = new Project();
    const { code } = await project.run(`
tasks:
  - key: loud
    run: echo first; head -c 100000000 /dev/zero | tr '\\0' 'x'; echo; echo last
`);
    expect(code).toBe(0);
    const log = await project.mesh(["logs", "loud"]);
    expect(log.out.slice(0, 6)).toBe("first\n");
    expect(log.out.trimEnd().endsWith("last")).toBe(true);
    expect(log.out.length).toBeLessThan(40_000_000);
    expect(/\[\.\.\. .* left out \.\.\.\]/.test(log.out)).toBe(true);
  },
  120_000,
);

testIf(NEEDS, "stdout and stderr are kept apart, and /dev/stderr can be opened", async () => {
  using project = new Project();
  await project.run(`
tasks:
  - key: both
    run: echo to-out; echo to-err > /dev/stderr; echo again > /dev/stdout
`);
  expect((await project.mesh(["logs", "both", "--stdout"])).out).toBe("to-out\nagain\n");
  expect((await project.mesh(["logs", "both", "--stderr"])).err).toBe("to-err\n");
});

testIf(NEEDS, "a task may remove its own workspace, and names with newlines survive", async () => {
  using project = new Project();
  const { code } = await project.run(`
tasks:
  - key: odd
    run: printf x > "$(printf 'new\\nline')"; printf y > "$(printf 'bad\\377byte')"; ln -s nowhere dangling; mkfifo pipe
  - key: sees
    use: odd
    run: test -e "$(printf 'new\\nline')" && test -e "$(printf 'bad\\377byte')" && test -L dangling && test -p pipe
  - key: removes
    use: odd
    run: cd / && rm -rf /workspace/* /workspace 2> /dev/null || true
  - key: after-removal
    use: removes
    run: test -z "$(ls -A /workspace)"
`);
  expect(code).toBe(0);
});

testIf(NEEDS, "artifacts that link out of the task's root never bring the machine's files", async () => {
  using project = new Project();
  project.write("secret.txt", "the machine's secret");
  const { code, task } = await project.run(`
tasks:
  - key: links
    run: ln -s ${project.directory}/secret.txt "$MESH_ARTIFACTS/out"
  - key: declared
    run: ln -s ${project.directory}/secret.txt out
    outputs:
      artifacts:
        - key: out
          path: out
  - key: inside
    run: echo mine > mine.txt && ln -s /workspace/mine.txt "$MESH_ARTIFACTS/ok"
`);
  expect(code).toBe(1);
  expect([task("links").status.result, task("declared").status.result, task("inside").status.result]).toEqual([
    "failed",
    "failed",
    "succeeded",
  ]);
});

testIf(NEEDS, "a task sees neither the person's files nor mesh's own", async () => {
  using project = new Project();
  project.write("private.txt", "private");
  const { code, err } = await project.run(`
tasks:
  - key: looks
    run: |
      test ! -e ${project.directory}/private.txt
      test ! -e ${project.home}
      test -z "$(ls -A /home /root /mnt /media /srv 2>/dev/null | grep -v ':$' | grep -v '^$')"
      test ! -r /etc/shadow || test ! -s /etc/shadow
`);
  expect({ code, err }).toEqual({ code: 0, err: "" });
});

testIf(NEEDS, "a corrupt blob is noticed, dropped, and its task runs again", async () => {
  using project = new Project();
  const definition = `
tasks:
  - key: makes
    run: head -c 100000 /dev/zero > big && cp big "$MESH_ARTIFACTS/big"
  - key: takes
    run: cksum "\${{ tasks.makes.artifacts.big }}"
`;
  expect((await project.run(definition)).code).toBe(0);
  const blobs = join(project.home, "blobs");
  let spoilt = 0;
  for (const name of readdirSync(blobs, { recursive: true, encoding: "utf8" })) {
    const path = join(blobs, name);
    if (!statSync(path).isFile() || statSync(path).size < 100_000) continue;
    truncateSync(path, 50_000);
    spoilt++;
  }
  expect(spoilt).toBeGreaterThan(0);
  const again = await project.run(definition.replace("cksum", "wc -c"));
  expect({ code: again.code, outcomes: outcomes(again.run) }).toEqual({
    code: 0,
    outcomes: { makes: "succeeded", takes: "succeeded" },
  });
  expect((await project.mesh(["cache", "verify"])).code).toBe(0);
});

testIf(NEEDS, "a corrupt index is set aside and everything runs again", async () => {
  using project = new Project();
  const definition = "tasks:\n  - key: a\n    run: echo a > a\n";
  await project.run(definition);
  const index = join(project.home, "index.sqlite");
  const bytes = readFileSync(index);
  bytes.fill(0x55, 0, Math.min(bytes.length, 65_536));
  writeFileSync(index, bytes);
  for (const suffix of ["-wal", "-shm"]) if (existsSync(index + suffix)) truncateSync(index + suffix, 0);
  const again = await project.run(definition);
  expect({ code: again.code, outcomes: outcomes(again.run) }).toEqual({ code: 0, outcomes: { a: "succeeded" } });
});

testIf(
  NEEDS,
  "kill -9 of mesh leaves no process; the next run takes up what was done and tells the truth about the last",
  async () => {
    using project = new Project();
    project.write(
      "tasks.yml",
      `
tasks:
  - key: quick
    run: echo done > done
  - key: slow
    use: quick
    run: sleep ${napOf(16180)}
    timeout: 2s
`,
    );
    const child = project.start(["run", "tasks.yml", "--json"]);
    await until(() => processesWith(napOf(16180)).length > 0);
    child.kill("SIGKILL");
    await child.exited;
    await until(() => processesWith(napOf(16180)).length === 0);
    const runs = JSON.parse((await project.mesh(["runs", "list", "--json"])).out) as {
      runs?: { status: { execution: string } }[];
    };
    expect(JSON.stringify(runs)).toContain("aborted");
    const again = await project.mesh(["run", "tasks.yml", "--json"]);
    expect(again.out).toContain("cacheHit");
    expect(again.code).toBe(1);
    expect(readdirSync(join(project.home, "scratch"))).toEqual([]);
  },
);

testIf(NEEDS, "Ctrl-C stops everything, leaves nothing behind and exits with 130", async () => {
  using project = new Project();
  project.write("tasks.yml", `tasks:\n  - key: slow\n    run: sleep ${napOf(14142)}\n`);
  const child = project.start(["run", "tasks.yml"]);
  await until(() => processesWith(napOf(14142)).length > 0);
  child.kill("SIGINT");
  expect(await child.exited).toBe(130);
  expect(processesWith(napOf(14142))).toEqual([]);
  expect(readdirSync(join(project.home, "scratch"))).toEqual([]);
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(project.home);
});

testIf(NEEDS, "the same key in two runs at once runs once", async () => {
  using project = new Project();
  project.write("tasks.yml", "tasks:\n  - key: once\n    run: sleep 1; date +%N > stamp; cat stamp\n");
  const [first, second] = await Promise.all([
    project.mesh(["run", "tasks.yml", "--json"]),
    project.mesh(["run", "tasks.yml", "--json"]),
  ]);
  expect([first.code, second.code, first.err + second.err]).toEqual([0, 0, ""]);
  const finished = [first, second].map(
    ({ out }) =>
      JSON.parse(out.trimEnd().split("\n").at(-1) ?? "") as {
        run?: { tasks: { status: { finished: string } }[] };
        tasks?: { status: { finished: string } }[];
      },
  );
  expect(
    finished.map((run) => (run.run ?? run).tasks?.[0]?.status.finished ?? "").toSorted((a, b) => a.localeCompare(b)),
  ).toEqual(["cacheHit", "executed"]);
});

testIf(NEEDS, "the same key twice in one run runs once", async () => {
  using project = new Project();
  const { run } = await project.run(`
tasks:
  - key: one
    run: sleep 0.3; echo same
  - key: two
    run: sleep 0.3; echo same
`);
  expect(Object.values(outcomes(run)).sort()).toEqual(["cacheHit", "succeeded"]);
});

testIf([...NEEDS, "root"], "a full disk is said, and the store stays sound", async () => {
  using project = new Project({ wrapper: ["unshare", "--mount", "--propagation", "private", "--"] });
  project.write("tasks.yml", "tasks:\n  - key: fills\n    run: head -c 200000000 /dev/zero > big\n");
  project.write("small.yml", "tasks:\n  - key: small\n    run: echo small > small\n");
  const mounted = join(project.directory, "small-disk");
  const script = `mkdir -p ${mounted} && mount -t tmpfs -o size=48m tmpfs ${mounted} && export MESH_HOME=${mounted}/home && "$0" run tasks.yml; first=$?; "$0" run small.yml; echo "codes $first $?"`;
  const child = Bun.spawn([...project.wrapper, "sh", "-c", script, (await import("../support/binary.ts")).meshBinary], {
    cwd: project.directory,
    env: project.environment,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  expect(out).toContain("codes 1 0");
  expect(out + err).toMatch(/disk .*full|no space/i);
});

testIf(
  [...NEEDS, "root"],
  "without user namespaces mesh says so, and runs without isolation when told to",
  async () => {
    using project = new Project();
    project.write(
      "tasks.yml",
      'tasks:\n  - key: a\n    run: echo hi > a\n  - key: b\n    use: a\n    run: test "$(cat a)" = hi\n',
    );
    const run = async (...args: string[]) => {
      const { meshBinary } = await import("../support/binary.ts");
      const child = Bun.spawn(
        [
          "unshare",
          "--user",
          "--map-root-user",
          "sh",
          "-c",
          'echo 0 > /proc/sys/user/max_user_namespaces; exec "$0" "$@"',
          meshBinary,
          "run",
          "tasks.yml",
          ...args,
        ],
        { cwd: project.directory, env: project.environment, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
      );
      const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
      return { code: await child.exited, out, err };
    };
    const refused = await run();
    expect(refused.code).toBe(3);
    expect(refused.out + refused.err).toContain("--isolation process");
    const plain = await run("--isolation", "process");
    expect(plain.code).toBe(0);
    expect(plain.out + plain.err).toMatch(/nothing is isolated/i);
  },
);

testIf([...NEEDS, "ordinary-user"], "a MESH_HOME that cannot be written is an error with a remedy", async () => {
  using project = new Project({ home: "/proc/mesh" });
  project.write("tasks.yml", 'tasks:\n  - key: a\n    run: "true"\n');
  const { code, err } = await project.mesh(["run", "tasks.yml"]);
  expect(code).toBe(4);
  expect(err).toContain("MESH_HOME");
});
