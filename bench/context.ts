// How much a context costs, from start to exit of /bin/true in a warm process, beside bwrap, crun and runc where they are
// installed. Prints medians and ratios; rounds of all contenders are mixed, so that a noisy moment hits everybody.
//
//   bun bench/context.ts [rounds]

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bestIdMap } from "../src/oci/io/id-map.ts";
import { ContextRuntime } from "../src/oci/io/launch.ts";

interface Contender {
  readonly name: string;
  readonly run: () => Promise<void>;
}

async function main(rounds: number): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  {
    await using runtime = ContextRuntime.open({ home });
    const contenders = [meshContender(runtime, home)];
    for (const other of others(home)) {
      const failure = await other.run().then(() => null, String);
      if (failure === null) contenders.push(other);
      else console.log(`${other.name} does not run here: ${failure}`);
    }
    console.log(`start to exit of /bin/true, one at a time, median of ${rounds}; then two at a time, each`);
    const alone = await mixed(contenders, rounds);
    const pairs = new Map<string, number>();
    for (const contender of contenders)
      pairs.set(contender.name, await twoAtATime(contender, contender.name === "runc" ? 40 : rounds));
    for (const { name } of contenders) {
      const [one = 0, two = 0] = [alone.get(name), pairs.get(name)];
      const ratios = [(alone.get("mesh") ?? 0) / one, (pairs.get("mesh") ?? 0) / two];
      console.log(
        `${name.padEnd(8)} ${one.toFixed(2)} ms   ${two.toFixed(2)} ms   mesh is ${ratios.map((ratio) => ratio.toFixed(2)).join(" and ")} of it`,
      );
    }
  }
  Bun.spawnSync(["chmod", "-R", "u+rwx", home]);
  rmSync(home, { recursive: true, force: true });
}

function meshContender(runtime: ContextRuntime, home: string): Contender {
  let made = 0;
  return {
    name: "mesh",
    run: async () => {
      const scratch = join(home, "scratch", String(made++));
      mkdirSync(join(scratch, "upper"), { recursive: true });
      mkdirSync(join(scratch, "work"));
      const context = await runtime.start(
        {
          root: { kind: "host", lowers: [], upper: join(scratch, "upper"), work: join(scratch, "work") },
          argv: ["/bin/true"],
          env: { PATH: "/usr/bin:/bin" },
          cwd: "/workspace",
          hostname: "bench",
          network: "none",
          binds: [],
          hidden: [],
          limits: { memoryBytes: 1 << 30, cpuMilli: null, pids: 512 },
          idMap: bestIdMap(),
          tmpfsTmp: false,
        },
        { stdin: "null", output: () => undefined },
      );
      const { exitCode } = await context.exited;
      if (exitCode !== 0) throw new Error(`the context ended with ${exitCode}`);
    },
  };
}

function others(home: string): readonly Contender[] {
  const bwrap = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true"];
  const bundle = ociBundle(join(home, "bundle"));
  let containers = 0;
  const engine = (name: string, ...options: readonly string[]): Contender => ({
    name,
    run: () =>
      spawned([
        name,
        ...options,
        "--root",
        join(home, name),
        "run",
        "--bundle",
        bundle,
        `bench-${process.pid}-${containers++}`,
      ]),
  });
  return [
    { name: "bwrap", run: () => spawned(bwrap) },
    engine("crun", "--cgroup-manager=disabled"),
    engine("runc"),
  ].filter(({ name }) => Bun.which(name) !== null);
}

async function spawned(argv: readonly string[]): Promise<void> {
  const child = Bun.spawn([...argv], { stdio: ["ignore", "pipe", "pipe"] });
  const code = await child.exited;
  if (code !== 0) throw new Error(`${argv[0]} ended with ${code}: ${await child.stderr.text()}`);
}

/** The engines' own default configuration, over this machine's /usr. */
function ociBundle(directory: string): string {
  mkdirSync(join(directory, "rootfs"), { recursive: true });
  for (const name of ["usr", "proc", "dev", "sys", "etc", "lib", "lib64", "bin"])
    mkdirSync(join(directory, "rootfs", name), { recursive: true });
  const bind = (path: string) => ({ destination: path, source: path, type: "bind", options: ["rbind", "ro"] });
  const namespaces = ["pid", "ipc", "uts", "mount", "network", "cgroup"].map((type) => ({ type }));
  const config = {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ["/bin/true"],
      env: ["PATH=/usr/bin:/bin"],
      cwd: "/",
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: true },
    hostname: "bench",
    mounts: [
      ...["/usr", "/lib", "/lib64", "/bin"].map(bind),
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
    ],
    linux: { namespaces },
  };
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
  return directory;
}

async function mixed(contenders: readonly Contender[], rounds: number): Promise<ReadonlyMap<string, number>> {
  const times = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    for (const { name, run } of contenders) {
      if (name === "runc" && round % 5 !== 0) continue;
      const startedAt = performance.now();
      await run();
      times.get(name)?.push(performance.now() - startedAt);
    }
  }
  return new Map([...times].map(([name, list]) => [name, list.sort((a, b) => a - b)[list.length >> 1] ?? 0]));
}

/** Milliseconds of wall time for each. */
async function twoAtATime({ run }: Contender, rounds: number): Promise<number> {
  let left = rounds;
  const worker = async () => {
    while (left-- > 0) await run();
  };
  const startedAt = performance.now();
  await Promise.all([worker(), worker()]);
  return (performance.now() - startedAt) / rounds;
}

void main(Number(process.argv[2] ?? 200));
