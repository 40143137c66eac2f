// Machines of a test LAN that run the compiled program as their users would: a MESH_HOME and a project folder each.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { meshBinary } from "../../support/binary.ts";
import { type Lan, type LanHost, type LanOptions, makeLan } from "../../support/lan/lan.ts";
import type { Finished, NamespaceProcess } from "../../support/lan/namespace.ts";
import { type TemporaryFolder, temporaryFolder } from "../../support/temporary.ts";
import type { RunJson } from "../harness.ts";

/** The library by which a program gets another time; the dynamic linker knows what $LIB is. */
const FAKETIME = "/usr/$LIB/faketime/libfaketime.so.1";
/** How long a test waits for what must come. */
const WAIT_MS = 20_000;

export class Machine {
  readonly host: LanHost;
  readonly home: string;
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly #clockFile: string;

  /** `clock`: what its programs think that the time is, as an offset like "+6h" (faketime(1)); the true time, for good, when absent. */
  constructor(host: LanHost, folder: string, clock?: string) {
    this.host = host;
    this.home = join(folder, host.name, "home");
    this.directory = join(folder, host.name, "project");
    mkdirSync(this.directory, { recursive: true });
    this.environment = { HOME: this.directory, MESH_HOME: this.home, NO_COLOR: "1", LANG: "C.UTF-8" };
    this.#clockFile = join(folder, host.name, "clock");
    if (clock === undefined) return;
    this.setClock(clock);
    Object.assign(this.environment, {
      LD_PRELOAD: FAKETIME,
      FAKETIME_TIMESTAMP_FILE: this.#clockFile,
      FAKETIME_CACHE_DURATION: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    });
  }

  get name(): string {
    return this.host.name;
  }

  /** Writes a file of its project. */
  write(path: string, content: string): string {
    const full = join(this.directory, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, content);
    return full;
  }

  /** Sets its clock, which its programs see within a second. What counts from its start (CLOCK_MONOTONIC) goes on as it did. */
  setClock(clock: string): void {
    writeFileSync(this.#clockFile, `${clock}\n`);
  }

  /** Runs mesh to its end, whatever that is. */
  async try(...words: readonly string[]): Promise<Finished> {
    return await this.host.run([meshBinary, ...words], { env: this.environment, cwd: this.directory });
  }

  /** Runs mesh, which must succeed. Returns what it printed. */
  async mesh(...words: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.try(...words);
    if (exitCode === 0) return stdout;
    throw new Error(`${this.name}: mesh ${words.join(" ")} ended with ${exitCode}: ${stderr}${stdout}`);
  }

  /** Starts mesh and leaves it. */
  async spawn(...words: readonly string[]): Promise<NamespaceProcess> {
    return await this.host.spawn([meshBinary, ...words], { env: this.environment, cwd: this.directory });
  }

  /** The object that a command prints. */
  async json<T>(...words: readonly string[]): Promise<T> {
    return JSON.parse(await this.mesh(...words, "--json")) as T;
  }

  /** Runs a definition to its end; its JSON, and the exit code. */
  async run(
    definition: string,
    ...flags: readonly string[]
  ): Promise<{ readonly run: RunJson; readonly exitCode: number; readonly stderr: string }> {
    this.write("tasks.yml", definition);
    const { exitCode, stdout, stderr } = await this.try("run", "tasks.yml", "--json", ...flags);
    const last = stdout.trimEnd().split("\n").at(-1) ?? "";
    if (!last.startsWith("{")) throw new Error(`${this.name}: mesh run ended with ${exitCode}: ${stderr}`);
    return { run: JSON.parse(last) as RunJson, exitCode, stderr };
  }

  /** Gives its MESH_HOME a disk of its own, of so many MiB. Before anything is there. */
  async mountDisk(mebibytes: number): Promise<void> {
    await this.host.shell(`mkdir -p ${this.home}; mount -t tmpfs -o size=${mebibytes}m,mode=700 none ${this.home}`);
  }

  /** Fills the disk of its MESH_HOME to the last byte. */
  async fillDisk(): Promise<void> {
    await this.host.shell(`cat /dev/zero > ${this.home}/filler 2>/dev/null || true`);
  }

  async emptyDisk(): Promise<void> {
    await this.host.shell(`rm ${this.home}/filler`);
  }

  /** Names of the machines that it sees in a state. */
  async sees(state: string): Promise<readonly string[]> {
    const { nodes } = await this.json<{ nodes: { name: string; state: string }[] }>("nodes");
    return nodes.filter((node) => node.state === state).map(({ name }) => name);
  }
}

export interface Machines extends AsyncDisposable {
  readonly lan: Lan;
  readonly all: readonly Machine[];
  /** Counts from 0. */
  at(index: number): Machine;
}

interface MachineOptions extends LanOptions {
  /** Of each machine's clock, by index: "+6h", or null for a true one that is not set. */
  readonly clocks?: readonly (string | null)[];
}

/** Machines with the program and nothing else. */
export async function makeMachines({ clocks = [], ...options }: MachineOptions): Promise<Machines> {
  const folder: TemporaryFolder = temporaryFolder();
  const lan = await makeLan(options);
  const all = lan.hosts.map((host, index) => new Machine(host, folder.path, clocks[index] ?? undefined));
  return {
    lan,
    all,
    at(index) {
      const machine = all[index];
      if (machine === undefined) throw new Error(`There are ${all.length} machines: none has the index ${index}`);
      return machine;
    },
    async [Symbol.asyncDispose]() {
      await lan[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

interface MeshOptions extends MachineOptions {
  /** Flags with which each machine's node starts, by index; all get the last ones. */
  readonly flags?: readonly (readonly string[])[];
  /** Each machine's MESH_HOME is on a disk of its own, of so many MiB. */
  readonly diskMebibytes?: number;
}

/** Machines that have joined one mesh, made by the first, with their nodes in the background. */
export async function makeMesh({ flags = [[]], diskMebibytes, ...options }: MeshOptions): Promise<Machines> {
  const machines = await makeMachines(options);
  try {
    if (diskMebibytes !== undefined) for (const machine of machines.all) await machine.mountDisk(diskMebibytes);
    const flagsOf = (index: number) => flags[index] ?? flags.at(-1) ?? [];
    const [first, ...others] = machines.all;
    await first?.mesh("init");
    await first?.mesh("up", ...flagsOf(0));
    for (const [index, machine] of others.entries()) await joinMesh(machines, machine, flagsOf(index + 1));
    await until("all machines see each other", async () => {
      const up = await Promise.all(machines.all.map((machine) => machine.sees("up")));
      return up.every((names) => names.length === machines.all.length - 1);
    });
    return machines;
  } catch (error) {
    await machines[Symbol.asyncDispose]();
    throw error;
  }
}

/** Has a machine join by a code of the first one. */
async function joinMesh(machines: Machines, machine: Machine, flags: readonly string[]): Promise<void> {
  const { code } = await machines.at(0).json<{ code: string }>("invite", "--no-wait");
  await machine.mesh("join", code, "--detach", ...flags);
}

/** Waits until something holds, looking again and again. */
export async function until(what: string, holds: () => Promise<boolean>, waitMs = WAIT_MS): Promise<void> {
  const end = performance.now() + waitMs;
  for (;;) {
    if (await holds()) return;
    if (performance.now() > end) throw new Error(`Not within ${waitMs} ms: ${what}`);
    await Bun.sleep(50);
  }
}

/** Tasks without inputs, each with a key of its own. */
export function manyTasks(count: number, script = "sleep 0.3; hostname", agent = "cpus: 1, memory: 100mb"): string {
  const tasks = Array.from(
    { length: count },
    (_, at) => `  - key: t${at}\n    run: ${JSON.stringify(`${script} # ${at}`)}\n    agent: { ${agent} }\n`,
  );
  return `tasks:\n${tasks.join("")}`;
}
