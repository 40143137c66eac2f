import { expect } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readText } from "../../../src/base/io/text-files.ts";
import { CgroupPool } from "../../../src/oci/io/cgroup.ts";
import { readMounts } from "../../../src/oci/io/host-root.ts";
import { descendants, isAlive } from "../../../src/oci/io/processes.ts";
import { findCgroups } from "../../../src/oci/runtime/cgroup-paths.ts";
import { CONTEXTS } from "../../support/abilities.ts";
import { TestContexts } from "../../fake/oci-contexts.ts";
import { SeededRandom } from "../../fake/seeded-random.ts";
import { testIf } from "../../support/require.ts";

const FIXTURE = join(import.meta.dir, "../fixtures/doomed-mesh.ts");

testIf(CONTEXTS, "kill -9 of mesh leaves no process, mount or cgroup behind", async () => {
  const home = realpathSync(mkdtempSync(join(tmpdir(), "mesh-doomed-")));
  const mesh = Bun.spawn([process.execPath, FIXTURE, home], { stdio: ["ignore", "pipe", "inherit"] });
  const pids = await readUntilReady(mesh.stdout);
  const everybody = [...pids, ...pids.flatMap((pid) => descendants(pid))];
  expect(everybody.length).toBeGreaterThanOrEqual(9);

  mesh.kill("SIGKILL");
  await mesh.exited;

  await until(() => !everybody.some(isAlive));
  expect(everybody.filter(isAlive)).toEqual([]);
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(home);
  CgroupPool.open().close();
  expect(cgroupsOf(mesh.pid)).toEqual([]);
  Bun.spawnSync(["chmod", "-R", "u+rwx", home]);
  rmSync(home, { recursive: true, force: true });
});

testIf(
  CONTEXTS,
  "the death of a context's monitor is everybody's, at any moment of the set-up",
  async () => {
    const reaper = await reaperOfOrphans();
    const random = new SeededRandom(Number(process.env["MESH_TEST_SEED"] ?? Date.now() % 1_000_000_007));
    const contexts = new TestContexts();
    for (let round = 0; round < 150; round++) {
      const before = new Set(childrenOf(process.pid));
      const prepared = await contexts.runtime.prepare(contexts.spec([]));
      const dies = performance.now() + random.below(2_000) / 1_000;
      const monitor = childrenOf(process.pid).find((pid) => !before.has(pid));
      while (performance.now() < dies);
      if (monitor !== undefined) process.kill(monitor, "SIGKILL");
      await prepared.discard();
    }
    const orphans = () => childrenOf(reaper).filter((pid) => nameOf(pid) === "mesh-context" && isAlive(pid));
    await until(() => orphans().length === 0);
    expect(orphans()).toEqual([]);
    await contexts[Symbol.asyncDispose]();
  },
  60_000,
);

/** Who gets the children of those that die: the init process, or one that asked for them. */
async function reaperOfOrphans(): Promise<number> {
  const orphan = Number(await new Response(Bun.spawn(["sh", "-c", "sleep 5 >&- & echo $!"]).stdout).text());
  await until(() => parentOf(orphan) !== process.pid && nameOf(parentOf(orphan)) !== "sh");
  const reaper = parentOf(orphan);
  process.kill(orphan, "SIGKILL");
  return reaper;
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((each) => each > 0 && parentOf(each) === pid);
}

/** -1 when it is gone. */
function parentOf(pid: number): number {
  return Number(/\) \S (\d+)/.exec(readText(`/proc/${pid}/stat`))?.[1] ?? -1);
}

function nameOf(pid: number): string {
  return readText(`/proc/${pid}/comm`).trim();
}

async function readUntilReady(stream: ReadableStream<Uint8Array>): Promise<readonly number[]> {
  let text = "";
  for await (const chunk of stream) {
    text += new TextDecoder().decode(chunk);
    if (text.includes("ready")) break;
  }
  return text
    .split("\n")
    .filter((line) => /^\d+$/.test(line))
    .map(Number);
}

/** Death takes the kernel a moment. Gives up after five seconds; the caller's expectation then tells what is left. */
async function until(condition: () => boolean): Promise<void> {
  for (let round = 0; round < 500 && !condition(); round++) await Bun.sleep(10);
}

function cgroupsOf(pid: number): readonly string[] {
  const { legacy, unified } = findCgroups(readFileSync("/proc/self/cgroup", "utf8"), readMounts());
  const directories = [...Object.values(legacy), ...(unified === null ? [] : [unified])];
  return directories.flatMap((directory) =>
    existsSync(directory) ? readdirSync(directory).filter((name) => name.startsWith(`mesh-${pid}-`)) : [],
  );
}
