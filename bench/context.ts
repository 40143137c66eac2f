// How much a context costs, from start to exit of /bin/true in a warm process, beside bwrap, crun and runc where they are
// installed, and beside the namespaces alone: what no context can be faster than. Medians; rounds of all contenders are mixed, so
// that a noisy moment hits everybody.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spreadFolders } from "../src/base/io/libc.ts";
import { bestIdMap } from "../src/oci/io/id-map.ts";
import { ContextRuntime } from "../src/oci/io/launch.ts";
import { PlainCgroups, spawned } from "./plain-cgroups.ts";
import type { Row } from "./row.ts";

interface Contender {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** What mesh's context may take of each peer's time, alone. */
const AIMS: Readonly<Record<string, number>> = { bwrap: 1, crun: 0.33, runc: 0.1 };

/** Rows for one context at a time, and two at a time. */
export async function contextRows(rounds = 100): Promise<readonly Row[]> {
  const home = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  const rows: Row[] = [];
  {
    await using runtime = ContextRuntime.open({ home });
    await using plainCgroups = new PlainCgroups();
    const contenders = [meshContender(runtime, home)];
    for (const other of others(home, plainCgroups)) {
      const failure = await other.run().then(() => null, String);
      if (failure === null) contenders.push(other);
      else process.stderr.write(`${other.name} does not run here: ${failure}\n`);
    }
    const alone = await mixed(contenders, rounds);
    const pairs = new Map<string, number>();
    for (const contender of contenders)
      pairs.set(contender.name, await twoAtATime(contender, contender.name === "runc" ? 40 : rounds));
    for (const [what, times] of [
      ["start to exit", alone],
      ["start to exit, two at a time", pairs],
    ] as const) {
      for (const { name } of contenders.slice(1)) {
        rows.push({
          what: `context, ${what}`,
          ours: times.get("mesh") ?? Number.NaN,
          unit: "ms",
          other: { name, value: times.get(name) ?? Number.NaN },
          most: what === "start to exit" ? (AIMS[name] ?? null) : null,
        });
      }
    }
  }
  Bun.spawnSync(["chmod", "-R", "u+rwx", home]);
  rmSync(home, { recursive: true, force: true });
  return rows;
}

/** Contexts of one measurement: once alone, once two at a time, and some to spare. */
const MOST_CONTEXTS = 500;

function meshContender(runtime: ContextRuntime, home: string): Contender {
  // A run has its folders ready before a task comes: making them is no part of the context.
  mkdirSync(join(home, "scratch"));
  spreadFolders(join(home, "scratch"));
  const folders = Array.from({ length: MOST_CONTEXTS }, (_, index) => join(home, "scratch", String(index)));
  for (const folder of folders) {
    mkdirSync(join(folder, "upper"), { recursive: true });
    mkdirSync(join(folder, "work"));
  }
  return {
    name: "mesh",
    run: async () => {
      const scratch = folders.pop();
      if (scratch === undefined) throw new Error("there are no folders left");
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
          limits: { memoryBytes: null, cpuMilli: null, pids: 512 },
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

function others(home: string, plainCgroups: PlainCgroups): readonly Contender[] {
  const bwrap = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true"];
  const bare = [
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "--pid",
    "--fork",
    "--net",
    "--ipc",
    "--uts",
    "--cgroup",
  ];
  const bundle = ociBundle(join(home, "bundle"));
  let containers = 0;
  const commandOf = (name: string) => [
    name,
    "--root",
    join(home, name),
    "run",
    "--bundle",
    bundle,
    `bench-${process.pid}-${containers++}`,
  ];
  return [
    { name: "bwrap", run: () => spawned(bwrap) },
    { name: "crun", run: () => plainCgroups.run(commandOf("crun")) },
    { name: "runc", run: () => spawned(commandOf("runc")) },
    // no filesystem, no /dev, no limits, no filter of system calls
    { name: "unshare", run: () => spawned([...bare, "/bin/true"]) },
  ].filter(({ name }) => Bun.which(name) !== null);
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
