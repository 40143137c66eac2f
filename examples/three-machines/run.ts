// `bun examples/three-machines/run.ts`: three nodes on this one machine, as if they were three. They make a mesh, share one
// run, one of them is ended in the middle, and the run goes on. Everything lies in a temporary folder and is gone afterwards.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { binaryPath, ensureBinary } from "../../scripts/support/binary.ts";
import { ensureDependencies } from "../../scripts/support/dependencies.ts";
import { giveUp, inProject } from "../../scripts/support/project.ts";

const TASKS = inProject("examples/three-machines/tasks.yml");

/** What each of them lends. The GPU is simulated: tasks see its name and no device. */
const LENT = {
  alpha: ["--cpus", "1"],
  beta: ["--cpus", "1"],
  gamma: ["--cpus", "1", "--gpus", "a100:40gb"],
} as const;

type Name = keyof typeof LENT;

const folder = mkdtempSync(join(tmpdir(), "three-machines-"));

/** Runs mesh as one of the machines; what it prints goes to the terminal. */
async function show(name: Name, ...words: readonly string[]): Promise<number> {
  process.stdout.write(`\n${name}$ mesh ${words.join(" ")}\n`);
  return await start(name, words, "inherit").exited;
}

/** Runs mesh as one of the machines, and gives what it printed. */
async function ask(name: Name, ...words: readonly string[]): Promise<string> {
  const child = start(name, words, "pipe");
  const text = await new Response(child.stdout as ReadableStream).text();
  if ((await child.exited) !== 0) throw new Error(`mesh ${words.join(" ")} failed on ${name}`);
  return text;
}

interface NodeStatus {
  readonly pid: number;
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
}

async function statusOf(name: Name): Promise<NodeStatus> {
  return (JSON.parse(await ask(name, "service", "status", "--json")) as { running: NodeStatus }).running;
}

function start(name: Name, words: readonly string[], output: "inherit" | "pipe" | "ignore") {
  return Bun.spawn([binaryPath, ...words], {
    env: { ...process.env, MESH_HOME: join(folder, name) },
    stdin: "ignore",
    stdout: output,
    stderr: output === "ignore" ? "ignore" : "inherit",
  });
}

async function main(): Promise<void> {
  process.stdout.write("Three nodes on this machine, each with a home of its own\n");
  await show("alpha", "init", "--name", "alpha");
  await show("alpha", "up", ...LENT.alpha);
  const { addresses } = await statusOf("alpha");
  for (const name of ["beta", "gamma"] as const) {
    const { code } = JSON.parse(await ask("alpha", "invite", "--no-wait", "--json")) as { code: string };
    const port = addresses[0]?.port ?? 0;
    await show(name, "join", `127.0.0.1:${port}`, code, "--name", name, "--detach", ...LENT[name]);
  }
  await show("alpha", "nodes");
  process.stdout.write("\nOne run over all three; beta is ended in the middle\n");
  const plug = endInTheMiddle("beta");
  const exitCode = await show("alpha", "run", TASKS, "--no-cache");
  await plug;
  await show("alpha", "nodes");
  const results = JSON.parse(await ask("alpha", "results", "--json")) as {
    tasks: { key: string; node: string; attempt: number }[];
  };
  process.stdout.write("\nWhere each task ran\n");
  for (const { key, node, attempt } of results.tasks)
    process.stdout.write(`  ${key.padEnd(8)}  ${node}${attempt > 1 ? `, at its attempt ${attempt}` : ""}\n`);
  await show("alpha", "logs", "report");
  if (exitCode !== 0) giveUp("The run failed.", exitCode);
}

/** Ends a machine's node as a power cut would, once it runs tasks. */
async function endInTheMiddle(name: Name): Promise<void> {
  const { pid } = await statusOf(name);
  for (let looks = 0; looks < 200; looks++) {
    const { nodes } = JSON.parse(await ask("alpha", "nodes", "--json")) as {
      nodes: { name: string; runningTasks: number }[];
    };
    if (nodes.some((node) => node.name === name && node.runningTasks > 0)) break;
    await Bun.sleep(100);
  }
  await Bun.sleep(500);
  process.kill(pid, "SIGKILL");
}

await ensureDependencies();
await ensureBinary();
try {
  await main();
} finally {
  // the one that was ended is not there to be stopped
  for (const name of Object.keys(LENT) as Name[]) await start(name, ["down"], "ignore").exited;
  rmSync(folder, { recursive: true, force: true });
}
