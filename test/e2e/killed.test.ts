// What is left of a run whose mesh was killed with SIGKILL, at any moment.

import { expect } from "bun:test";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { SeededRandom } from "../fake/seeded-random.ts";
import { testIf } from "../support/require.ts";
import { Project } from "./harness.ts";

const NEEDS = ["linux", "binary", "user-namespaces", "overlay-in-user-namespace"] as const;
const ROUNDS = 10;
const MOST_MS = 600;

testIf(
  NEEDS,
  "kill -9 leaves no process, mount, control group or temporary folder behind",
  async () => {
    using project = new Project();
    const nap = `300.${process.pid}`;
    project.write(
      "tasks.yml",
      `
tasks:
  - key: first
    cache: false
    run: mkdir d; for i in 1 2 3; do echo $i > d/$i; chown -R 8 d; chmod 700 d; sleep 0.02; done
  - key: second
    use: first
    run: echo more > d/4; sleep ${nap}
  - key: beside
    run: (setsid sleep ${nap} &); sleep ${nap}
`,
    );
    const seed = Number(process.env["MESH_TEST_SEED"] ?? Date.now() % 1_000_000_007);
    const random = new SeededRandom(seed);
    for (let round = 0; round < ROUNDS; round++) {
      const afterMs = random.below(MOST_MS);
      const mesh = project.start(["run", "tasks.yml"], { stdout: "ignore" });
      await Bun.sleep(afterMs);
      mesh.kill("SIGKILL");
      await mesh.exited;
      const left = () => leftBy(mesh.pid, nap, project.home);
      const deadline = performance.now() + 15_000;
      while (left().length > 0 && performance.now() < deadline) await Bun.sleep(20);
      expect([`seed ${seed}, ${afterMs} ms`, left()]).toEqual([`seed ${seed}, ${afterMs} ms`, []]);
    }
    // and what was known by then is the truth
    const runs = await project.mesh(["runs", "list", "--json"]);
    const { runs: listed } = JSON.parse(runs.out) as { runs: { status: { execution: string } }[] };
    expect(listed.filter(({ status }) => status.execution !== "aborted")).toEqual([]);
    await project.mesh(["cache", "prune", "--to", "0"]);
  },
  180_000,
);

/** What can still be seen of a killed mesh. Zombies are its parent's matter. */
function leftBy(pid: number, nap: string, home: string): readonly string[] {
  const processes = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const commandLine = textOf(`/proc/${name}/cmdline`).replaceAll("\0", " ");
      return commandLine.includes(nap) || commandLine.includes(home) ? [`process ${commandLine}`] : [];
    });
  const mounts = textOf("/proc/self/mounts")
    .split("\n")
    .filter((line) => line.includes(home));
  const folders = ["tmp", "runs"].flatMap((name) =>
    existsSync(join(home, name)) ? readdirSync(join(home, name)).map((entry) => `${name}/${entry}`) : [],
  );
  const groups = ["", "memory", "pids", "cpu"]
    .map((controller) => join("/sys/fs/cgroup", controller))
    .filter((directory) => existsSync(directory))
    .flatMap((directory) => readdirSync(directory).filter((name) => name.startsWith(`mesh-${pid}-`)));
  return [...processes, ...mounts, ...folders, ...groups];
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
