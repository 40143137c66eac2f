// A thousand tasks that do nothing: what a run costs beyond the work in it, cold and from the cache, beside bwrap and bazel.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MESH, has, inParallel, measure } from "./command.ts";
import { type Row, median } from "./row.ts";

type Shape = "wide" | "chain" | "fan";

const BWRAP = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true"];

/** Rows for `count` tasks of every shape. */
export async function runRows(count = 1_000): Promise<readonly Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  try {
    const rows: Row[] = [];
    const bwrap = has("bwrap") ? await secondsOf(() => inParallel(count, 2, () => spawn(BWRAP))) : null;
    const bazel = has("bazel") ? await bazelSeconds(folder, count) : null;
    for (const shape of ["wide", "chain", "fan"] as const) {
      const file = join(folder, `${shape}.yml`);
      writeFileSync(file, definition(count, shape));
      const cold: number[] = [];
      const again: number[] = [];
      for (let round = 0; round < 3; round++) {
        const home = join(folder, `home-${shape}-${round}`);
        cold.push((await measure([MESH, "run", file, "--plain"], { env: { MESH_HOME: home } })).wallMs / 1000);
        for (let repeat = 0; repeat < 3; repeat++)
          again.push((await measure([MESH, "run", file, "--plain"], { env: { MESH_HOME: home } })).wallMs);
      }
      const beside = bwrap === null ? null : { name: "bwrap × 1,000, two at a time", value: bwrap };
      rows.push({ what: `1,000 no-op tasks, ${shape}, cold`, ours: median(cold), unit: "s", other: beside, most: 1.5 });
      if (bazel !== null)
        rows.push({
          what: `1,000 no-op tasks, ${shape}, cold`,
          ours: median(cold),
          unit: "s",
          other: { name: "bazel, sandboxed, wide", value: bazel.coldMs / 1000 },
          most: 0.5,
        });
      rows.push({
        what: `the same again, all hits (${shape})`,
        ours: median(again),
        unit: "ms",
        other: bazel === null ? null : { name: "bazel, resident server", value: bazel.againMs },
        most: null,
      });
    }
    rows.push(await oneCachedRow(folder), await memoryRow(folder), ...(await growthRows(folder)));
    return rows;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A definition of `count` tasks that do nothing. `extra` keeps the keys apart. */
export function definition(count: number, shape: Shape, extra = ""): string {
  const tasks = Array.from({ length: count }, (_, index) => {
    const uses =
      shape === "chain" && index > 0
        ? `\n    use: t${index - 1}`
        : shape === "fan" && index > 0 && index < count - 1
          ? "\n    use: t0"
          : "";
    const join =
      shape === "fan" && index === count - 1
        ? `\n    use: [${Array.from({ length: count - 2 }, (__, other) => `t${other + 1}`).join(", ")}]`
        : "";
    return `  - key: t${index}${uses}${join}\n    agent:\n      network: none\n    run: "true # ${index}${extra}"`;
  });
  return `tasks:\n${tasks.join("\n")}\n`;
}

async function oneCachedRow(folder: string): Promise<Row> {
  const file = join(folder, "one.yml");
  const home = join(folder, "home-one");
  writeFileSync(file, definition(1, "wide"));
  const empty = join(folder, "empty");
  writeFileSync(`${empty}.ts`, 'console.log("");');
  await Bun.build({ entrypoints: [`${empty}.ts`], compile: { outfile: empty }, bytecode: true, minify: true });
  await measure([MESH, "run", file, "--plain"], { env: { MESH_HOME: home } });
  const ours: number[] = [];
  const bare: number[] = [];
  for (let round = 0; round < 15; round++) {
    ours.push((await measure([MESH, "run", file, "--plain"], { env: { MESH_HOME: home } })).wallMs);
    bare.push((await measure([empty])).wallMs);
  }
  return {
    what: "one cached task, whole process",
    ours: median(ours),
    unit: "ms",
    other: { name: "empty compiled program", value: median(bare) },
    most: null,
  };
}

async function memoryRow(folder: string): Promise<Row> {
  const file = join(folder, "many.yml");
  writeFileSync(file, definition(10_000, "wide"));
  const { peakBytes } = await measure([MESH, "run", file, "--plain"], {
    env: { MESH_HOME: join(folder, "home-many") },
  });
  return {
    what: "peak memory, 10,000 tasks",
    ours: peakBytes / 1e6,
    unit: "MB",
    other: { name: "limit", value: 400 },
    most: 1,
  };
}

async function growthRows(folder: string): Promise<readonly Row[]> {
  const perTask = async (count: number) => {
    const file = join(folder, `grow-${count}.yml`);
    writeFileSync(file, definition(count, "wide", ` of ${count}`));
    return (
      (await measure([MESH, "run", file, "--plain"], { env: { MESH_HOME: join(folder, `home-grow-${count}`) } }))
        .wallMs / count
    );
  };
  const few = await perTask(100);
  const many = await perTask(10_000);
  return [
    { what: "cost per task among 10,000", ours: many, unit: "ms", other: { name: "among 100", value: few }, most: 1.1 },
  ];
}

async function bazelSeconds(folder: string, count: number): Promise<{ coldMs: number; againMs: number } | null> {
  const workspace = join(folder, "bazel");
  mkdirSync(workspace);
  writeFileSync(join(workspace, "WORKSPACE"), "");
  const rules = Array.from(
    { length: count },
    (_, index) => `genrule(name="t${index}", outs=["o${index}"], cmd="echo ${index} > $@")`,
  );
  writeFileSync(
    join(workspace, "BUILD"),
    `${rules.join("\n")}\nfilegroup(name="all_tasks", srcs=[${rules.map((_, index) => `":t${index}"`).join(",")}])\n`,
  );
  const output = `--output_user_root=${join(folder, "bazel-root")}`;
  const bazel = (...args: string[]) => measure(["bazel", output, ...args], { cwd: workspace });
  try {
    await bazel("build", "--jobs=2", "--spawn_strategy=sandboxed", ":t0");
    const cold = await bazel("build", "--jobs=2", "--spawn_strategy=sandboxed", ":all_tasks");
    const again = await bazel("build", "--jobs=2", "--spawn_strategy=sandboxed", ":all_tasks");
    return { coldMs: cold.wallMs, againMs: again.wallMs };
  } catch {
    return null;
  } finally {
    await bazel("shutdown").catch(() => null);
    Bun.spawnSync(["chmod", "-R", "u+w", join(folder, "bazel-root")]);
  }
}

async function secondsOf(act: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await act();
  return (performance.now() - started) / 1000;
}

async function spawn(argv: readonly string[]): Promise<void> {
  const child = Bun.spawn([...argv], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  if ((await child.exited) !== 0) throw new Error(`${argv[0] ?? ""} failed`);
}
