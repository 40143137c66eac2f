import { expect } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CgroupPool } from "../../../src/oci/io/cgroup.ts";
import { readMounts } from "../../../src/oci/io/host-root.ts";
import { descendants, isAlive } from "../../../src/oci/io/processes.ts";
import { findCgroups } from "../../../src/oci/runtime/cgroup-paths.ts";
import { CONTEXTS } from "../../support/abilities.ts";
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
